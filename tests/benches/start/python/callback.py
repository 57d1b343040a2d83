"""Messages of the callback queue: a read, a signed POST, a record of the attempt."""

import base64
import hmac
import json
import os
import re
from typing import Any

import boto3
import urllib3
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
from shared import s

logger = Logger(service=shared.SERVICE)
metrics = Metrics(namespace=shared.NAMESPACE, service=shared.SERVICE)
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
dynamodb = boto3.client("dynamodb", config=shared.CONFIG)
http = urllib3.PoolManager(timeout=5.0, retries=False)

SECRETS = [
    base64.b64decode(secret)
    for secret in re.findall(r"whsec_([^\s,]+)", os.environ["WEBHOOK_SECRETS"])
]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RECORD = shared.expression(
    f"{shared.ON_RECORD} AND #status = :completed AND #create_id = :create_id AND "
    "attribute_not_exists(#callback_attempts_made)",
    "SET #callback_attempts = :attempts, #callback_attempts_made = :one, "
    "#callback_round_attempts = :one, "
    "#callback_attempt_id = :attempt_id, #callback_status = :delivered REMOVE #callback_next_at",
)


def webhook_id(head: shared.Head) -> str:
    """A ULID that is the same for every attempt."""
    bits = int(head["created_at"]) << 80 | int.from_bytes(
        base64.urlsafe_b64decode(head["create_id"] + "==")[6:]
    )
    return "msg_" + "".join(CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


def event_body(head: shared.Head) -> bytes:
    ended_at = shared.rfc3339(head["ended_at"])
    data = {
        "operation_id": head["pk"],
        "function": head["function"],
        "version": head["function_version"],
    }
    data |= {"status": head["status"], "attempt": int(head["attempt"])}
    data |= {name: shared.decode(head, name) for name in ("metadata", "result")}
    data |= {"created_at": shared.rfc3339(head["created_at"]), "completed_at": ended_at}
    return shared.compact(
        {"type": "forrst.operation.completed", "timestamp": ended_at, "data": data}
    ).encode()


def signed(message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    content = f"{message_id}.{seconds}.".encode() + body
    signatures = [
        base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in SECRETS
    ]
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "content-type": "application/json",
    }
    return headers | {"webhook-signature": " ".join(f"v1,{signature}" for signature in signatures)}


def serve(record: SQSRecord) -> None:
    message, began_at = json.loads(record.body), shared.now_ms()
    key = shared.key(message["operation_id"])
    head = shared.plain(
        dynamodb.get_item(TableName=shared.TABLE, Key=key, ConsistentRead=True).get("Item", {})
    )
    is_due = (
        shared.is_on_record(head, began_at)
        and head["status"] == "completed"
        and "callback_status" not in head
    )
    if not is_due or head["create_id"] != message["create_id"]:
        return
    body = event_body(head)
    headers = signed(webhook_id(head), began_at // 1000, body)
    answer = http.request("POST", head["callback_url"], body=body, headers=headers, redirect=False)
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"the receiver answered {answer.status}: the message returns")
    now = shared.now_ms()
    attempt = {"at": began_at, "status": answer.status, "ms": now - began_at}
    values = {
        ":completed": s("completed"),
        ":create_id": s(head["create_id"]),
        ":delivered": s("delivered"),
    }
    values |= {":attempts": s(shared.compact([attempt])), ":attempt_id": s(shared.token())}
    shared.update(dynamodb, head["pk"], RECORD, now, values)
    metrics.add_dimension(name="outcome", value="delivered")
    metrics.add_metric(name="Callbacks", unit=MetricUnit.Count, value=1)
    logger.info(
        "callback attempted",
        operation_id=head["pk"],
        status_code=answer.status,
        duration_ms=attempt["ms"],
    )


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(
        event=event, record_handler=serve, processor=processor, context=context
    )
