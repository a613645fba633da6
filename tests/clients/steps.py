"""What the tours of Lambda's API share: steps that are counted, and refusals that are expected."""

from botocore.exceptions import ClientError

taken = 0


def step():
    global taken
    taken += 1


def refused(code, text, call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert text in error.response["Error"]["Message"], error
        step()
        return
    raise AssertionError(f"{code} was expected")
