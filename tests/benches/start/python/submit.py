"""POST /operations: message, then record."""

import json
import os
import re
import secrets
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, ServiceError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

import shared
from shared import n, s

logger = Logger(service=shared.SERVICE)
metrics = Metrics(namespace=shared.NAMESPACE, service=shared.SERVICE)
app = APIGatewayHttpResolver()
dynamodb = boto3.client("dynamodb", config=shared.CONFIG)
sqs = boto3.client("sqs", config=shared.CONFIG)

FUNCTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
# Version, attempts and seconds until the deadline.
FUNCTIONS = {"demo.echo": ("1.0.0", 3, 3600)}
ABSENT_OR_GONE = (
    "attribute_not_exists(pk) OR (create_id <> :own AND "
    "((attribute_not_exists(erased_at) AND delete_at <= :expired) OR erased_at <= :now))"
)


def read(text: str | None) -> dict[str, Any]:
    try:
        body = json.loads(text or "")
    except ValueError as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(body, dict) or not FUNCTION_NAME.fullmatch(str(body.get("function"))):
        raise BadRequestError("/function must be a function's name")
    if body["function"] not in FUNCTIONS:
        raise ServiceError(404, f"there is no function {body['function']}")
    if not all(isinstance(body.get(name, {}), dict) for name in ("arguments", "metadata")):
        raise BadRequestError("/arguments and /metadata must be objects")
    return body


def new_item(body: dict[str, Any], owner: str, now: int) -> shared.Item:
    version, attempts_max, deadline_seconds = FUNCTIONS[body["function"]]
    deadline_at = now + deadline_seconds * 1000
    item = shared.key(f"op_{secrets.token_hex(12)}") | {
        "format": n(1),
        "status": s("pending"),
        "lock_version": n(1),
        "create_id": s(shared.token()),
        "owner": s(owner),
        "function": s(body["function"]),
        "function_version": s(version),
        "attempt": n(0),
        "attempts_max": n(attempts_max),
        "created_at": n(now),
        "updated_at": n(now),
        "deadline_at": n(deadline_at),
        "retention_secs": n(86_400),
        "delete_at": n(shared.delete_at(deadline_at + 14 * 86_400_000)),
    }
    if "callback_url" in body:
        # Kept for the longest schedule of callbacks and a day.
        item |= {"callback_url": s(body["callback_url"]), "retention_secs": n(126_330)}
    return item | {
        name: shared.encode(body[name]) for name in ("arguments", "metadata") if body.get(name)
    }


def create(item: shared.Item, now: int) -> None:
    values = {":own": item["create_id"], ":expired": n(shared.delete_at(now)), ":now": n(now)}
    try:
        dynamodb.put_item(
            TableName=shared.TABLE,
            Item=item,
            ConditionExpression=ABSENT_OR_GONE,
            ExpressionAttributeValues=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as refused:
        # The record is this submit's own if the SDK retried a call whose response was lost.
        if refused.response.get("Item", {}).get("create_id") != item["create_id"]:
            raise ServiceError(503, "try again") from refused


@app.post("/operations")
def submit() -> Response[dict[str, Any]]:
    event, now = app.current_event, shared.now_ms()
    item = new_item(read(event.body), shared.owner(event.raw_event), now)
    head = shared.plain(item)
    message = {"format": 1, "operation_id": head["pk"]}
    message |= {name: head[name] for name in ("create_id", "function", "function_version")}
    # The message comes first, because a record without a message would never run.
    sqs.send_message(QueueUrl=os.environ["DISPATCH_QUEUE_URL"], MessageBody=shared.compact(message))
    create(item, now)
    metrics.add_dimension(name="function", value=head["function"])
    metrics.add_dimension(name="outcome", value="accepted")
    metrics.add_metric(name="Submits", unit=MetricUnit.Count, value=1)
    logger.info("submitted", operation_id=head["pk"], function=head["function"], outcome="accepted")
    body, headers = shared.shown(head, now, event.request_context.request_id)
    headers["Location"] = f"https://{event.request_context.domain_name}/operations/{head['pk']}"
    return Response(202, "application/json", body, headers)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
