"""Partial batch responses with AWS Lambda Powertools, unmodified: a record that raises is reported, the others are done.

    pip install --target . --only-binary :all: --requirement requirements.txt
"""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="orders")
processor = BatchProcessor(event_type=EventType.SQS)


def record_handler(record: SQSRecord):
    order = record.json_body
    if order.get("payment") == "declined":
        raise ValueError(f"the card for order {order['id']} was declined")
    logger.info("charged", order_id=order["id"], sku=order["sku"])


@logger.inject_lambda_context
def lambda_handler(event: dict, context: LambdaContext):
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
