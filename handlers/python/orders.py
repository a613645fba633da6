"""`orders` in Python: the same small job as the example handler in Rust (`handlers/orders`), as one writes it for Lambda.

It takes the orders of one batch, charges each of them, and reports those that failed. An order is the body of a message:
`{"id": "o-17", "sku": "tea-green", "quantity": 2}`. As no money is to be had here, an order also says how its payment
goes: `"payment": "ok"` (the default), `"flaky"` (the payment service is away at the first delivery), `"busy"` (at the
first delivery it asks for a second's patience), `"declined"` (each time) or `"hangs"` (the payment service never answers).

Absent on purpose: remembering which orders were charged. Any queue may deliver a message twice, so a real handler gives
its payment service the order's id as the idempotency key.
"""

import json


class NotCharged(Exception):
    """The order may be tried again: when its visibility timeout is over, or after so many seconds."""

    def __init__(self, reason, retry_after_seconds=None):
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class Malformed(Exception):
    """No other delivery mends it."""


def lambda_handler(event, context):
    """Only the messages that `batchItemFailures` names come back to the queue."""
    failures = (handle_record(record) for record in event["Records"])
    return {"batchItemFailures": [failure for failure in failures if failure]}


def handle_record(record):
    """Handles one message and logs one line about it. Gives the entry for `batchItemFailures` if it failed."""
    message_id = record["messageId"]
    try:
        order = read_order(record["body"])
        charge(order, record["attributes"]["ApproximateReceiveCount"])
    except Malformed as reason:
        # Asks for the dead-letter queue now. Lambda ignores the extra key.
        print(f"message {message_id}: {reason}")
        return {"itemIdentifier": message_id, "deadLetterReason": str(reason)}
    except NotCharged as reason:
        print(f"order {order['id']}: not charged: {reason}")
        # Lambda ignores this key, too. None is as good as not there.
        return {"itemIdentifier": message_id, "retryAfterSeconds": reason.retry_after_seconds}
    print(f"order {order['id']}: charged {order['quantity']} x {order['sku']}")
    return None


def read_order(body):
    """The order in a message's body."""
    try:
        order = json.loads(body)
        if order["quantity"] <= 0:
            raise ValueError(f"{order['id']} wants {order['quantity']} x {order['sku']}")
        order["id"], order["sku"]
    except KeyError as missing:
        raise Malformed(f"malformed order: no {missing}") from None
    except (TypeError, ValueError) as error:
        raise Malformed(f"malformed order: {error}") from None
    return order


def charge(order, receive_count):
    """Plays the payment service. `receive_count` is "1" at a message's first delivery."""
    match order.get("payment", "ok"):
        case "flaky" if receive_count == "1":
            raise NotCharged("the payment service is away")
        case "busy" if receive_count == "1":
            raise NotCharged("the payment service is busy", retry_after_seconds=1)
        case "ok" | "flaky" | "busy":
            return
        case "declined":
            raise NotCharged("the card was declined")
        case "hangs":
            # Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
            while True:
                pass
        case unknown:
            raise Malformed(f"malformed order: payment {unknown!r}")
