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
            options += ["--long", "--break", "--conformance", str(found.directory)]
            done = runs.run(found, stack, *options, **variables)
        finally:
            found.proxy.before = found.proxy.after = unchanged
            found.receiver.alter = lambda event: event
            during.join()
        result, saw = done.checks.get(self.noticed_by, ("missing", done.errors))
        print(f"       {saw}")
        if (result, done.code) != ("FAILED", 1):
            yield f"check {self.noticed_by} is {result} (exit {done.code}): {saw}"


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
    Fault("a page of the gateway's own", "1", after=_replace("GET /health", b"ok", b"up")),
    Fault("no authorizer", "2", before=_let_strangers_in),
    Fault("the owner is another claim", "3", variables={"FERRY_OWNER": "local:alice"}),
    Fault("an authorization is cached for everyone", "3", before=_share_a_cached_authorization),
    Fault("the location is the function's host", "4", after=_internal_location),
    Fault("the path is decoded", "5", before=_decode_the_path),
    Fault("text is not UTF-8", "5", after=_replace("GET", "ü".encode(), b"?")),
    Fault("a large body is a server error", "5", after=_status("POST /operations", 413, 500)),
    Fault("pages cannot read headers", "6", after=_without_exposed_headers),
    Fault(
        "a failing neighbour costs others an attempt",
        "8",
        after=_replace("GET /operations/", b'completed","attempt":1', b'completed","attempt":2'),
    ),
    Fault("the worker loses its message", "9", meanwhile=_kill_workers_at_work),
    Fault("a setting does not reach the worker", "10", parameters={"LeaseSeconds": "60"}),
    Fault("loops are ended", "11", response=True),
    Fault("the cancel stays unnoticed", "12", response=True),
    Fault("a cancel is refused and done", "13", after=_status("POST .*/cancel", 409, 200)),
    Fault("point-in-time recovery is off", "14", response=True),
    Fault("the body is changed on its way", "15", alter=_edited_body),
    Fault("the headers are changed on their way", "15", alter=_without_agent),
    Fault("a redirect is followed", "15", alter=_followed),
    Fault("a receiver knows none of the secrets", "16", alter=_edited_body),
    Fault("the protocol is another", "29", variables={"SMOKE_CONFORMANCE": "FAILED"}),
    Fault("no function reads the dead letters", "17", response=True),
    Fault("a role may scan", "18", response=True),
    Fault("a role may not read", "18", response=True),
    Fault("an access log has the query", "19", response=True),
    Fault("a log is kept forever", "19", response=True),
    Fault("the log is text", "19", response=True),
    Fault("an alarm is on", "21", response=True),
    Fault("an alarm is missing", "21", response=True),
    Fault("a dashboard of another stack", "22", response=True),
    Fault("a canary has not ended", "23", response=True),
    Fault("the gateway drops Prefer", "24", before=_without_prefer),
    Fault("a new account", "26", response=True),
    Fault("a clock is wrong", "27", after=_wrong_clock),
    Fault("a trace ends at the queue", "25", response=True),
    Fault("metrics do not arrive", "20", response=True),
    Fault("writes repeat", "28", response=True),
    Fault("a bad release stays", "31", response=True),
    Fault("the API fails meanwhile", "31", after=_status("POST /operations", 202, 503)),
    Fault("the target counts wrong", "30", after=_count(b'"words":4')),
]
