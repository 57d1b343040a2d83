"""What the four functions share: Ferry's head item, and the response that shows an operation."""

import json
import os
import re
import secrets
import time
import zlib
from datetime import UTC, datetime
from typing import Any

from botocore.config import Config

TABLE = os.environ["TABLE_NAME"]
SERVICE = os.environ["SERVICE_NAME"]
NAMESPACE = os.environ.get("METRICS_NAMESPACE", "Ferry")
# A call that hangs must not use up the function's timeout.
CONFIG = Config(
    connect_timeout=1.5, read_timeout=1.5, retries={"mode": "standard", "total_max_attempts": 3}
)
# How long an expired item remains, so that a late create still finds it.
GONE_SECONDS = 900
ON_RECORD = "#format <= :format AND #delete_at > :expired AND attribute_not_exists(#erased_at)"

Item = dict[str, dict[str, Any]]
Head = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def token() -> str:
    return secrets.token_urlsafe(16)


def s(text: str) -> dict[str, Any]:
    return {"S": text}


def n(number: int | str) -> dict[str, Any]:
    return {"N": str(number)}


def key(operation_id: str) -> Item:
    return {"pk": s(operation_id), "sk": s("head")}


def plain(item: Item) -> Head:
    return {name: value for name, typed in item.items() for value in typed.values()}


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def encode(payload: Any) -> dict[str, Any]:
    text = compact(payload)
    deflated = zlib.compress(text.encode(), wbits=-15) if len(text) >= 256 else text
    return {"B": deflated} if len(deflated) < len(text) else s(text)


def decode(head: Head, name: str) -> Any:
    stored = head.get(name, "{}")
    return json.loads(zlib.decompress(stored, wbits=-15) if isinstance(stored, bytes) else stored)


def delete_at(expires_ms: int) -> int:
    return expires_ms // 1000 + GONE_SECONDS


def is_on_record(head: Head, now: int) -> bool:
    return bool(head) and "erased_at" not in head and int(head["delete_at"]) > delete_at(now)


def expression(condition: str, update: str) -> dict[str, Any]:
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", condition + update)}
    return {
        "ConditionExpression": condition,
        "UpdateExpression": update,
        "ExpressionAttributeNames": names,
    }


def update(
    client: Any, operation_id: str, expression: dict[str, Any], now: int, values: Item
) -> Head:
    common = {":format": n(1), ":expired": n(delete_at(now)), ":one": n(1)}
    updated = client.update_item(
        TableName=TABLE,
        Key=key(operation_id),
        **expression,
        ExpressionAttributeValues=common | values,
        ReturnValues="ALL_NEW",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    return plain(updated["Attributes"])


def rfc3339(ms: int | str) -> str:
    moment = datetime.fromtimestamp(int(ms) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def owner(event: dict[str, Any]) -> str:
    authorizer = event["requestContext"]["authorizer"]
    if "jwt" in authorizer:
        return f"jwt:{authorizer['jwt']['claims']['sub']}"
    return f"local:{authorizer['lambda']['local_owner']}"


def shown(head: Head, now: int, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The body and headers of a response that shows an operation."""
    body = {name: head[name] for name in ("function", "status")}
    body |= {
        "id": head["pk"],
        "version": head["function_version"],
        "metadata": decode(head, "metadata"),
    }
    body |= {name: int(head[name]) for name in ("attempt", "lock_version")}
    times = ("created_at", "updated_at", "deadline_at", "started_at")
    body |= {name: rfc3339(head[name]) for name in times if name in head}
    body["expires_at"] = rfc3339((int(head["delete_at"]) - GONE_SECONDS) * 1000)
    body["progress"] = float(head["progress"]) if "progress" in head else None
    body["progress_message"] = head.get("progress_message")
    body["progress_updated_at"] = rfc3339(head["progress_at"]) if "progress" in head else None
    version = ".".join(
        f"{int(head[name]):x}" for name in ("created_at", "lock_version", "updated_at")
    )
    headers = {
        "Cache-Control": "private, no-cache",
        "ETag": f'"{version}"',
        "Request-Id": request_id,
    }
    if head["status"] == "completed":
        body |= {"result": decode(head, "result"), "completed_at": rfc3339(head["ended_at"])}
    else:
        seconds = min(max((now - int(head["created_at"])) // 10_000, 1), 30)
        body["retry_after"] = {"value": seconds, "unit": "second"}
        headers["Retry-After"] = str(seconds)
    return body, headers
