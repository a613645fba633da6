"""Does what each message says, so that a test can see what a handler sees and break what a handler can break."""

import base64
import json
import os
import time
import urllib.request

calls = 0


def lambda_handler(event, context):
    global calls
    calls += 1
    failures = []
    for record in event["Records"]:
        order = json.loads(record["body"])
        match order["do"]:
            case "see":
                print(json.dumps(see(record, context), ensure_ascii=False, sort_keys=True))
            case "count":
                print(f"call {calls}")
            case "fail":
                failures.append({"itemIdentifier": record["messageId"]})
            case "raise":
                raise ValueError("as it was told to")
            case "hang":
                while True:
                    pass
            case "sleep":
                time.sleep(order["seconds"])
                print(f"slept {order['seconds']}")
            case "trace":
                print(f"trace {os.environ.get('_X_AMZN_TRACE_ID')}")
            case "fetch":
                print(fetch(order["url"]))
    return {"batchItemFailures": failures}


def see(record, context):
    attributes = record["messageAttributes"]
    return {
        "binary": list(base64.b64decode(attributes["b"]["binaryValue"])),
        "function": context.function_name,
        "late": context.get_remaining_time_in_millis() <= 0,
        "memory": int(context.memory_limit_in_mb),
        "secret": os.environ["SECRET"],
        "text": attributes["s"]["stringValue"],
        "word": json.loads(record["body"])["word"],
    }


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return f"fetched {answer.status} {answer.read().decode()}"
    except OSError as error:
        return f"not fetched: {error}"
