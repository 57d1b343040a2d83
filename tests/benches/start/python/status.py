"""GET /operations/{id}: one read. A poll has no metrics."""

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

import shared

logger = Logger(service=shared.SERVICE)
app = APIGatewayHttpResolver()
dynamodb = boto3.client("dynamodb", config=shared.CONFIG)


@app.get("/operations/<_in_path>")
def status(_in_path: str) -> Response[dict[str, Any]]:
    event = app.current_event
    # The gateway's parameter, because the raw path may have a mapping's prefix.
    key = shared.key(event.path_parameters["id"])
    read = dynamodb.get_item(TableName=shared.TABLE, Key=key, ConsistentRead=True)
    head, now = shared.plain(read.get("Item", {})), shared.now_ms()
    if not shared.is_on_record(head, now) or head["owner"] != shared.owner(event.raw_event):
        raise NotFoundError("there is no such operation")
    body, headers = shared.shown(head, now, event.request_context.request_id)
    return Response(200, "application/json", body, headers)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
