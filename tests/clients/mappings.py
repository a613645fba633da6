"""Lambda's event source mappings through boto3: python mappings.py ENDPOINT [QUEUE_ENDPOINT]

The worker has the function `orders`; it, or the service at QUEUE_ENDPOINT, has the queues `made` and `other`. Prints how
many steps it took.
"""

import sys
import time

import boto3

import steps
from steps import refused, step

endpoint = sys.argv[1]
client = boto3.client("lambda", endpoint_url=endpoint, region_name="us-east-1")
sqs = boto3.client("sqs", endpoint_url=sys.argv[-1], region_name="us-east-1")
ARN = "arn:aws:sqs:us-east-1:000000000000:"

def state(uuid):
    return client.get_event_source_mapping(UUID=uuid)["State"]


def wait_for(uuid, expected):
    deadline = time.monotonic() + 20
    while state(uuid) != expected:
        assert time.monotonic() < deadline, state(uuid)
        time.sleep(0.05)


def drained(queue):
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + 20
    while any(int(value) for value in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()):
        assert time.monotonic() < deadline, f"{queue} is not drained"
        time.sleep(0.05)


def send(queue, count):
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for number in range(count):
        sqs.send_message(QueueUrl=url, MessageBody=f"plain {number}")


made = client.create_event_source_mapping(
    EventSourceArn=ARN + "made", FunctionName="orders", FunctionResponseTypes=["ReportBatchItemFailures"]
)
uuid = made["UUID"]
assert made["State"] == "Creating" and made["BatchSize"] == 10, made
wait_for(uuid, "Enabled")
step()

send("made", 5)
drained("made")
step()

refused("ResourceConflictException", "already exists", client.create_event_source_mapping,
        EventSourceArn=ARN + "made", FunctionName="orders")
refused("InvalidParameterValueException", "Function does not exist", client.create_event_source_mapping,
        EventSourceArn=ARN + "other", FunctionName="nobody")
refused("InvalidParameterValueException", "The specified queue does not exist", client.create_event_source_mapping,
        EventSourceArn=ARN + "nowhere", FunctionName="orders")
refused("InvalidParameterValueException", "Invalid filter pattern definition.", client.update_event_source_mapping,
        UUID=uuid, FilterCriteria={"Filters": [{"Pattern": '{"eventSource":"aws:sqs"}'}]})
refused("InvalidParameterValueException", "must be greater than 0", client.update_event_source_mapping,
        UUID=uuid, BatchSize=11)

changed = client.update_event_source_mapping(UUID=uuid, BatchSize=100, MaximumBatchingWindowInSeconds=1)
assert changed["State"] == "Updating", changed
wait_for(uuid, "Enabled")
send("made", 12)
drained("made")
step()

off = client.update_event_source_mapping(UUID=uuid, Enabled=False)
assert off["State"] == "Disabling", off
wait_for(uuid, "Disabled")
send("made", 3)
time.sleep(1)
url = sqs.get_queue_url(QueueName="made")["QueueUrl"]
left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
assert left["Attributes"]["ApproximateNumberOfMessages"] == "3", left
step()

client.update_event_source_mapping(UUID=uuid, Enabled=True)
wait_for(uuid, "Enabled")
drained("made")
step()

listed = client.list_event_source_mappings(EventSourceArn=ARN + "made")["EventSourceMappings"]
assert [mapping["UUID"] for mapping in listed] == [uuid], listed
step()

assert client.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
deadline = time.monotonic() + 20
while True:
    try:
        client.get_event_source_mapping(UUID=uuid)
    except client.exceptions.ResourceNotFoundException:
        break
    assert time.monotonic() < deadline
    time.sleep(0.05)
step()
print(f"{steps.taken} steps")
