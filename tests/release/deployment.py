"""Deployments of an unpacked release, by the pages' commands, to moto."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy_tools.cloudformation import REGION, client, serve
from samtranslator.yaml_helper import yaml_parse
from template.linter import findings
from template.resources import FUNCTIONS
from template.stack import ROOT, Json, deploy, source

from .archives import Release

_PAGE = ROOT / "infra" / "README.md"
_EXAMPLE = ROOT / "infra" / "cdk" / "example.ts"
_BUCKET = "my-deployments"
# The commands' `sam` and `aws`, and what they need of this machine.
_PROGRAMS = ("bash", "date", "sha256sum", "unzip")
# A default that stands for "no authorizer function" is no ARN.
_LINTS_EXCEPTED = {"W1030"}


def the_pages_commands_deploy_it(release: Release, directory: Path, tools: Path) -> Iterator[str]:
    """In a directory with the archive alone, as far as there is an account."""
    with serve() as endpoint:
        run = _run(_commands(), directory, release, tools, endpoint)
        if run.returncode != 0:
            yield f"the commands end with {run.returncode}: {run.stdout}{run.stderr}"
            return
        [stack] = client("cloudformation", endpoint).describe_stacks(StackName="ferry")["Stacks"]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            yield f"the stack is {stack['StackStatus']}"
        outputs = {output["OutputKey"] for output in stack["Outputs"]}
        if outputs != source()["Outputs"].keys():
            yield f"the stack has the outputs {sorted(outputs)}"
        yield from _uploads(endpoint, release, directory / release.name("arm64"))


def the_packaged_template_is_the_tested_one(
    release: Release, directory: Path, tools: Path
) -> Iterator[str]:
    """`aws cloudformation package` changes where the code lies, and nothing else."""
    shown = _EXAMPLE.read_text().split("\n//\n")[1].replace("BUCKET", _BUCKET)
    command = re.sub(r"(?m)^// +", "", shown).strip()
    for architecture in ("arm64", "x86_64"):
        name = release.name(architecture)
        here = directory / architecture
        here.mkdir(parents=True)
        with serve() as endpoint:
            client("s3", endpoint).create_bucket(
                Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            commands = f"unzip -q {name}.zip\ncd {name}\n{command}"
            run = _run(commands, here, release, tools, endpoint)
        if run.returncode != 0:
            yield f"the commands end with {run.returncode}: {run.stdout}{run.stderr}"
            return
        packaged = here / name / "packaged.yaml"
        yield from findings([packaged], _LINTS_EXCEPTED)
        parameters = {"Authorizer": "iam", "Release": "1"}
        released = deploy(yaml_parse(packaged.read_text()), parameters).translated
        tested = deploy(source(), parameters).translated
        yield from _differences("", _compared(tested), _compared(released))


def _commands() -> str:
    """The page's, without the check of the deployed stack, which has another test."""
    block = _PAGE.read_text().split("<!-- from a release -->")[1].split("```")[1]
    lines = [line.removeprefix("$ ") for line in block.splitlines()[1:]]
    assert lines[-1] == "./smoke.sh ferry", lines
    return "\n".join(lines[:-1])


def _run(
    commands: str, directory: Path, release: Release, tools: Path, endpoint: str
) -> subprocess.CompletedProcess[str]:
    """Where Rust's programs are not on PATH."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    for name in _PROGRAMS:
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    for name in ("aws", "sam"):
        (programs / name).symlink_to(tools / name)
    work = directory / "empty"
    work.mkdir()
    for file in release.directory.iterdir():
        (directory / file.name).symlink_to(file)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=directory,
        env={
            "PATH": str(programs),
            "HOME": str(work),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            # moto finds the bucket in the URL of a template on this host.
            "AWS_ENDPOINT_URL": endpoint.replace("127.0.0.1", "localhost"),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "localhost",
            "SAM_CLI_TELEMETRY": "0",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def _uploads(endpoint: str, release: Release, unpacked: Path) -> Iterator[str]:
    """Each function's code is that of the archive, byte by byte."""
    storage = client("s3", endpoint)
    uploaded = set()
    for bucket in storage.list_buckets()["Buckets"]:
        for each in storage.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            body = storage.get_object(Bucket=bucket["Name"], Key=each["Key"])["Body"].read()
            uploaded.add(hashlib.sha256(body).hexdigest())
    for function in FUNCTIONS:
        code = unpacked / "functions" / f"{function.lower()}.zip"
        if hashlib.sha256(code.read_bytes()).hexdigest() not in uploaded:
            yield f"{code.name} was not uploaded as it is"


def _compared(translated: Json) -> Json:
    """The template without what only a build reads, and without where code and layer lie."""
    text = json.dumps(translated)
    text = re.sub(r'"S3Bucket": "[^"]*", "S3Key": "[^"]*"', '"uploaded": true', text)
    # SAM adds a hash of the layer's properties to its name.
    text = re.sub(r"FunctionsLayer[0-9a-f]{10}", "FunctionsLayer", text)
    found = json.loads(text)
    del found["Parameters"]["Architecture"]
    for resource in found["Resources"].values():
        resource.pop("Metadata", None)
    return found


def _differences(path: str, expected: Json, found: Json) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            yield from _differences(f"{path}/{key}", expected.get(key), found.get(key))
    elif expected != found:
        yield f"{path} is {found}, not {expected}"
