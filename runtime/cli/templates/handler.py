"""The function NAME: gets the messages of a queue in batches, and says which of them failed.

Lambda's own handler: it runs unmodified on AWS Lambda, too.
"""

import json


def lambda_handler(event, context):
    failures = []
    for record in event["Records"]:
        try:
            handle(json.loads(record["body"]))
        except Exception as error:
            print(f"message {record['messageId']} failed: {error!r}")
            failures.append({"itemIdentifier": record["messageId"]})
    # What is named here comes back to the queue; the rest is deleted.
    return {"batchItemFailures": failures}


def handle(message):
    print(f"handling {message['id']}")
