"""The Python client of the Model Context Protocol against a bundle.

    python client.py URL SECONDS

With the client's default settings and in its mode for legacy servers: lists the tools, calls a
short function, follows one that takes SECONDS to its result, and cancels one. Then with the tasks
extension, which the client does not have itself: each call resolves to its result by polls.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result, TextContent

CSV = "city,population\nRiga,600000\n"


class TaskParams(RequestParams):
    task_id: str


class GetTask(Request[TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    name_param = "taskId"


class CancelTask(Request[TaskParams, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    name_param = "taskId"


class CreatedTask(Result):
    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    poll_interval_ms: int


class Task(Result):
    status: str
    status_message: str | None = None
    poll_interval_ms: int | None = None
    result: dict[str, Any] | None = None


class Tasks(ClientExtension):
    """Polls a task until it has ended."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self.cancels = False
        self.polls = 0

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=self.resolve)]

    async def resolve(self, created: CreatedTask, context: ClaimContext) -> CallToolResult:
        assert created.status == "working", created
        params = TaskParams(task_id=created.task_id)
        if self.cancels:
            await context.session.send_request(CancelTask(params=params), Result)
        interval_ms = created.poll_interval_ms
        while True:
            await asyncio.sleep(interval_ms / 1000)
            task = await context.session.send_request(GetTask(params=params), Task)
            self.polls += 1
            if task.poll_interval_ms is None:
                break
            interval_ms = task.poll_interval_ms
        if task.status == "cancelled":
            return CallToolResult(content=[TextContent(text="cancelled")], is_error=True)
        assert task.status == "completed" and task.result, task
        return CallToolResult.model_validate(task.result)


async def lists_and_calls(client: Client) -> None:
    listed = await client.list_tools()
    names = [tool.name for tool in listed.tools]
    assert "csv_summarize" in names and "ferry_get_operation" in names, names
    result = await client.call_tool("csv_summarize", {"csv": CSV})
    assert not result.is_error and result.structured_content, result
    assert result.structured_content["rows"] == 1, result
    assert json.loads(text_of(result)) == result.structured_content, result
    wrong = await client.call_tool("csv_summarize", {"csv": 7})
    assert wrong.is_error and text_of(wrong) == "/csv must be a string", wrong


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent), content
    return content.text


async def follows(client: Client, secs: int) -> None:
    """As a model does that reads what a call returns."""
    arguments = {"steps": secs, "step_ms": 1000}
    result = await client.call_tool("demo_countdown", arguments)
    assert result.is_error and "ferry_get_operation" in text_of(result), result
    operation_id = (result.meta or {})["ferry/operationId"]
    assert operation_id in text_of(result), result
    operation: dict[str, Any] = {}
    while operation.get("status") not in ("completed", "failed", "cancelled"):
        read = await client.call_tool(
            "ferry_get_operation", {"operation_id": operation_id, "wait_seconds": 10}
        )
        assert not read.is_error and isinstance(read.structured_content, dict), read
        operation = read.structured_content
    assert operation["status"] == "completed", operation
    assert operation["result"] == {"steps": secs}, operation


async def cancels(client: Client) -> None:
    result = await client.call_tool("demo_countdown", {"steps": 600, "step_ms": 1000})
    operation_id = (result.meta or {})["ferry/operationId"]
    cancelled = await client.call_tool("ferry_cancel_operation", {"operation_id": operation_id})
    assert cancelled.structured_content["status"] == "cancelled", cancelled
    missing = await client.call_tool("ferry_get_operation", {"operation_id": "op_1"})
    assert missing.is_error, missing


async def main(url: str, secs: int) -> None:
    for mode, version in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
        started = time.monotonic()
        async with Client(url, mode=mode) as client:
            assert client.protocol_version == version, client.protocol_version
            await lists_and_calls(client)
            await asyncio.gather(follows(client, secs), cancels(client))
            took = time.monotonic() - started
            print(f"ok     mode {mode}, version {version} ({took:.0f} s)")
    tasks = Tasks()
    async with Client(url, extensions=[tasks]) as client:
        await lists_and_calls(client)
        assert tasks.polls == 0, "a short call became a task"
        result = await client.call_tool("demo_countdown", {"steps": secs, "step_ms": 1000})
        assert result.structured_content == {"steps": secs}, result
        print(f"ok     a task of {secs} s ended after {tasks.polls} polls")
        tasks.cancels = True
        result = await client.call_tool("demo_countdown", {"steps": 600, "step_ms": 1000})
        assert text_of(result) == "cancelled", result
        print("ok     a cancelled task")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
