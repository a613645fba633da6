"""Lambda's functions through boto3: python functions.py ENDPOINT HANDLER

HANDLER is the compiled `faulty`; the worker has the queue `made` and, from its config, the function `own`. Prints how
many steps it took.
"""

import base64
import io
import json
import os
import sys
import time
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import WaiterError

import steps
from steps import refused, step

endpoint = sys.argv[1]
with open(sys.argv[2], "rb") as file:
    module = file.read()
once = Config(retries={"total_max_attempts": 1})
client = boto3.client("lambda", endpoint_url=endpoint, region_name="us-east-1", config=once)
sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
ROLE = "arn:aws:iam::000000000000:role/any"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:orders"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:made"

def zipped(**more):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("handler.wasm", module)
        for name, content in more.items():
            writer.writestr(name, content)
    return archive.getvalue()


def event(*commands):
    records = [{"messageId": str(number), "body": json.dumps(command)} for number, command in enumerate(commands)]
    return json.dumps({"Records": records})


def invoke(*commands, **parameters):
    reply = client.invoke(FunctionName="orders", Payload=event(*commands), **parameters)
    return reply, reply["Payload"].read().decode()


def updated(**parameters):
    client.get_waiter("function_updated_v2").wait(FunctionName="orders", WaiterConfig={"Delay": 1, **parameters})


def configuration(**parameters):
    return client.get_function_configuration(FunctionName="orders", **parameters)


# A function from its creation to its first call.
made = client.create_function(
    FunctionName="orders", Role=ROLE, Runtime="provided.al2023", Handler="handler.wasm", Code={"ZipFile": module},
    Timeout=5, MemorySize=256, Publish=True, Tags={"team": "a"}, Environment={"Variables": {"COLOUR": "blue"}},
)
assert made["Version"] == "1" and made["State"] in ("Pending", "Active"), made
client.get_waiter("function_active_v2").wait(FunctionName="orders", WaiterConfig={"Delay": 1})
client.get_waiter("published_version_active").wait(FunctionName="orders", Qualifier="1", WaiterConfig={"Delay": 1})
client.get_waiter("function_exists").wait(FunctionName="orders")
got = client.get_function(FunctionName="orders")
assert got["Configuration"]["State"] == "Active" and got["Tags"] == {"team": "a"}, got
assert got["Configuration"]["LastModified"].endswith("+0000"), got
with urllib.request.urlopen(got["Code"]["Location"]) as blob:
    assert blob.read() == module, "the code can be had, without a signature"
step()

reply, payload = invoke({"do": "env", "name": "COLOUR"}, {"do": "context"}, LogType="Tail")
assert (reply["StatusCode"], reply["ExecutedVersion"]) == (200, "$LATEST"), reply
assert json.loads(payload) == {"batchItemFailures": []}, payload
log = base64.b64decode(reply["LogResult"]).decode()
request_id = reply["ResponseMetadata"]["RequestId"]
for part in [f"START RequestId: {request_id} Version: $LATEST", "COLOUR=blue", f"END RequestId: {request_id}",
             f"REPORT RequestId: {request_id}\tDuration: ", "Memory Size: 256 MB", ARN]:
    assert part in log, (part, log)
reply, payload = invoke({"do": "context"}, Qualifier="1", LogType="Tail")
assert reply["ExecutedVersion"] == "1", reply
assert '"functionVersion":"1"' in base64.b64decode(reply["LogResult"]).decode()
step()

reply, payload = invoke({"do": "error", "text": "no such order"})
assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled"), reply
assert "no such order" in json.loads(payload)["errorMessage"], payload
reply, payload = invoke({"do": "sleep_ms", "ms": 60000})
assert reply["FunctionError"] == "Unhandled" and "Task timed out after 5.00 seconds" in payload, payload
assert json.loads(payload)["errorType"] == "Sandbox.Timedout", payload
reply, payload = invoke({"do": "big_reply", "bytes": (6 << 20) + 101})
assert json.loads(payload)["errorType"] == "Function.ResponseSizeTooLarge", payload
step()

reply, payload = invoke(InvocationType="Event")
assert (reply["StatusCode"], payload) == (202, ""), reply
reply, payload = invoke(InvocationType="DryRun")
assert (reply["StatusCode"], payload) == (204, ""), reply
step()

refused("InvalidRequestContentException", "Could not parse request body into json", client.invoke,
        FunctionName="orders", Payload=b"text")
refused("RequestTooLargeException", "Request must be smaller than 6291456 bytes", client.invoke,
        FunctionName="orders", Payload=b'"' + b"x" * (6 << 20) + b'"')
refused("ResourceNotFoundException", f"Function not found: {ARN}:9", client.invoke,
        FunctionName="orders", Qualifier="9")
refused("ResourceConflictException", "Function already exist: orders", client.create_function,
        FunctionName="orders", Role=ROLE, Code={"ZipFile": module})
refused("ValidationException", "at 'role'", client.create_function,
        FunctionName="other", Role="me", Code={"ZipFile": module})
refused("InvalidParameterValueException", "Could not unzip uploaded file", client.create_function,
        FunctionName="other", Role=ROLE, Code={"ZipFile": b"#!/bin/sh"})

# Other code, in an archive that is larger than anything SQS takes.
archive = zipped(padding=os.urandom(12 << 20))
revision = configuration()["RevisionId"]
change = client.update_function_code(FunctionName="orders", ZipFile=archive, Publish=True, RevisionId=revision)
assert change["Version"] == "2" and change["FunctionArn"] == f"{ARN}:2", change
updated()
assert configuration()["CodeSize"] == len(archive)
assert invoke(Qualifier="2")[0]["ExecutedVersion"] == "2"
refused("PreconditionFailedException", "The Revision Id provided does not match", client.update_function_code,
        FunctionName="orders", ZipFile=module, RevisionId=revision)
again = client.publish_version(FunctionName="orders")
assert again["Version"] == "2", "nothing has changed since"
versions = client.list_versions_by_function(FunctionName="orders")["Versions"]
assert [version["Version"] for version in versions] == ["$LATEST", "1", "2"], versions
step()

# Code that cannot run changes nothing, and says why.
before = configuration()["CodeSha256"]
client.update_function_code(FunctionName="orders", ZipFile=b"\0asm\x0d\0\x01\0broken")
try:
    updated(MaxAttempts=60)
    raise AssertionError("it cannot run")
except WaiterError:
    pass
broken = configuration()
assert broken["LastUpdateStatus"] == "Failed" and broken["LastUpdateStatusReason"], broken
assert broken["CodeSha256"] == before and broken["State"] == "Active", broken
assert invoke()[0]["StatusCode"] == 200
step()

client.update_function_configuration(FunctionName="orders", Timeout=7, Environment={"Variables": {"COLOUR": "red"}})
client.get_waiter("function_updated").wait(FunctionName="orders", WaiterConfig={"Delay": 1})
assert configuration()["Timeout"] == 7 and configuration(Qualifier="2")["Timeout"] == 5
reply, _ = invoke({"do": "env", "name": "COLOUR"}, LogType="Tail")
assert "COLOUR=red" in base64.b64decode(reply["LogResult"]).decode()
step()

# Names for versions.
alias = client.create_alias(FunctionName="orders", Name="live", FunctionVersion="1")
assert alias["AliasArn"] == f"{ARN}:live", alias
assert invoke(Qualifier="live")[0]["ExecutedVersion"] == "1"
client.update_alias(FunctionName="orders", Name="live",
                    RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
seen = {invoke(Qualifier="live")[0]["ExecutedVersion"] for _ in range(40)}
assert seen == {"1", "2"}, seen
client.update_alias(FunctionName="orders", Name="live", FunctionVersion="2", RoutingConfig={})
assert {invoke(Qualifier="live")[0]["ExecutedVersion"] for _ in range(5)} == {"2"}
assert client.get_alias(FunctionName="orders", Name="live")["FunctionVersion"] == "2"
assert [alias["Name"] for alias in client.list_aliases(FunctionName="orders")["Aliases"]] == ["live"]
step()
refused("ResourceConflictException", f"Alias already exists: {ARN}:live", client.create_alias,
        FunctionName="orders", Name="live", FunctionVersion="1")
refused("ResourceNotFoundException", f"Cannot find alias arn: {ARN}:none", client.get_alias,
        FunctionName="orders", Name="none")
refused("ResourceConflictException", "[live]", client.delete_function, FunctionName="orders", Qualifier="2")

# What else a function has.
client.tag_resource(Resource=ARN, Tags={"cost": "1"})
client.untag_resource(Resource=ARN, TagKeys=["team"])
assert client.list_tags(Resource=ARN)["Tags"] == {"cost": "1"}
client.put_function_concurrency(FunctionName="orders", ReservedConcurrentExecutions=0)
refused("TooManyRequestsException", "Rate Exceeded.", client.invoke, FunctionName="orders", Payload=event())
client.put_function_concurrency(FunctionName="orders", ReservedConcurrentExecutions=3)
assert client.get_function_concurrency(FunctionName="orders")["ReservedConcurrentExecutions"] == 3
client.delete_function_concurrency(FunctionName="orders")
client.add_permission(FunctionName="orders", StatementId="s", Action="lambda:InvokeFunction", Principal="*")
policy = json.loads(client.get_policy(FunctionName="orders")["Policy"])
assert [statement["Sid"] for statement in policy["Statement"]] == ["s"], policy
client.remove_permission(FunctionName="orders", StatementId="s")
step()
refused("ResourceNotFoundException", "The resource you requested does not exist.", client.get_policy,
        FunctionName="orders")
refused("ResourceNotFoundException", "The resource you requested does not exist.",
        client.get_function_event_invoke_config, FunctionName="orders")
assert client.get_account_settings()["AccountUsage"]["FunctionCount"] == 2
assert client.get_function_code_signing_config(FunctionName="orders")["FunctionName"] == "orders"
assert client.get_runtime_management_config(FunctionName="orders")["UpdateRuntimeOn"] == "Auto"
assert client.get_function_recursion_config(FunctionName="orders")["RecursiveLoop"] == "Terminate"
names = [one["FunctionName"] for page in client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
         for one in page["Functions"]]
assert names == ["orders", "own"], names
step()

# What the config names.
own = client.get_function(FunctionName="own")
assert own["Configuration"]["State"] == "Active" and own["Code"]["RepositoryType"] == "Config", own
refused("InvalidParameterValueException", "The config file names function own, and owns it", client.delete_function,
        FunctionName="own")
client.update_function_code(FunctionName="own", ZipFile=archive, Publish=True)
client.get_waiter("function_updated_v2").wait(FunctionName="own", WaiterConfig={"Delay": 1})
client.get_waiter("published_version_active").wait(FunctionName="own", Qualifier="1", WaiterConfig={"Delay": 1})
reply = client.invoke(FunctionName="own", Qualifier="1", Payload=event())
assert reply["ExecutedVersion"] == "1" and "FunctionError" not in reply, reply
step()

# A mapping to an alias, and what becomes of it.
refused("InvalidParameterValueException", "Function does not exist", client.create_event_source_mapping,
        EventSourceArn=QUEUE, FunctionName="orders:none")
mapping = client.create_event_source_mapping(EventSourceArn=QUEUE, FunctionName="orders:live")
assert mapping["FunctionArn"] == f"{ARN}:live", mapping
url = sqs.get_queue_url(QueueName="made")["QueueUrl"]


def counts():
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return [int(found[name]) for name in names]


def until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


for number in range(5):
    sqs.send_message(QueueUrl=url, MessageBody=f"plain {number}")
until(lambda: counts() == [0, 0], counts)
step()
client.delete_function(FunctionName="orders")
refused("ResourceNotFoundException", f"Function not found: {ARN}", client.get_function, FunctionName="orders")


def shown():
    return client.get_event_source_mapping(UUID=mapping["UUID"])


until(lambda: shown().get("LastProcessingResult") == "PROBLEM: Function does not exist", shown)
assert shown()["State"] == "Enabled", shown()
sqs.send_message(QueueUrl=url, MessageBody="nobody takes it")
time.sleep(1)
assert counts() == [1, 0], counts()
client.delete_event_source_mapping(UUID=mapping["UUID"])
step()
print(f"{steps.taken} steps")
