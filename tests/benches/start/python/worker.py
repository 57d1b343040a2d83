"""Messages of the dispatch queue: visibility change, claim, work, outcome."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

import shared
from shared import n, s

logger = Logger(service=shared.SERVICE)
metrics = Metrics(namespace=shared.NAMESPACE, service=shared.SERVICE)
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
dynamodb = boto3.client("dynamodb", config=shared.CONFIG)
sqs = boto3.client("sqs", config=shared.CONFIG)

LEASE_SECONDS = int(os.environ.get("LEASE_SECONDS", "60"))
WORK = {"demo.echo": lambda arguments: arguments}
CLAIM = shared.expression(
    f"{shared.ON_RECORD} AND "
    "(#status = :pending OR (#status = :processing AND #lease_until <= :now)) AND "
    "#create_id = :create_id AND #attempt < #attempts_max AND #deadline_at > :now",
    "SET #status = :processing, #lock_version = #lock_version + :one, #updated_at = :now, "
    "#attempt = #attempt + :one, #claim_id = :claim_id, #lease_until = :lease_until, "
    "#started_at = if_not_exists(#started_at, :now)",
)
COMPLETE = shared.expression(
    f"{shared.ON_RECORD} AND #status = :processing AND #claim_id = :claim_id AND "
    "#lock_version = :lock_version",
    "SET #status = :completed, #lock_version = #lock_version + :one, #updated_at = :now, "
    "#ended_at = :now, #delete_at = #retention_secs + :expired, #result = :result, "
    "#progress = :one, #progress_at = :now "
    "REMOVE #lease_until, #last_error",
)


def claim(operation_id: str, create_id: str, claim_id: str, now: int) -> shared.Head | None:
    values = {
        ":pending": s("pending"),
        ":processing": s("processing"),
        ":now": n(now),
        ":create_id": s(create_id),
    }
    values |= {":claim_id": s(claim_id), ":lease_until": n(now + LEASE_SECONDS * 1000)}
    try:
        return shared.update(dynamodb, operation_id, CLAIM, now, values)
    except dynamodb.exceptions.ConditionalCheckFailedException as refused:
        if "ended_at" in refused.response.get("Item", {}):
            return None
        raise


def complete(head: shared.Head, result: Any, now: int) -> None:
    values = {":processing": s("processing"), ":completed": s("completed"), ":now": n(now)}
    values |= {":claim_id": s(head["claim_id"]), ":lock_version": n(head["lock_version"])}
    shared.update(dynamodb, head["pk"], COMPLETE, now, values | {":result": shared.encode(result)})


def serve(record: SQSRecord) -> None:
    message = json.loads(record.body)
    operation_id, function = message["operation_id"], message["function"]
    work = WORK[function]
    # Before the claim: a worker that dies right after the claim must not keep the message invisible
    # for longer than its lease.
    sqs.change_message_visibility(
        QueueUrl=os.environ["DISPATCH_QUEUE_URL"],
        ReceiptHandle=record.receipt_handle,
        VisibilityTimeout=LEASE_SECONDS,
    )
    claimed_at = shared.now_ms()
    head = claim(operation_id, message["create_id"], shared.token(), claimed_at)
    if head is None:
        return
    result = work(shared.decode(head, "arguments"))
    ended_at = shared.now_ms()
    complete(head, result, ended_at)
    metrics.add_dimension(name="function", value=function)
    metrics.add_dimension(name="outcome", value="completed")
    metrics.add_metric(
        name="QueueTime", unit=MetricUnit.Milliseconds, value=claimed_at - int(head["created_at"])
    )
    metrics.add_metric(
        name="WorkDuration", unit=MetricUnit.Milliseconds, value=ended_at - claimed_at
    )
    metrics.add_metric(name="Attempts", unit=MetricUnit.Count, value=1)
    metrics.add_metric(name="Operations", unit=MetricUnit.Count, value=1)
    logger.info(
        "attempt ended",
        operation_id=operation_id,
        function=function,
        attempt=head["attempt"],
        outcome="completed",
    )
    if "callback_url" in head and "completed" in head.get("callback_events", "completed"):
        wake_up = {"format": 1, "operation_id": operation_id, "create_id": message["create_id"]}
        sqs.send_message(
            QueueUrl=os.environ["CALLBACK_QUEUE_URL"], MessageBody=shared.compact(wake_up)
        )


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(
        event=event, record_handler=serve, processor=processor, context=context
    )
