"""A caller of the API with the client that openapi-python-client generates from its document.

It uses the client's types without a cast, except for a function's result, whose type the document
leaves open.
"""

import sys
import time
from collections.abc import Callable
from http import HTTPStatus

from ferry_client import AuthenticatedClient
from ferry_client.api.forrst import forrst
from ferry_client.api.operations import cancel, erase, list_, read, submit
from ferry_client.api.service import functions
from ferry_client.models import (
    Arguments,
    CancelledOperation,
    CompletedOperation,
    DeadlineOptions,
    DeadlineOptionsUrn,
    FailedOperation,
    ForrstDeadlineType1,
    ForrstProtocol,
    ForrstRequest,
    ForrstRequestCall,
    ForrstSuccess,
    FunctionsResponse200,
    GatewayError,
    Metadata,
    OperationPage,
    PendingOperation,
    Problem,
    ProcessingOperation,
    Submission,
)
from ferry_client.types import UNSET, Unset

Operation = (
    PendingOperation
    | ProcessingOperation
    | CompletedOperation
    | FailedOperation
    | CancelledOperation
)
# The type that the client's functions return.
Parsed = object

base_url = sys.argv[1]
api = AuthenticatedClient(base_url=base_url, token="python")


def operation(parsed: Parsed) -> Operation:
    assert isinstance(parsed, Operation), parsed
    return parsed


def submit_and_wait(submission: Submission) -> Operation:
    """Submits, and polls until the operation has ended."""
    response = submit.sync_detailed(client=api, body=submission)
    shown = operation(response.parsed)
    assert response.headers["location"] == f"{base_url}/operations/{shown.id}"
    while isinstance(shown, PendingOperation | ProcessingOperation):
        time.sleep(shown.retry_after.value)
        shown = operation(read.sync(shown.id, client=api))
    return shown


def submit_with_arguments_and_poll_for_the_result() -> None:
    submission = Submission(
        function="csv.summarize",
        arguments=Arguments.from_dict({"csv": "city,population\nRiga,600000\nOslo,700000\n"}),
        metadata=Metadata.from_dict({"order": 17}),
    )
    completed = submit_and_wait(submission)
    assert isinstance(completed, CompletedOperation), completed
    assert completed.function == "csv.summarize"
    assert completed.metadata["order"] == 17
    assert completed.result["rows"] == 2
    assert completed.started_at <= completed.completed_at


def submit_once_with_an_idempotency_key_and_wait() -> None:
    def submit_once() -> tuple[Operation, str | None]:
        body = Submission(function="demo.echo", ttl_seconds=60)
        response = submit.sync_detailed(
            client=api, body=body, idempotency_key="order-17", prefer="wait=10"
        )
        return operation(response.parsed), response.headers.get("idempotent-replayed")

    (first, _), (second, replayed) = submit_once(), submit_once()
    assert isinstance(first, CompletedOperation), first
    assert (second.id, replayed) == (first.id, "true")


def a_failed_operation_and_its_errors() -> None:
    failed = submit_and_wait(Submission(function="demo.fail"))
    assert isinstance(failed, FailedOperation), failed
    assert [error.code for error in failed.errors] == ["DEMO_FAILURE"]


def cancel_one() -> None:
    arguments = Arguments.from_dict({"steps": 100, "step_ms": 1000})
    running = operation(
        submit.sync(client=api, body=Submission(function="demo.countdown", arguments=arguments))
    )
    cancelled = operation(cancel.sync(running.id, client=api))
    assert isinstance(cancelled, CancelledOperation), cancelled
    assert cancelled.cancelled_at >= cancelled.created_at


def an_invalid_member_by_its_pointer() -> None:
    body = Submission(
        function="csv.summarize", arguments=Arguments.from_dict({"csv": "a\n1\n"}), ttl_seconds=1
    )
    response = submit.sync_detailed(client=api, body=body)
    assert response.status_code == HTTPStatus.BAD_REQUEST
    problem = response.parsed
    assert isinstance(problem, Problem), problem
    assert problem.code == "INVALID_ARGUMENTS"
    assert [error.pointer for error in problem.errors or []] == ["/ttl_seconds"]


def a_request_that_the_gateway_refuses() -> None:
    unauthenticated = AuthenticatedClient(base_url=base_url, token="YTpi", prefix="Basic")
    refused = list_.sync(client=unauthenticated)
    assert isinstance(refused, GatewayError), refused
    assert refused.message == "Unauthorized"


def list_all() -> list[tuple[str, str]]:
    """Id and function of every operation of the caller, page by page."""
    operations: list[tuple[str, str]] = []
    cursor: str | Unset = UNSET
    while True:
        page = list_.sync(client=api, limit=2, cursor=cursor)
        assert isinstance(page, OperationPage), page
        operations += [(summary.id, summary.function) for summary in page.operations]
        cursor = page.next_cursor
        if isinstance(cursor, Unset):
            return operations


def list_page_by_page() -> None:
    names = [name for _, name in list_all()]
    assert names == ["demo.countdown", "demo.fail", "demo.echo", "csv.summarize"], names


def erase_all() -> None:
    for id, _ in list_all():
        assert erase.sync_detailed(id, client=api).status_code == HTTPStatus.NO_CONTENT
        problem = read.sync(id, client=api)
        assert isinstance(problem, Problem), problem
        assert problem.code == "ASYNC_OPERATION_NOT_FOUND"
    assert list_all() == []


def list_functions() -> None:
    catalogue = functions.sync(client=api)
    assert isinstance(catalogue, FunctionsResponse200), catalogue
    [summarize] = [function for function in catalogue.functions if function.name == "csv.summarize"]
    assert summarize.arguments_schema["type"] == "object"


def call_over_forrst() -> None:
    deadline = DeadlineOptions(
        urn=DeadlineOptionsUrn.URNCLINEFORRSTEXTDEADLINE,
        options=ForrstDeadlineType1(value=20, unit="second"),
    )
    request = ForrstRequest(
        protocol=ForrstProtocol(name="forrst", version="0.1.0"),
        id="req_1",
        call=ForrstRequestCall(function="demo.echo", arguments=Arguments.from_dict({"ripe": True})),
        extensions=[deadline],
    )
    response = forrst.sync(client=api, body=request)
    assert isinstance(response, ForrstSuccess), response
    assert (response.id, response.result) == ("req_1", {"ripe": True})


STEPS: list[Callable[[], None]] = [
    submit_with_arguments_and_poll_for_the_result,
    submit_once_with_an_idempotency_key_and_wait,
    a_failed_operation_and_its_errors,
    cancel_one,
    an_invalid_member_by_its_pointer,
    a_request_that_the_gateway_refuses,
    list_page_by_page,
    erase_all,
    list_functions,
    call_over_forrst,
]

for step in STEPS:
    step()
    print(f"python: {step.__name__.replace('_', ' ')}")
print(f"python: {len(STEPS)} steps passed")
