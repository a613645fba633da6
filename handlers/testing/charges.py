"""A handler that charges each order once, however often the queue delivers its message.

The order's id is the payment service's idempotency key: a second request with it charges nothing. The tests beside it hold it to
that: `test_charges.py` for pytest, `charges.rs` for `cargo test`.
"""

import json
import os
import urllib.request


def lambda_handler(event, context):
    """Only the messages that `batchItemFailures` names come back to the queue."""
    failures = []
    for record in event["Records"]:
        try:
            charge(json.loads(record["body"]))
        except OSError as error:
            print(f"message {record['messageId']}: not charged: {error}")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def charge(order):
    """Asks the payment service. It raises an OSError when the service is away or says no."""
    request = urllib.request.Request(
        os.environ["PAYMENTS_URL"] + "/charges",
        data=json.dumps({"order": order["id"], "cents": order["cents"]}).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": order["id"]},
        method="POST",
    )
    with urllib.request.urlopen(request):
        pass
