"""Faults of a deployment, each of which one check must notice."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import runs
from .bundle import OTHER_TOKEN, TOKEN, World
from .proxy import Change, Exchange, unchanged


@dataclass(frozen=True)
class Fault:
    """Is planted in what the proxy passes on, in a response of AWS (`response`), in the receiver,
    in the stack's outputs and parameters, in the environment, or by what happens meanwhile."""

    name: str
    noticed_by: str
    # A part of what the check says, so that it does not fail for another reason.
    shows: str
    before: Change = unchanged
    after: Change = unchanged
    response: bool = False
    alter: Callable[[Any], Any] = lambda event: event
    outputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[World], None] = lambda found: None

    def problems(self, found: World, stack: str, receiver: str) -> Iterator[str]:
        if self.outputs or self.parameters:
            stack = found.deploy(self.outputs, self.parameters)
        found.proxy.before, found.proxy.after = self.before, self.after
        found.receiver.alter = self.alter
        variables = {**self.variables, **({"SMOKE_FAULT": self.name} if self.response else {})}
        during = threading.Thread(target=self.meanwhile, args=(found,), daemon=True)
        during.start()
        try:
            options = ["--only", self.noticed_by, "--receiver", receiver, "--patience", "3"]
            options += ["--long", "--break", "--conformance", str(found.checkout)]
            done = runs.run(found, stack, *options, **variables)
        finally:
            found.proxy.before = found.proxy.after = unchanged
            found.receiver.alter = lambda event: event
            during.join()
        result, saw = done.checks.get(self.noticed_by, ("missing", done.errors))
        print(f"       {saw}")
        if (result, done.code) != ("FAILED", 1) or self.shows not in saw:
            yield f"check {self.noticed_by} is {result} (exit {done.code}): {saw}"
        # What is left, and what an update that is still in progress returns to.
        if done.errors:
            yield f"standard error: {done.errors}"


def _replace(pattern: str, old: bytes, new: bytes) -> Change:
    """Replaces a part of the responses to requests, `METHOD PATH`, that match."""

    def change(exchange: Exchange) -> None:
        if re.search(pattern, f"{exchange.method} {exchange.path}"):
            exchange.response = exchange.response.replace(old, new)

    return change


def _status(pattern: str, old: int, new: int) -> Change:
    def change(exchange: Exchange) -> None:
        if re.search(pattern, f"{exchange.method} {exchange.path}") and exchange.status == old:
            exchange.status = new

    return change


def _let_strangers_in(exchange: Exchange) -> None:
    if exchange.path != "/health":
        exchange.headers.setdefault("authorization", "Bearer anonymous")


def _share_a_cached_authorization(exchange: Exchange) -> None:
    if exchange.headers.get("authorization") == f"Bearer {OTHER_TOKEN}":
        exchange.headers["authorization"] = f"Bearer {TOKEN}"


def _internal_location(exchange: Exchange) -> None:
    if "location" in exchange.response_headers:
        exchange.response_headers["location"] = re.sub(
            "http://[^/]+", "http://internal", exchange.response_headers["location"]
        )


def _decode_the_path(exchange: Exchange) -> None:
    exchange.path = exchange.path.replace("%2F", "/")


def _without_exposed_headers(exchange: Exchange) -> None:
    exchange.response_headers.pop("access-control-expose-headers", None)


def _without_prefer(exchange: Exchange) -> None:
    exchange.headers.pop("prefer", None)


def _wrong_clock(exchange: Exchange) -> None:
    for name, value in exchange.response_headers.items():
        if name == "date":
            hours, minutes, seconds = map(int, value[17:25].split(":"))
            at = (hours * 3600 + minutes * 60 + seconds + 30) % 86400
            shown = f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"
            exchange.response_headers[name] = value[:17] + shown + value[25:]


def _kill_workers_at_work(found: World) -> None:
    time.sleep(4)
    found.bundle.kill_workers()


def _edited_body(event: Any) -> Any:
    return {**event, "body": event["body"].replace("completed", "complete ")}


def _without_agent(event: Any) -> Any:
    event["headers"].pop("user-agent", None)
    return event


def _followed(event: Any) -> Any:
    # As if the sender had come back.
    if event["requestContext"]["http"]["method"] == "GET" and event["rawPath"].endswith("followed"):
        return {**event, "rawPath": re.sub("followed$", _some_name(event), event["rawPath"])}
    if "/ok-" in event["rawPath"]:
        _seen.append(event["rawPath"].rpartition("/")[2])
    return event


_seen: list[str] = []


def _some_name(event: Any) -> str:
    return _seen[-1]


def _count(text: bytes) -> Change:
    return _replace("GET /operations/", b'"words":3', text)


FAULTS = [
    Fault(
        "a page of the gateway's own",
        "1",
        shows="GET /health got 200",
        after=_replace("GET /health", b"ok", b"up"),
    ),
    Fault(
        "no authorizer",
        "2",
        shows="of a caller (stranger) got 400",
        before=_let_strangers_in,
    ),
    Fault(
        "the owner is another claim",
        "3",
        shows="not local:alice",
        variables={"FERRY_OWNER": "local:alice"},
    ),
    Fault(
        "an authorization is cached for everyone",
        "3",
        shows="of another owner got 200",
        before=_share_a_cached_authorization,
    ),
    Fault(
        "the location is the function's host",
        "4",
        shows="Location is http://internal/",
        after=_internal_location,
    ),
    Fault(
        "the path is decoded",
        "5",
        shows="op_%2Fcancel got 405",
        before=_decode_the_path,
    ),
    Fault(
        "text is not UTF-8",
        "5",
        shows="UTF-8 became",
        after=_replace("GET", "ü".encode(), b"?"),
    ),
    Fault(
        "a large body is a server error",
        "5",
        shows="a body of 1048577 bytes got 500",
        after=_status("POST /operations", 413, 500),
    ),
    Fault(
        "pages cannot read headers",
        "6",
        shows="ETag is not exposed",
        after=_without_exposed_headers,
    ),
    Fault(
        "a failing neighbour costs others an attempt",
        "8",
        shows="demo.echo is completed:2",
        after=_replace("GET /operations/", b'completed","attempt":1', b'completed","attempt":2'),
    ),
    Fault(
        "the worker loses its message",
        "9",
        shows="is in attempt 2",
        meanwhile=_kill_workers_at_work,
    ),
    Fault(
        "the visibility is not extended",
        "9",
        shows="SQS did not extend a message's visibility",
        response=True,
    ),
    Fault(
        "a setting does not reach the worker",
        "10",
        shows="with leases of 60 s",
        parameters={"LeaseSeconds": "60"},
    ),
    Fault(
        "loops are ended",
        "11",
        shows="RecursiveLoop of Worker is Terminate",
        response=True,
    ),
    Fault(
        "the cancel stays unnoticed",
        "12",
        shows="logged no 'attempt abandoned'",
        response=True,
    ),
    Fault(
        "a cancel is refused and done",
        "13",
        shows="is completed, and its cancels got 200",
        after=_status("POST .*/cancel", 409, 200),
    ),
    Fault(
        "point-in-time recovery is off",
        "14",
        shows="recovery is DISABLED",
        response=True,
    ),
    Fault(
        "time to live is off",
        "14",
        shows="time to live is DISABLED",
        response=True,
    ),
    Fault(
        "the table has no key",
        "14",
        shows="the encryption is None",
        response=True,
    ),
    Fault(
        "the table may be deleted",
        "14",
        shows="deletion protection is False",
        response=True,
    ),
    Fault(
        "the body is changed on its way",
        "15",
        shows="the receiver cannot verify it",
        alter=_edited_body,
    ),
    Fault(
        "the headers are changed on their way",
        "15",
        shows="the callback's headers are wrong",
        alter=_without_agent,
    ),
    Fault(
        "a redirect is followed",
        "15",
        shows="the redirect was followed",
        alter=_followed,
    ),
    Fault(
        "a receiver knows none of the secrets",
        "16",
        shows="no secret verifies a callback",
        alter=_edited_body,
    ),
    Fault(
        "the protocol is another",
        "29",
        shows="test result: FAILED",
        variables={"SMOKE_CONFORMANCE": "FAILED"},
    ),
    Fault(
        "no function reads the dead letters",
        "17",
        shows="Worker logged no 'malformed message dropped'",
        response=True,
    ),
    Fault(
        "a role may scan",
        "18",
        shows="Worker may dynamodb:Scan",
        response=True,
    ),
    Fault(
        "a role may not read",
        "18",
        shows="may not read the table",
        response=True,
    ),
    Fault(
        "an access log has the query",
        "19",
        shows="/ferry/api has a payload",
        response=True,
    ),
    Fault(
        "a log cannot be read",
        "19",
        shows="the log group /aws/vendedlogs/ferry/api cannot be read",
        response=True,
    ),
    Fault(
        "a log is kept forever",
        "19",
        shows="is kept for None days",
        response=True,
    ),
    Fault(
        "the log is text",
        "19",
        shows="the log is not JSON",
        response=True,
    ),
    Fault(
        "Lambda logs each start",
        "19",
        shows='Lambda logs each start: {"type":"platform.start"}',
        response=True,
    ),
    Fault(
        "an alarm is on",
        "21",
        shows="these alarms are on: ferry-",
        response=True,
    ),
    Fault(
        "an alarm is missing",
        "21",
        shows="18 alarms in the stack, 17",
        response=True,
    ),
    Fault(
        "the alarms cannot be read",
        "21",
        shows="the alarms cannot be read",
        response=True,
    ),
    Fault(
        "an alarm notifies no topic",
        "21",
        shows="the alarms notify None; arn:aws:sns:eu-central-1:ACCOUNT:alarms, not arn",
        response=True,
    ),
    Fault(
        "the end of an alarm notifies another topic",
        "21",
        shows="the alarms notify arn:aws:sns:eu-central-1:ACCOUNT:alarms; arn",
        response=True,
    ),
    Fault(
        "a dashboard of another stack",
        "22",
        shows="the dashboard lacks the table",
        response=True,
    ),
    Fault(
        "a canary has not ended",
        "23",
        shows="still moves from 7 to 8",
        response=True,
    ),
    Fault(
        "the gateway drops Prefer",
        "24",
        shows="a submit with wait=2 got",
        before=_without_prefer,
    ),
    Fault(
        "a new account",
        "26",
        shows="quota is 10",
        response=True,
    ),
    Fault(
        "a clock is wrong",
        "27",
        shows="and Date is",
        after=_wrong_clock,
    ),
    Fault(
        "a trace ends at the queue",
        "25",
        shows="has no segments of",
        response=True,
    ),
    Fault(
        "metrics do not arrive",
        "20",
        shows="no metric Submits",
        response=True,
    ),
    Fault(
        "writes repeat",
        "28",
        shows="write units for",
        response=True,
    ),
    Fault(
        "a bad release stays",
        "31",
        shows="the stack is UPDATE_COMPLETE",
        response=True,
    ),
    Fault(
        "the API fails meanwhile",
        "31",
        shows="submits failed",
        after=_status("POST /operations", 202, 503),
    ),
    Fault(
        "the target counts wrong",
        "30",
        shows="the target did not count three words: 200",
        after=_count(b'"words":4'),
    ),
]
