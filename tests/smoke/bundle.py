"""The bundle, the account and the receiver, as the script meets them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from .proxy import Proxy
from .receiver import Receiver
from .responses import TOPIC
from .template import SCRIPT, reduced, second_stack, template

STACK = "ferry"
REGION = "eu-central-1"
# Long enough to be taken for a secret.
TOKEN = "alice-0123456789-0123456789"
OTHER_TOKEN = "bob-0123456789-0123456789"
LEASE_SECS = 8
WAIT_SECS = 2
ORIGIN = "https://app.example.com"
_READY = re.compile(r"^ready http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
_START_SECS = 60
# Runs the conformance tests in one run only, since they take longer than all else.
_CARGO = """
[ "$SMOKE_CONFORMANCE" != real ] || exec {cargo} "$@"
[ "$FORRST_URL $FORRST_AUTHORIZATION" = "{url}/forrst Bearer {token}" ] || exit 1
case $FORRST_CALLBACK_URL in http://127.0.0.1:*/conformance-smoke*) ;; *) exit 1 ;; esac
echo "test result: $SMOKE_CONFORMANCE. 40 passed; 0 failed"
[ "$SMOKE_CONFORMANCE" = ok ]
"""


class Bundle:
    """A running bundle, whose log is the stack's."""

    def __init__(self, binaries: Path, directory: Path, public_url: str, secret: str) -> None:
        self.log = directory / "bundle.log"
        self._environment = directory / "bundle.env"
        functions = directory / "functions.json"
        functions.write_text(json.dumps(_functions(directory)))
        variables = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "LEASE_SECONDS": str(LEASE_SECS),
            "PUBLIC_URL": public_url,
            "SERVICE_NAME": STACK,
            "WAIT_SECONDS_MAX": str(WAIT_SECS),
            "WEBHOOK_SECRETS": secret,
        }
        variables["FORRST_WAIT_SECONDS"] = str(WAIT_SECS)
        command = [binaries / "local", "--binaries", binaries, "--port", "0"]
        command += ["--instances", "8", "--require-token", "--cors-origin", ORIGIN]
        command += ["--environment", self._environment, "--functions-file", functions]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECS
        while not (ready := _READY.search(self.log.read_text())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the bundle does not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        self.port = int(ready[1])
        lines = self._environment.read_text().splitlines()
        self.variables = {
            name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)
        }

    def kill_workers(self) -> None:
        """Ends the worker's processes; the bundle starts others."""
        pattern = ["pgrep", "--parent", str(self._process.pid), "--exact", "worker"]
        for pid in subprocess.run(pattern, capture_output=True, text=True).stdout.split():
            os.kill(int(pid), signal.SIGKILL)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def _functions(directory: Path) -> Any:
    """The target of smoke.yaml, registered as SMOKE.md says."""
    code = second_stack()["Resources"]["Target"]["Properties"]["Code"]["ZipFile"]
    (directory / "index.py").write_text(code)
    page = (SCRIPT.parent / "SMOKE.md").read_text()
    shown = re.search(r"<!-- functions.json -->\n```json\n(.*?)```", page, re.DOTALL)
    assert shown
    registered = json.loads(shown[1])
    registered["functions"][0]["target"]["local"] = {
        "command": [sys.executable, "-m", "awslambdaric", "index.handler"],
        "directory": str(directory),
    }
    return registered


class World:
    """Everything that the script needs, and what it did."""

    def __init__(
        self, bundle: Bundle, proxy: Proxy, receiver: Receiver, directory: Path, secret: str
    ) -> None:
        self.bundle, self.proxy, self.receiver = bundle, proxy, receiver
        self.directory, self.secret = directory, secret
        self.stacks = 0
        self.variables = {
            **os.environ,
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL_DYNAMODB": bundle.variables["AWS_ENDPOINT_URL_DYNAMODB"],
            "AWS_ENDPOINT_URL_SQS": bundle.variables["AWS_ENDPOINT_URL_SQS"],
            "FERRY_TOKEN": TOKEN,
            "FERRY_OTHER_TOKEN": OTHER_TOKEN,
            "FERRY_OWNER": f"local:{TOKEN}",
            "SMOKE_CALLS": str(directory / "calls"),
            "SMOKE_LOG": str(bundle.log),
            "SMOKE_RECEIVER": f"{receiver.url}/",
        }
        (directory / "bin").mkdir()
        tests = Path(__file__).parents[1]
        python = _interpreter(os.environ.get("SMOKE_AWS")) or sys.executable
        self.has_old_cli = _is_old(python)
        self.variables["SMOKE_CLI"] = "old" if self.has_old_cli else "new"
        self._stand_in("aws", f'PYTHONPATH={tests} exec {python} -m smoke.aws "$@"')
        cargo = shutil.which("cargo")
        self._stand_in("cargo", _CARGO.format(cargo=cargo, url=proxy.url, token=TOKEN))
        for name in ("bash", "curl"):
            if program := os.environ.get(f"SMOKE_{name.upper()}"):
                (directory / "bin" / name).symlink_to(program)
        # For the cargo above.
        self.checkout = directory / "checkout"
        self.checkout.mkdir()
        (self.checkout / "Cargo.toml").touch()

    def _stand_in(self, name: str, script: str) -> None:
        file = self.directory / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def deploy(self, outputs: dict[str, str], parameters: dict[str, str]) -> str:
        """A stack with the template's outputs and parameters, and no resource of its own."""
        self.stacks += 1
        name = STACK if self.stacks == 1 else f"{STACK}{self.stacks}"
        source = template()
        values = {**self._outputs(), **outputs}
        assert values.keys() == source["Outputs"].keys(), values.keys() ^ source["Outputs"].keys()
        given = {**self._parameters(), **parameters}
        fixture = {
            "Parameters": source["Parameters"],
            "Resources": {"Nothing": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {key: {"Value": value} for key, value in values.items()},
        }
        client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=json.dumps(fixture),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
            ],
        )
        return name

    def deploy_receiver(self, name: str = "receiver") -> str:
        """The second stack, for runs that do not deploy it. Returns the receiver's URL."""
        key = "0" * 32
        body = reduced((SCRIPT.parent / "smoke.yaml").read_text(), self.receiver.url)
        given = {"ReceiverKey": key, "WebhookSecretArn": secret_arn()}
        client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=json.dumps(body),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        return f"{self.receiver.url}/{key}"

    def _outputs(self) -> dict[str, str]:
        arn = f"arn:aws:SERVICE:{REGION}:123456789012"
        found = {"ApiUrl": self.proxy.url, "ApiId": "a1b2c3d4e5", "DashboardName": "Dashboard"}
        found["TableName"] = self.bundle.variables["TABLE_NAME"]
        found["TableArn"] = f"{arn.replace('SERVICE', 'dynamodb')}:table/{found['TableName']}"
        found["WebhookSecretArn"] = secret_arn()
        for queue in ("Dispatch", "DispatchDeadLetter", "Callback", "CallbackDeadLetter"):
            variable = re.sub(r"(?<!^)(?=[A-Z])", "_", queue).upper()
            url = self.bundle.variables[f"{variable}_QUEUE_URL"]
            found[f"{queue}QueueUrl"] = url
            name = url.rpartition("/")[2]
            found[f"{queue}QueueArn"] = f"{arn.replace('SERVICE', 'sqs')}:{name}"
        for function in ("Submit", "Status", "Worker", "Callback"):
            name = function.lower()
            found[f"{function}FunctionArn"] = (
                f"{arn.replace('SERVICE', 'lambda')}:function:ferry-{name}:live"
            )
            found[f"{function}RoleArn"] = f"arn:aws:iam::123456789012:role/ferry-{name}"
            found[f"{function}LogGroupArn"] = (
                f"{arn.replace('SERVICE', 'logs')}:log-group:/{STACK}/{name}:*"
            )
        found["ApiLogGroupArn"] = (
            f"{arn.replace('SERVICE', 'logs')}:log-group:/aws/vendedlogs/{STACK}/api:*"
        )
        return found

    @staticmethod
    def _parameters() -> dict[str, str]:
        return {
            "AlarmTopicArn": TOPIC,
            # The bundle's tokens are the owners' names, as an authorizer function could have it.
            "Authorizer": "lambda",
            "CallbackAllowedNetworks": "127.0.0.0/8",
            "CorsAllowedOrigins": ORIGIN,
            "DemoFunctions": "1",
            "LeaseSeconds": str(LEASE_SECS),
            "Release": "1795461231",
            "Tracing": "Active",
            "WaitSecondsMax": str(WAIT_SECS),
        }


def _interpreter(program: str | None) -> str | None:
    """Of a program in Python, by its first line."""
    return Path(program).read_text().splitlines()[0].removeprefix("#!") if program else None


def _is_old(python: str) -> bool:
    """Whether the CLI lacks what AWS added in 2023 and 2024, which checks 11 and 14 read."""
    command = [python, "-c", "import awscli; print(awscli.__version__)"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    major, minor, _ = version.split(".", 2)
    return int(minor) < {"1": 34, "2": 18}[major]


def client(service: str) -> Any:
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}))


def generated_secret() -> str:
    """As CloudFormation makes the template's: without the prefix, which functions and receivers
    have to add."""
    properties = template()["Resources"]["WebhookSecret"]["Properties"]
    options = properties["GenerateSecretString"]["Fn::If"][1]
    secret: str = client("secretsmanager").get_random_password(**options)["RandomPassword"]
    assert re.fullmatch("[A-Za-z0-9]{44}", secret), secret
    return secret


def secret_arn() -> str:
    found: str = client("secretsmanager").describe_secret(SecretId="webhook")["ARN"]
    return found


@contextmanager
def world(binaries: Path, directory: Path) -> Iterator[World]:
    """`directory` is empty, and may be written to."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
    secret = generated_secret()
    client("secretsmanager").create_secret(Name="webhook", SecretString=secret)
    proxy = Proxy()
    bundle = Bundle(binaries, directory, proxy.url, secret)
    proxy.port = bundle.port
    try:
        yield World(bundle, proxy, Receiver(), directory, secret)
    finally:
        bundle.stop()
        moto.stop()
