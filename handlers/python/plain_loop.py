"""A plain loop, as many handlers are: the first record that fails raises, and the whole batch comes back to the queue."""

import json
import logging
import os

logger = logging.getLogger()
logger.setLevel(os.environ.get("LOG_LEVEL", "INFO"))


def lambda_handler(event, context):
    for record in event["Records"]:
        order = json.loads(record["body"])
        if order.get("payment") == "declined":
            raise ValueError(f"the card for order {order['id']} was declined")
        logger.info("charged order %s", order["id"])
