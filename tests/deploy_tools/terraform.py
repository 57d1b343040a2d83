"""The Terraform module: its form, what it plans, and a life of its stack on moto."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse
from template.stack import ROOT, Json, source

from . import release
from .cloudformation import REGION, client, serve

MODULE = ROOT / "infra" / "terraform"
_PAGE = MODULE / "README.md"
_BUCKET = "my-deployments"
# Where users and packages put plugins.
_PLUGIN_DIRECTORIES = ("~/.terraform.d", "/opt", "/usr/local/share", "/usr/share")
_PROVIDER = "registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws_v*"


class Failed(Exception):
    """Terraform ended with an error."""


def unavailable() -> str | None:
    """Why the module cannot be tested on this machine, unless it can be."""
    if shutil.which("terraform") is None:
        return "terraform is not installed"
    if _plugins() is None:
        return "Terraform's AWS provider is in no plugin directory (TF_PLUGIN_DIR)"
    return None


def _plugins() -> Path | None:
    named = os.environ.get("TF_PLUGIN_DIR")
    for directory in (named,) if named else _PLUGIN_DIRECTORIES:
        for pattern in (_PROVIDER, f"*/{_PROVIDER}"):
            for provider in Path(directory).expanduser().glob(pattern):
                return provider.parents[5]
    return None


def documented_parameters(template: Json) -> Iterator[str]:
    """Every parameter of the page is the template's, and the required ones are in the example."""
    text = _PAGE.read_text()
    example = set(re.findall(r"^    (\w+) += ", text, re.MULTILINE))
    words = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)", text))
    for name in sorted((example | words) - template["Parameters"].keys()):
        yield f"the page names {name}, which is no parameter"
    required = {name for name, each in template["Parameters"].items() if "Default" not in each}
    for name in sorted(required - example - {"Release"}):
        yield f"the example does not set {name}"
    if len(example) < 3:
        yield f"the example sets {example}"
    variables = (MODULE / "variables.tf").read_text()
    declared = set(re.findall(r'^variable "(\w+)"', variables, re.MULTILINE))
    used = set(re.findall(r"^  (\w+) += ", text, re.MULTILINE)) - {"source", "value"}
    for name in sorted(used - declared):
        yield f"the example sets {name}, which is no variable of the module"
    for name in sorted(declared - set(re.findall(r"`(\w+)`", text)) - used):
        yield f"the page does not name the variable {name}"


class Configuration:
    """The page's example in a directory, with a provider for moto."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(MODULE, directory / "modules" / "ferry")
        [archive] = re.findall(r'archive = "\$\{path.root\}/(.+)"', example())
        release.unpack(directory / archive)
        release.zip_layer(directory / archive / "layer.zip", '{"format": 1, "functions": []}')
        release.zip_layer(directory / "other.zip", '{"format": 1, "functions": [{}]}')
        (directory / "main.tf").write_text(example())
        provider = {
            "region": REGION,
            "access_key": "test",
            "secret_key": "test",
            "skip_credentials_validation": True,
            "skip_requesting_account_id": True,
            "s3_use_path_style": True,
            "endpoints": {"cloudformation": endpoint, "s3": endpoint, "sts": endpoint},
        }
        (directory / "provider.tf.json").write_text(json.dumps({"provider": {"aws": provider}}))

    def change(self, old: str, new: str) -> None:
        main = self._directory / "main.tf"
        text = main.read_text()
        assert text.count(old) == 1, old
        main.write_text(text.replace(old, new))

    def run(self, *arguments: str) -> str:
        environment = {
            **os.environ,
            "CHECKPOINT_DISABLE": "1",
            "NO_PROXY": "127.0.0.1",
            # The machine's own configuration could name other plugins.
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
        }
        run = subprocess.run(
            ["terraform", *arguments],
            cwd=self._directory,
            env=environment,
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            raise Failed(f"terraform {' '.join(arguments)}: {run.stdout}{run.stderr}")
        return run.stdout

    def plan(self) -> str:
        return self.run("plan", "-input=false", "-no-color", "-out=planned")


def example() -> str:
    part = _PAGE.read_text().split("<!-- example -->")[1].split("<!-- /example -->")[0]
    return part.split("```hcl\n")[1].split("```")[0]


def problems(directory: Path) -> Iterator[str]:
    with serve() as endpoint:
        try:
            yield from _lifecycle(Configuration(directory, endpoint), endpoint)
        except Failed as failed:
            yield str(failed)


def _lifecycle(configuration: Configuration, endpoint: str) -> Iterator[str]:
    storage, formation = client("s3", endpoint), client("cloudformation", endpoint)
    storage.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    configuration.run("fmt", "-check", "-diff", "-recursive")
    configuration.run("init", "-backend=false", "-no-color", f"-plugin-dir={_plugins()}")
    configuration.run("validate", "-no-color")

    configuration.plan()
    planned = _planned(json.loads(configuration.run("show", "-json", "planned")))
    yield from _is_packaged(planned)
    first = planned["aws_cloudformation_stack.ferry"]["parameters"]["Release"]
    configuration.run("apply", "-input=false", "-no-color", "planned")
    stack = formation.describe_stacks(StackName="ferry")["Stacks"][0]
    outputs = {output["OutputKey"] for output in stack["Outputs"]}
    if outputs != source()["Outputs"].keys():
        yield f"the stack has the outputs {sorted(outputs)}"
    url = configuration.run("output", "-raw", "ferry_url")
    if url not in {output["OutputValue"] for output in stack["Outputs"]}:
        yield f"the module's output ApiUrl is {url}"
    uploaded = _keys(storage)
    if len(uploaded) != 6:
        yield f"it uploads {uploaded}"

    if changed := _changed(configuration.plan()):
        yield f"a plan without changes has {changed}"
    # Not applied, since moto cannot update a function with a layer.
    configuration.change('"ferry"\n  }\n', '"other"\n  }\n')
    configuration.change("/layer.zip", "/../other.zip")
    plan = configuration.plan()
    if _changed(plan) != [
        "aws_cloudformation_stack.ferry will be updated in-place",
        'aws_s3_object.code["layer/"] must be replaced',
        "aws_s3_object.template must be replaced",
    ]:
        yield f"another parameter and layer change {_changed(plan)}"
    if f'"Release"     = "{first}" -> "' not in plan:
        yield "another parameter and layer have the same Release"
    if "-/+" in plan:
        yield "an upload is deleted before the stack's update, which may be rolled back to it"

    configuration.run("destroy", "-auto-approve", "-input=false", "-no-color")
    if left := _keys(storage):
        yield f"it leaves {left} in the bucket"
    if formation.describe_stacks()["Stacks"]:
        yield "it leaves the stack"


def _planned(plan: Json) -> dict[str, Json]:
    """The values of the module's resources by their addresses in it."""
    [module] = plan["planned_values"]["root_module"]["child_modules"]
    prefix = f"{module['address']}."
    return {
        resource["address"].removeprefix(prefix): resource["values"]
        for resource in module["resources"]
    }


def _changed(plan: str) -> list[str]:
    """What a plan would do, as Terraform prints it above each resource."""
    lines = (line.removeprefix("  # module.ferry.") for line in plan.splitlines())
    return [line for line in lines if line.startswith("aws_")]


def _is_packaged(planned: dict[str, Json]) -> Iterator[str]:
    stack = planned["aws_cloudformation_stack.ferry"]
    if sorted(stack["capabilities"]) != ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM"]:
        yield f"the stack's capabilities are {stack['capabilities']}"
    parameters = stack["parameters"]
    if not re.fullmatch(source()["Parameters"]["Release"]["AllowedPattern"], parameters["Release"]):
        yield f"Release is {parameters['Release']}"
    packaged = yaml_parse(planned["aws_s3_object.template"]["content"])
    keys = {name: values["key"] for name, values in planned.items() if "aws_s3_object.code" in name}
    named = {
        name: each["Properties"].get("CodeUri", each["Properties"].get("ContentUri"))
        for name, each in packaged["Resources"].items()
        if each["Type"].startswith("AWS::Serverless::")
    }
    uploaded = {f"s3://{_BUCKET}/{key}" for key in keys.values()}
    if set(named.values()) != uploaded or len(uploaded) != 5:
        yield f"the template names {named}, and the uploads are {uploaded}"
    # Nothing else is changed.
    for name, code in named.items():
        file = "layer" if name == "FunctionsLayer" else name.removesuffix("Function").lower()
        if not code.endswith(f"/{file}.zip"):
            yield f"{name} has the code {code}"
    expected = yaml_parse(release.packaged(_BUCKET))
    for template in (packaged, expected):
        for name in named:
            template["Resources"][name]["Properties"].pop("CodeUri", None)
            template["Resources"][name]["Properties"].pop("ContentUri", None)
    if packaged != expected:
        yield "the module changes more of the template than the paths"


def _keys(storage: Json) -> list[str]:
    listed = storage.list_objects_v2(Bucket=_BUCKET)
    return [each["Key"] for each in listed.get("Contents", [])]
