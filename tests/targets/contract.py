"""Runs handlers in Python and Node in a bundle, and compares how their operations end.
usage: contract.py [--all]"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

ALL = "--all" in sys.argv[1:]
TESTS = pathlib.Path(__file__).parent.resolve()
REPOSITORY = TESTS.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
API = "http://127.0.0.1:3000"
LANGUAGES = {
    "python": ["python3", "-m", "awslambdaric", "app.handler"],
    # Memory runs out sooner with a limit.
    "node": ["node", "--max-old-space-size=64", "$FERRY_RUNTIMES/node.mjs", "app.handler"],
}
EXHAUSTED = "ATTEMPTS_EXHAUSTED"
# What the handler does, how its operation ends, at which attempt, and with which result or codes.
CASES = [
    ({"do": "result"}, "completed", 1, {"attempt": 1, "owner": "local:anonymous"}),
    ({"do": "null"}, "completed", 1, None),
    ({"do": "permanent"}, "failed", 1, ["VALUE_ERROR"]),
    ({"do": "again"}, "completed", 2, 2),
    ({"do": "error"}, "failed", 1, ["SOLD_OUT"]),
    ({"do": "continue"}, "completed", 3, 3),
    ({"do": "reserved"}, "failed", 1, ["TARGET_ANSWER_INVALID"]),
    ({"do": "exit"}, "failed", 2, ["TARGET_CRASHED", EXHAUSTED]),
    ({"do": "large"}, "failed", 1, ["RESULT_TOO_LARGE"]),
    ({"do": "deep"}, "failed", 1, ["TARGET_ANSWER_INVALID"]),
    ({"do": "sleep", "seconds": 30}, "failed", 2, ["DEADLINE_EXCEEDED", EXHAUSTED]),
]
# What differs by language: Python raises an error when memory runs out.
CASES_OF = {
    "python": [
        ({"do": "memory"}, "failed", 2, ["MEMORY_ERROR", EXHAUSTED]),
        ({"do": "no json"}, "failed", 1, ["TARGET_ANSWER_INVALID"]),
    ],
    "node": [
        ({"do": "memory"}, "failed", 2, ["TARGET_CRASHED", EXHAUSTED]),
        ({"do": "no json"}, "failed", 2, ["TYPE_ERROR", EXHAUSTED]),
    ],
}


def function(name, command, **members):
    return {
        "name": name,
        "version": "1.0.0",
        "description": "Does what its arguments say.",
        "arguments_schema": {"type": "object"},
        "attempts": 2,
        "timeout_seconds": 6,
        "retry": {"first_seconds": 0, "longest_seconds": 0},
        "send_owner": True,
        "target": {
            "lambda": {"function": name.replace(".", "-"), "permanent_errors": ["ValueError"]},
            "local": {"command": command, "directory": str(TESTS)},
        },
        **members,
    }


def request(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    call = urllib.request.Request(API + path, data=data, headers=headers)
    with urllib.request.urlopen(call) as response:
        return json.load(response)


def submit(name, arguments):
    return request("/operations", {"function": name, "arguments": arguments})["id"]


def ended(operation_id, seconds):
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        shown = request(f"/operations/{operation_id}")
        if shown["status"] in ("completed", "failed", "cancelled"):
            return shown
        time.sleep(0.2)
    sys.exit(f"{operation_id} has not ended after {seconds} s: {shown}")


def check(name, case, operation_id, seconds):
    arguments, status, attempt, expected = case
    shown = ended(operation_id, seconds)
    codes = [error["code"] for error in shown.get("errors", [])]
    found = (shown["status"], shown["attempt"], shown["result"] if status == "completed" else codes)
    if found != (status, attempt, expected):
        sys.exit(f"{name} {arguments}: expected {(status, attempt, expected)}, found {shown}")
    for secret in ("Traceback", "app.py", "app.mjs", "stackTrace"):
        if secret in json.dumps(shown):
            sys.exit(f"{name} {arguments}: shows {secret}: {shown}")
    print(f"{name:8} {json.dumps(arguments):36} {status} at attempt {attempt}")


def main():
    long_work = {"timeout_seconds": 120, "attempts": 2}
    functions = [function(f"test.{name}", command) for name, command in LANGUAGES.items()]
    functions += [
        function(f"test.{name}.long", command, **long_work) for name, command in LANGUAGES.items()
    ]
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "functions.json")
        file.write_text(json.dumps({"format": 1, "functions": functions}))
        log = pathlib.Path(directory, "log")
        with log.open("w") as output:
            bundle = subprocess.Popen(
                [TARGET / "debug/local", "--functions-file", file],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            give_up_at = time.monotonic() + 120
            while "ready http://" not in log.read_text():
                if bundle.poll() is not None or time.monotonic() > give_up_at:
                    sys.exit(f"the bundle does not start:\n{log.read_text()}")
                time.sleep(0.1)
            long_runs = []
            if ALL:
                # The lease is 60 s.
                case = ({"do": "sleep", "seconds": 70}, "completed", 1, 1)
                long_runs = [
                    (name, case, submit(f"test.{name}.long", case[0])) for name in LANGUAGES
                ]
            for name in LANGUAGES:
                cases = CASES + CASES_OF[name]
                submitted = [(case, submit(f"test.{name}", case[0])) for case in cases]
                for case, operation_id in submitted:
                    check(name, case, operation_id, 120)
            for name, case, operation_id in long_runs:
                check(name, case, operation_id, 120)
            printed = log.read_text()
            if "app.py" not in printed or "app.mjs" not in printed:
                sys.exit(f"the log has no stack traces:\n{printed}")
        finally:
            bundle.terminate()
            bundle.wait()


main()
