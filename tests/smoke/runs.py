"""Runs of the script, and what a run must leave behind."""

import base64
import hmac
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .bundle import OTHER_TOKEN, REGION, TOKEN, World, client
from .calls import calls, operation
from .proxy import Exchange, unchanged
from .template import SCRIPT, second_stack

_ROOT = Path(__file__).parents[2]
# Other runs have their options.
_OPTIONAL = {"16", "29", "31"}
# They are skipped with a CLI that cannot read all of it.
UNREAD_BY_OLD_CLI = {"11", "14"}
_RUN_SECS = 600
# With the time to build the tests.
_CONFORMANCE_SECS = 1800


@dataclass
class Run:
    code: int
    checks: dict[str, tuple[str, str]]
    output: str
    errors: str
    results: list[Path]


def start(
    found: World,
    stack: str,
    *options: str,
    script: Path = SCRIPT,
    cwd: str | None = None,
    **variables: str,
) -> tuple[subprocess.Popen[str], Path]:
    directory = found.directory / "run"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    Path(found.variables["SMOKE_CALLS"] + "-updates").unlink(missing_ok=True)
    process = subprocess.Popen(
        ["bash", script, *options, stack],
        cwd=cwd or directory,
        env={**found.variables, "TMPDIR": str(directory), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    return process, directory


def run(
    found: World,
    stack: str,
    *options: str,
    script: Path = SCRIPT,
    secs_max: int = _RUN_SECS,
    **variables: str,
) -> Run:
    process, directory = start(found, stack, "--json", *options, script=script, **variables)
    output, errors = process.communicate(timeout=secs_max)
    # Each line is an object; a line that is none fails here.
    lines = [json.loads(line) for line in output.splitlines()]
    checks = {
        str(line["check"]): (line["result"], line["saw"]) for line in lines if "check" in line
    }
    return Run(process.returncode, checks, output, errors, list(directory.iterdir()))


def all_checks_pass_and_nothing_is_left(found: World, stack: str) -> Iterator[str]:
    done = run(found, stack, "--patience", "30")
    print(re.sub(r"(?m)^", "       ", done.output.strip()))
    if done.code != 0:
        yield f"exit {done.code}: {done.errors}"
    if done.errors:
        yield f"standard error: {done.errors}"
    numbers = set(listed())
    if done.checks.keys() != numbers:
        yield f"checks that did not run: {sorted(numbers - done.checks.keys())}"
    skipped = _OPTIONAL | (UNREAD_BY_OLD_CLI if found.has_old_cli else set())
    for number, (result, saw) in done.checks.items():
        if result != ("skipped" if number in skipped else "ok"):
            yield f"check {number} is {result}: {saw}"
    yield from _result_file(found, done, stack)
    yield from _left(found)


def _result_file(found: World, done: Run, stack: str) -> Iterator[str]:
    if [file.suffix for file in done.results] != [".json"]:
        yield f"files are left: {done.results}"
        return
    (file,) = done.results
    if not re.fullmatch(rf"smoke-{stack}-\d{{8}}T\d{{6}}Z\.json", file.name):
        yield f"the result file is {file.name}"
    text = file.read_text()
    result = json.loads(text)
    if {str(check["check"]) for check in result["checks"]} != done.checks.keys():
        yield "the result file lacks checks"
    for secret in (TOKEN, OTHER_TOKEN, found.secret, "123456789012"):
        if secret in text or secret in done.output:
            yield f"{secret} is in the results"


def _left(found: World) -> Iterator[str]:
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    left = [each["StackName"] for each in stacks if each["StackName"].endswith("-smoke")]
    if left:
        yield f"stacks are left: {left}"
    # Tombstones of what was erased hold nothing of the owner.
    store = client_of_the_bundle(found, "dynamodb")
    items = store.scan(TableName=found.bundle.variables["TABLE_NAME"])["Items"]
    owned = [item["pk"]["S"] for item in items if "owner" in item]
    if owned:
        yield f"{len(owned)} operations are left: {owned[:3]}"


def client_of_the_bundle(found: World, service: str) -> Any:
    return boto3.client(
        service, endpoint_url=found.variables[f"AWS_ENDPOINT_URL_{service.upper()}"]
    )


def _runs_until(process: subprocess.Popen[str], is_reached: Callable[[], bool]) -> bool:
    """Waits until the process has come this far; false if it ends before, or takes a minute."""
    deadline = time.monotonic() + 60
    while not is_reached():
        if time.monotonic() > deadline or process.poll() is not None:
            return False
        time.sleep(0.05)
    return True


def an_interrupted_run_removes_what_it_made(found: World, stack: str) -> Iterator[str]:
    # Ctrl-C reaches every process of the terminal's foreground group.
    for interrupt, code in ((os.kill, 143), (os.killpg, 130)):
        process, directory = start(found, stack, "--only", "9,30", "--json")

        # The second stack is there, and work runs.
        def is_reached(directory: Path = directory) -> bool:
            return any(directory.glob("ferry-smoke.*/receiver")) and _is_made(directory)

        if not _runs_until(process, is_reached):
            yield f"it ended before it was interrupted: {process.communicate()}"
            return
        interrupt(process.pid, signal.SIGTERM if code == 143 else signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        if process.returncode != code:
            yield f"exit {process.returncode}: {errors}"
        if "interrupted; removes what it made" not in errors:
            yield f"it does not say what it does: {errors}"
        if list(directory.iterdir()):
            yield f"files are left: {list(directory.iterdir())}"
        yield from _left(found)


def an_interrupted_submit_is_removed(found: World, stack: str) -> Iterator[str]:
    accepted = threading.Event()

    def hold(exchange: Exchange) -> None:
        if exchange.method == "POST" and exchange.path == "/operations":
            accepted.set()
            time.sleep(2)

    found.proxy.after = hold
    process, _ = start(found, stack, "--only", "27", "--json")
    if not _runs_until(process, accepted.is_set):
        yield f"it ended before it was interrupted: {process.communicate()}"
        return
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    found.proxy.after = unchanged
    if process.returncode != 130:
        yield f"exit {process.returncode}: {errors}"
    yield from _left(found)


def _is_made(directory: Path) -> bool:
    return any(file.stat().st_size for file in directory.glob("ferry-smoke.*/made"))


def a_failed_clean_up_is_reported(found: World, stack: str) -> Iterator[str]:
    def refuse(exchange: Exchange) -> None:
        # As if the token had expired meanwhile. The bundle has erased it.
        if exchange.method == "DELETE":
            exchange.status = 401

    found.proxy.after = refuse
    done = run(found, stack, "--only", "27")
    found.proxy.after = unchanged
    if "operations that were not erased: 1 (last response: 401)" not in done.errors:
        yield f"exit {done.code}: {done.errors}"
    yield from _left(found)


def a_check_that_ends_its_shell_has_failed(found: World, stack: str) -> Iterator[str]:
    copy = found.directory / "copy"
    shutil.copytree(SCRIPT.parent / "smoke", copy / "smoke")
    shutil.copy(SCRIPT, copy)
    with (copy / "smoke" / "checks" / "http.sh").open("a") as checks:
        checks.write('api_responds() { echo "$unset"; }\n')
    done = run(found, stack, "--only", "1,27", script=copy / SCRIPT.name)
    results = {number: result for number, (result, _) in done.checks.items()}
    if done.code != 1 or results != {"1": "FAILED", "27": "ok"}:
        yield f"exit {done.code}: {done.checks} {done.errors}"


def races_that_no_work_wins_are_skipped(found: World, stack: str) -> Iterator[str]:
    def lengthen(exchange: Exchange) -> None:
        # The length stays.
        short, long = b'"steps":1,"step_ms":300', b'"steps":9,"step_ms":999'
        exchange.body = exchange.body.replace(short, long)

    found.proxy.before = lengthen
    done = run(found, stack, "--only", "13,27")
    found.proxy.before = unchanged
    result, saw = done.checks["13"]
    if result != "skipped" or not saw.startswith("no cancel met an end: 50 cancels agree"):
        yield f"check 13 is {result}: {saw}"


def a_second_stack_that_is_not_deployed_is_named(found: World, stack: str) -> Iterator[str]:
    done = run(found, stack, "--only", "15", SMOKE_FAULT="the second stack may not be made")
    result, saw = done.checks["15"]
    if result != "FAILED" or not saw.endswith("; see SMOKE.md, What it makes"):
        yield f"check 15 is {result}: {saw}"
    yield from _left(found)


def without_demonstration_functions_their_checks_are_skipped(
    found: World, stack: str
) -> Iterator[str]:
    other = found.deploy({}, {"DemoFunctions": "0"})
    done = run(found, other, "--only", "1,8,9,10,11,12,13,24")
    for number, (result, saw) in done.checks.items():
        if result != ("ok" if number == "1" else "skipped"):
            yield f"check {number} is {result}: {saw}"
    if done.code != 0:
        yield f"exit {done.code}: {done.errors}"


def a_replaced_secret_is_noticed_and_restored(found: World, stack: str) -> Iterator[str]:
    found.receiver.alter = _signed_with_every_secret
    done = run(found, stack, "--long", "--only", "16")
    found.receiver.alter = lambda event: event
    if done.checks["16"][0] != "ok":
        yield f"check 16 is {done.checks['16']}"
    if _secrets() != [found.secret]:
        yield f"the secret is {_secrets()}"


def _secrets() -> list[str]:
    value = client("secretsmanager").get_secret_value(SecretId="webhook")["SecretString"]
    return str(value).split(" ")


def _signed_with_every_secret(event: Any) -> Any:
    """As the callback function signs once it has read the secret again. The bundle does not."""
    headers, body = event["headers"], event["body"]
    if event["requestContext"]["http"]["method"] == "POST":
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
        keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in _secrets()]
        codes = [hmac.digest(key, signed, "sha256") for key in keys]
        headers["webhook-signature"] = " ".join(
            f"v1,{base64.b64encode(code).decode()}" for code in codes
        )
    return event


def a_rollback_of_a_bad_release_passes(found: World, stack: str) -> Iterator[str]:
    done = run(found, stack, "--break", "--only", "31")
    if done.checks["31"][0] != "ok":
        yield f"check 31 is {done.checks['31']}"


def an_interrupted_bad_release_is_cancelled(found: World, stack: str) -> Iterator[str]:
    # Slow responses, so that the update is in progress when the signal comes.
    found.proxy.before = lambda exchange: time.sleep(1)
    process, directory = start(found, stack, "--break", "--only", "31", "--json")
    updates = Path(found.variables["SMOKE_CALLS"] + "-updates")

    def is_reached() -> bool:
        return any(file.stat().st_size for file in directory.glob("ferry-smoke.*/breaking"))

    if not _runs_until(process, is_reached):
        yield f"it ended before it was interrupted: {process.communicate()}"
        return
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    found.proxy.before = unchanged
    if updates.exists() or "returns to its release" not in errors:
        yield f"the update was not cancelled: {output}{errors}"
    yield from _left(found)


def the_conformance_tests_get_the_stacks_url_and_token(found: World, stack: str) -> Iterator[str]:
    options = ["--only", "29", "--conformance", str(found.checkout)]
    done = run(found, stack, *options, SMOKE_CONFORMANCE="ok")
    if done.checks["29"][0] != "ok":
        yield f"check 29 is {done.checks['29']}"


def the_conformance_tests_pass(found: World, stack: str) -> Iterator[str]:
    """With the waits of a deployed stack, which are shorter than those of the tests' own bundle."""
    options = ["--only", "29", "--conformance", str(_ROOT)]
    done = run(found, stack, *options, secs_max=_CONFORMANCE_SECS, SMOKE_CONFORMANCE="real")
    if done.checks["29"][0] != "ok":
        yield f"check 29 is {done.checks['29']}"


def requests_are_signed_for_iam(found: World, stack: str) -> Iterator[str]:
    signed: list[str] = []

    def authorize(exchange: Exchange) -> None:
        # The bundle has no IAM.
        given = exchange.headers.get("authorization", "")
        if given.startswith("AWS4-HMAC-SHA256 "):
            host = exchange.headers["x-original-host"]
            # Versions of curl differ in whether they sign a port, which AWS's URLs do not have.
            expected = [_signature(exchange, each) for each in (host, host.partition(":")[0])]
            if given.partition("Signature=")[2] not in expected:
                signed.append(f"{exchange.method} {exchange.path} has {given}, not {expected}")
            exchange.headers["authorization"] = f"Bearer {TOKEN}"

    found.proxy.before = authorize
    other = found.deploy({}, {"Authorizer": "iam"})
    variables = {"FERRY_TOKEN": "", "FERRY_OTHER_TOKEN": "", "FERRY_OWNER": ""}
    done = run(found, other, "--only", "3,4", **variables)
    found.proxy.before = unchanged
    yield from signed
    if done.checks["4"][0] != "ok":
        yield f"check 4 is {done.checks['4']}"
    # The bundle's owners are not those of IAM, of which check 3 names the expected one.
    result, saw = done.checks["3"]
    owner = f"the owner is local:{TOKEN}, not iam:ACCOUNT:AROAEXAMPLE"
    if result != "FAILED" or not saw.startswith(owner):
        yield f"check 3 is {result}: {saw}"


def _signature(exchange: Exchange, host: str) -> str:
    """By botocore, of the headers that the request says are signed."""
    authorization = exchange.headers["authorization"]
    names = re.findall("SignedHeaders=([^,]+)", authorization)[0].split(";")
    request = AWSRequest(
        exchange.method,
        f"http://{host}{exchange.path}",
        {name: exchange.headers[name] for name in names if name != "host"},
        exchange.body,
    )
    request.context["timestamp"] = exchange.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("test", "test"), "execute-api", REGION)
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


def the_owner_is_read_from_a_jwt(found: World, stack: str) -> Iterator[str]:
    claims = base64.urlsafe_b64encode(b'{"iss":"x","sub":"carol"}').decode().rstrip("=")
    token = f"e30.{claims}.c2ln"
    other = found.deploy({}, {"Authorizer": "jwt"})
    done = run(found, other, "--only", "3", FERRY_TOKEN=token, FERRY_OWNER="")
    if not done.checks["3"][1].endswith("not jwt:carol; see README.md, Who may call"):
        yield f"check 3 is {done.checks['3']}"


def the_script_made_each_call_to_aws_that_it_contains(found: World, stack: str) -> Iterator[str]:
    made = set(Path(found.variables["SMOKE_CALLS"]).read_text().splitlines())
    for service, command in sorted(calls(SCRIPT.parent)):
        # Commands of the CLI that are no operations.
        if command in ("deploy", "wait"):
            continue
        if found.has_old_cli and command == "get-function-recursion-config":
            continue
        if f"{service} {operation(command)}" not in made:
            yield f"{service} {command} was never called"


def listed() -> dict[str, str]:
    """The script's checks: number and function."""
    found = re.findall(r"(?m)^(\d+) +([a-z_]+) {2,}", SCRIPT.read_text())
    return dict(found)


def every_page_and_section_that_a_failure_names_exists(found: World, stack: str) -> Iterator[str]:
    rows = re.findall(r"(?m)^\d+ +[a-z_]+ +(\S+\.md), (.+)$", SCRIPT.read_text())
    if len(rows) != len(listed()):
        yield "a check names no page"
    receiver = (SCRIPT.parent / "smoke" / "receiver.sh").read_text()
    rows += re.findall(r'(?m)^[A-Z_]+_HELP="(\S+\.md), (.+)"$', receiver)
    # Next to the script, also in a release.
    for page, section in rows:
        headings = re.findall(r"(?m)^#+ (.+)$", (SCRIPT.parent / page).read_text())
        if section not in headings:
            yield f"{page} has no section {section}"


def the_page_lists_every_check(found: World, stack: str) -> Iterator[str]:
    page = (SCRIPT.parent / "SMOKE.md").read_text()
    table = page.partition("<!-- checks -->")[2].partition("<!-- /checks -->")[0]
    rows = dict(re.findall(r"(?m)^\| (\d+) \| ([^|]+?) \|", table))
    script = {number: name.replace("_", " ") for number, name in listed().items()}
    if rows != script:
        yield f"the page and the script differ: {set(rows.items()) ^ set(script.items())}"


def the_deployment_page_says_what_was_seen_on_aws(found: World, stack: str) -> Iterator[str]:
    page = (SCRIPT.parent / "SMOKE.md").read_text()
    rows = dict(re.findall(r"(?m)^\| (\d+) \|.*\| ([^|]+) \|$", page))
    text = (SCRIPT.parent / "README.md").read_text()
    text = text.partition("<!-- seen on AWS -->")[2].partition("<!-- /seen on AWS -->")[0]
    seen, _, not_seen = text.partition("Not seen:")
    for summed, is_seen in ((seen, True), (not_seen, False)):
        listed_there = {number for number, when in rows.items() if (when != "not yet") == is_seen}
        if _numbers(summed) & rows.keys() != listed_there:
            yield f"the pages differ in {_numbers(summed) ^ listed_there}"


def _numbers(text: str) -> set[str]:
    """Of text such as `1 to 3, 9 and 12`."""
    numbers: set[str] = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        numbers |= {str(number) for number in range(int(first), int(last or first) + 1)}
    return numbers


def the_second_stack_has_the_description_that_the_script_expects(
    found: World, stack: str
) -> Iterator[str]:
    receiver = (SCRIPT.parent / "smoke" / "receiver.sh").read_text()
    if second_stack()["Description"] not in receiver:
        yield "the script would not recognise its stack"


def title(check: Callable[..., Any]) -> str:
    return check.__name__.replace("_", " ")


def unnoticed(faults: list[Any]) -> Iterator[str]:
    noticed = {fault.noticed_by for fault in faults}
    for number, name in listed().items():
        if number not in noticed:
            yield f"check {number} ({name}) has no fault that it notices"


CHECKS = [
    every_page_and_section_that_a_failure_names_exists,
    the_page_lists_every_check,
    the_deployment_page_says_what_was_seen_on_aws,
    the_second_stack_has_the_description_that_the_script_expects,
    all_checks_pass_and_nothing_is_left,
    a_replaced_secret_is_noticed_and_restored,
    a_rollback_of_a_bad_release_passes,
    an_interrupted_bad_release_is_cancelled,
    the_conformance_tests_get_the_stacks_url_and_token,
    requests_are_signed_for_iam,
    the_owner_is_read_from_a_jwt,
    the_script_made_each_call_to_aws_that_it_contains,
    without_demonstration_functions_their_checks_are_skipped,
    a_failed_clean_up_is_reported,
    a_check_that_ends_its_shell_has_failed,
    races_that_no_work_wins_are_skipped,
    a_second_stack_that_is_not_deployed_is_named,
    an_interrupted_run_removes_what_it_made,
    an_interrupted_submit_is_removed,
]

# After the others, since nothing erases its operations.
LONG_CHECKS = [the_conformance_tests_pass]
