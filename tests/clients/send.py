"""Sends with boto3: python send.py QUEUE_URL < a JSON list of bodies

One body by itself, the next in a batch, in turn. Prints a JSON list of the message ids, in the order of the bodies.
"""

import json
import sys

import boto3

url = sys.argv[1]
endpoint = "/".join(url.split("/")[:3])
sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
ids = []
for place, body in enumerate(json.load(sys.stdin)):
    if place % 2 == 0:
        ids.append(sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"])
    else:
        answer = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "only", "MessageBody": body}])
        assert not answer.get("Failed"), answer
        ids.append(answer["Successful"][0]["MessageId"])
print(json.dumps(ids))
