"""boto3 through all that the built-in queue's wire knows: python tour.py ENDPOINT

Each step asserts what it finds, exceptions by the classes that boto3 makes of them. Prints how many steps there were.
"""

import contextlib
import hashlib
import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
ACCOUNT = "000000000000"
STEPS = []


def client(**config):
    return boto3.client("sqs", endpoint_url=ENDPOINT, region_name="us-east-1", config=Config(**config))


# The SDK's own checks would hide the server's, and its retries repeat what must fail.
sqs = client(parameter_validation=False, retries={"max_attempts": 0})


def step(function):
    STEPS.append(function)
    return function


@contextlib.contextmanager
def raises(exception, code, part):
    """Asserts the class, the code and a part of the text of what is raised."""
    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        assert isinstance(error, exception), f"{type(error)}: {error}"
        assert said["Code"] == code, said
        assert part in said["Message"], said
        assert 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error.response
        return
    raise AssertionError(f"nothing was raised, expected {code}")


def create(name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def receive(url, count=1, **more):
    """Receives that many messages, in as many calls as it takes."""
    messages = []
    until = time.monotonic() + 30
    while len(messages) < count and time.monotonic() < until:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, **more)
        messages += answer.get("Messages", [])
    assert len(messages) == count, f"{len(messages)} of {count}"
    return messages


def counts(url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(found[name]) for name in names)


@step
def queues_are_created_found_listed_and_deleted():
    url = create("tour-a", VisibilityTimeout="7", DelaySeconds="0")
    assert url == f"{ENDPOINT}/{ACCOUNT}/tour-a", url
    assert create("tour-a", VisibilityTimeout="7") == url, "the same again is the same queue"
    with raises(sqs.exceptions.QueueNameExists, "QueueAlreadyExists", "VisibilityTimeout"):
        create("tour-a", VisibilityTimeout="8")
    create("tour-b")
    assert sqs.get_queue_url(QueueName="tour-a")["QueueUrl"] == url
    listed = sqs.list_queues(QueueNamePrefix="tour-")["QueueUrls"]
    assert sorted(listed) == [f"{ENDPOINT}/{ACCOUNT}/tour-a", f"{ENDPOINT}/{ACCOUNT}/tour-b"], listed
    sqs.delete_queue(QueueUrl=url)
    with raises(sqs.exceptions.QueueDoesNotExist, "AWS.SimpleQueueService.NonExistentQueue", "does not exist"):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    with raises(sqs.exceptions.QueueDoesNotExist, "AWS.SimpleQueueService.NonExistentQueue", "does not exist"):
        sqs.get_queue_url(QueueName="tour-a")
    for name in ["", "a b", "x" * 81]:
        with raises(ClientError, "InvalidParameterValue", "alphanumeric characters"):
            create(name)


@step
def attributes_are_read_and_set():
    url = create("attributes", VisibilityTimeout="7")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["QueueArn"] == f"arn:aws:sqs:us-east-1:{ACCOUNT}:attributes", found
    assert found["VisibilityTimeout"] == "7" and found["MessageRetentionPeriod"] == "345600", found
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "9", "DelaySeconds": "1"})
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout", "DelaySeconds"])["Attributes"]
    assert found == {"VisibilityTimeout": "9", "DelaySeconds": "1"}, found
    with raises(sqs.exceptions.InvalidAttributeName, "InvalidAttributeName", "Frobnication"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Frobnication": "9"})
    with raises(ClientError, "InvalidAttributeValue", "VisibilityTimeout"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "43201"})


@step
def a_message_comes_back_as_it_was_sent_with_its_attributes():
    url = create("messages")
    body = "naïve — 中文 🦀 \t\r\n {\"a\": 1.0}"
    picture = bytes(range(256))
    attributes = {
        "kind": {"DataType": "String", "StringValue": "order"},
        "amount": {"DataType": "Number", "StringValue": "-12.50"},
        "picture": {"DataType": "Binary.png", "BinaryValue": picture},
    }
    sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest(), sent
    (message,) = receive(url, MessageAttributeNames=["All"], AttributeNames=["All"])
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], body), message
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"] == attributes, message["MessageAttributes"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1", message["Attributes"]
    assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 300, message["Attributes"]
    assert counts(url) == (0, 1, 0)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert counts(url) == (0, 0, 0)


@step
def batches_send_and_delete_per_entry():
    url = create("batches")
    entries = [{"Id": f"e{n}", "MessageBody": f"body {n}"} for n in range(9)]
    entries.append({"Id": "bad", "MessageBody": "\x00"})
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Failed"]] == ["bad"], answer
    assert answer["Failed"][0]["SenderFault"] is True and answer["Failed"][0]["Code"] == "InvalidMessageContents", answer
    assert len(answer["Successful"]) == 9, answer
    messages = receive(url, 9)
    assert sorted(message["Body"] for message in messages) == [f"body {n}" for n in range(9)]
    deletes = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
    deletes[4]["ReceiptHandle"] = "not a handle"
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=deletes)
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("4", "ReceiptHandleIsInvalid")], answer
    assert counts(url) == (0, 1, 0)


@step
def batches_that_are_no_batches_are_refused_whole():
    url = create("refused")

    def batch(entries):
        return sqs.send_message_batch(QueueUrl=url, Entries=entries)

    eleven = [{"Id": str(n), "MessageBody": "x"} for n in range(11)]
    prefix = "AWS.SimpleQueueService."
    with raises(sqs.exceptions.TooManyEntriesInBatchRequest, prefix + "TooManyEntriesInBatchRequest", "You have sent 11."):
        batch(eleven)
    with raises(sqs.exceptions.EmptyBatchRequest, prefix + "EmptyBatchRequest", "at least one"):
        batch([])
    with raises(sqs.exceptions.BatchEntryIdsNotDistinct, prefix + "BatchEntryIdsNotDistinct", "Id 0 repeated."):
        batch([eleven[0], eleven[0]])
    with raises(sqs.exceptions.InvalidBatchEntryId, prefix + "InvalidBatchEntryId", "alphanumeric"):
        batch([{"Id": "a b", "MessageBody": "x"}])
    with raises(sqs.exceptions.BatchRequestTooLong, prefix + "BatchRequestTooLong", "1048576 bytes"):
        batch([{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)])
    assert counts(url) == (0, 0, 0), "nothing of them was stored"


@step
def messages_that_are_no_messages_are_refused():
    url = create("bad-messages", MaximumMessageSize="1024")

    def send(**message):
        return sqs.send_message(QueueUrl=url, **message)

    with raises(ClientError, "MissingParameter", "MessageBody"):
        send()
    with raises(ClientError, "MissingParameter", "MessageBody"):
        send(MessageBody="")
    with raises(ClientError, "InvalidParameterValue", "shorter than 1024 bytes"):
        send(MessageBody="x" * 1025)
    send(MessageBody="x" * 1024)
    with raises(sqs.exceptions.InvalidMessageContents, "InvalidMessageContents", "#x9"):
        send(MessageBody="\x07")
    with raises(ClientError, "InvalidParameterValue", "DelaySeconds"):
        send(MessageBody="x", DelaySeconds=901)
    with raises(ClientError, "InvalidParameterValue", "number"):
        send(MessageBody="x", MessageAttributes={"n": {"DataType": "Number", "StringValue": "seven"}})
    eleven = {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(11)}
    with raises(ClientError, "InvalidParameterValue", "[11] exceeds the allowed maximum [10]"):
        send(MessageBody="x", MessageAttributes=eleven)
    with raises(ClientError, "MissingParameter", "QueueUrl"):
        sqs.send_message(MessageBody="x")
    assert counts(url) == (1, 0, 0)


@step
def visibility_hides_is_changed_and_ends():
    url = create("visibility", VisibilityTimeout="300")
    sqs.send_message(QueueUrl=url, MessageBody="x")
    (message,) = receive(url)
    assert "Messages" not in sqs.receive_message(QueueUrl=url), "hidden"

    def change(seconds, handle=message["ReceiptHandle"]):
        return sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    begun = time.monotonic()
    change(2)
    (again,) = receive(url, AttributeNames=["ApproximateReceiveCount"])
    assert time.monotonic() - begun >= 2, "came back early"
    assert again["MessageId"] == message["MessageId"] and again["ReceiptHandle"] != message["ReceiptHandle"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2", again
    change(0, again["ReceiptHandle"])
    (again,) = receive(url)
    entries = [
        {"Id": "good", "ReceiptHandle": again["ReceiptHandle"], "VisibilityTimeout": 0},
        {"Id": "bad", "ReceiptHandle": "not a handle", "VisibilityTimeout": 0},
    ]
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"], answer
    assert [entry["Id"] for entry in answer["Failed"]] == ["bad"], answer
    assert counts(url) == (1, 0, 0)
    with raises(sqs.exceptions.ReceiptHandleIsInvalid, "ReceiptHandleIsInvalid", "not a handle"):
        change(1, "not a handle")
    with raises(sqs.exceptions.ReceiptHandleIsInvalid, "ReceiptHandleIsInvalid", "not a handle"):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="not a handle")
    with raises(ClientError, "InvalidParameterValue", "VisibilityTimeout"):
        change(43201)


@step
def a_long_poll_wakes_for_a_delayed_message():
    url = create("delayed")
    begun = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=2)
    assert counts(url) == (0, 0, 1)
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
    assert [message["Body"] for message in answer["Messages"]] == ["later"], answer
    assert 2 <= time.monotonic() - begun < 20
    for wait, count in [(21, 1), (0, 11), (0, 0)]:
        with raises(ClientError, "InvalidParameterValue", "Must be"):
            sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait, MaxNumberOfMessages=count)


@step
def too_many_receives_end_in_the_dead_letter_queue():
    dead = create("tour-dlq")
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:tour-dlq", "maxReceiveCount": 1}
    url = create("redriven", VisibilityTimeout="1", RedrivePolicy=json.dumps(policy))
    sent = sqs.send_message(QueueUrl=url, MessageBody="poison")
    receive(url)
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=3), "its one receive is used up"
    (message,) = receive(dead, AttributeNames=["All"])
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "poison"), message
    source = message["Attributes"]["DeadLetterQueueSourceArn"]
    assert source == f"arn:aws:sqs:us-east-1:{ACCOUNT}:redriven", source


@step
def a_purge_empties_a_queue_once_a_minute():
    url = create("purged")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(3)])
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert counts(url) == (2, 1, 0)
    sqs.purge_queue(QueueUrl=url)
    assert counts(url) == (0, 0, 0), "those in flight are gone, too"
    with raises(sqs.exceptions.PurgeQueueInProgress, "AWS.SimpleQueueService.PurgeQueueInProgress", "60 seconds"):
        sqs.purge_queue(QueueUrl=url)


@step
def lists_come_in_pages():
    for number in range(5):
        create(f"page-{number}")
    pages, token = [], {}
    while True:
        answer = sqs.list_queues(QueueNamePrefix="page-", MaxResults=2, **token)
        pages.append(len(answer["QueueUrls"]))
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert sum(pages) == 5 and max(pages) == 2, pages
    assert "NextToken" not in sqs.list_queues(QueueNamePrefix="page-")


@step
def tags_are_set_overwritten_and_removed():
    url = sqs.create_queue(QueueName="tagged", tags={"team": "blue", "stage": "test"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"team": "red", "empty": ""})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "red", "stage": "test", "empty": ""}
    sqs.untag_queue(QueueUrl=url, TagKeys=["team", "stage", "empty", "unknown"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)


@step
def permissions_make_a_policy():
    url = create("permitted")
    sqs.add_permission(QueueUrl=url, Label="share", AWSAccountIds=["111122223333"], Actions=["SendMessage", "ReceiveMessage"])
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}, policy
    assert sorted(statement["Action"]) == ["SQS:ReceiveMessage", "SQS:SendMessage"], policy
    with raises(ClientError, "InvalidParameterValue", "Already exists"):
        sqs.add_permission(QueueUrl=url, Label="share", AWSAccountIds=["111122223333"], Actions=["*"])
    sqs.remove_permission(QueueUrl=url, Label="share")
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})


@step
def a_fifo_queue_keeps_order_and_takes_each_once():
    url = create("tour.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="300")

    def send(group, body, **more):
        return sqs.send_message(QueueUrl=url, MessageGroupId=group, MessageBody=body, **more)

    first = send("a", "a1")
    again = send("a", "a1")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"]), again
    entries = [{"Id": str(n), "MessageBody": f"a{n}", "MessageGroupId": "a"} for n in (2, 3)]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 2
    send("b", "b1", MessageDeduplicationId="b1")
    (head,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert head["Body"] == "a1" and head["Attributes"]["MessageGroupId"] == "a", head
    assert head["Attributes"]["SequenceNumber"] == first["SequenceNumber"], head
    rest = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in rest] == ["b1"], "a group in flight is locked"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=head["ReceiptHandle"])
    rest = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in rest] == ["a2", "a3"], rest
    with raises(ClientError, "MissingParameter", "MessageGroupId"):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    with raises(ClientError, "InvalidParameterValue", "DelaySeconds"):
        send("a", "x", DelaySeconds=2)


@step
def dead_letters_are_moved_back_where_they_came_from():
    dead = create("moved-dlq")
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:moved-dlq"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = create("moved", VisibilityTimeout="0", RedrivePolicy=policy)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    bodies = [f"poison {n}" for n in range(7)]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    receive(url, 7)
    assert "Messages" not in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert counts(dead) == (7, 0, 0)
    assert sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=100)["TaskHandle"]
    found = sorted(message["Body"] for message in receive(url, 7, VisibilityTimeout=300))
    assert found == bodies, found
    until = time.monotonic() + 30
    while (task := sqs.list_message_move_tasks(SourceArn=arn)["Results"][0])["Status"] == "RUNNING":
        assert time.monotonic() < until, task
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 7), task
    with raises(sqs.exceptions.ResourceNotFoundException, "ResourceNotFoundException", "exist"):
        sqs.start_message_move_task(SourceArn=arn + "x")


for function in STEPS:
    try:
        function()
    except Exception:
        print(f"failed: {function.__name__}", file=sys.stderr)
        raise
print(f"{len(STEPS)} steps")
