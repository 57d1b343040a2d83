"""The CDK example: the stack that it synthesises, and why it does not use `CfnInclude`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse
from template.linter import findings
from template.stack import Json

from . import release

_CFN_INCLUDE = Path(__file__).parent / "cfn_include.js"
# The dependency that CDK adds to a function on its role, which a reference makes as well.
_LINTS_EXCEPTED = {"W3005"}


class App:
    """The compiled example with its packages, which `tests/deploy_tools.sh` puts there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.packaged = directory / "packaged.yaml"
        self.packaged.write_text(release.packaged("my-deployments"))

    def run(self, program: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(self._directory / "cdk.out", ignore_errors=True)
        return subprocess.run(
            ["node", program, *arguments],
            cwd=self._directory,
            env={
                **os.environ,
                "CDK_OUTDIR": "cdk.out",
                "NODE_PATH": str(self._directory / "node_modules"),
            },
            capture_output=True,
            text=True,
        )

    def synthesise(self) -> Path:
        run = self.run("example.js")
        if run.returncode != 0:
            raise RuntimeError(run.stdout + run.stderr)
        return self._directory / "cdk.out" / "images.template.json"


def problems(directory: Path) -> Iterator[str]:
    app = App(directory)
    written = app.synthesise()
    synthesised = json.loads(written.read_text())
    yield from _is_nested(synthesised, written.parent, app.packaged)
    yield from findings([written], _LINTS_EXCEPTED)
    first = _nested(synthesised)["Parameters"]["Release"]
    app.packaged.write_text(release.packaged("other-deployments"))
    second = _nested(json.loads(app.synthesise().read_text()))["Parameters"]["Release"]
    if first == second:
        yield "other code has the same Release"


def includes(directory: Path) -> Iterator[str]:
    app = App(directory)
    run = app.run(_CFN_INCLUDE, str(app.packaged))
    if run.returncode == 0:
        yield "CfnInclude reads the template now, so the example can use it"
    elif "StatusFunction.Alias' not found" not in run.stdout:
        yield f"CfnInclude fails for another reason: {run.stdout}{run.stderr}"


def _nested(synthesised: Json) -> Json:
    [nested] = [
        resource["Properties"]
        for resource in synthesised["Resources"].values()
        if resource["Type"] == "AWS::CloudFormation::Stack"
    ]
    return nested


def _is_nested(synthesised: Json, assembly: Path, packaged: Path) -> Iterator[str]:
    nested = _nested(synthesised)
    template = yaml_parse(packaged.read_text())
    declared, given = template["Parameters"], nested["Parameters"]
    for name in sorted(given.keys() - declared.keys()):
        yield f"the example sets {name}, which is no parameter"
    for name in sorted(declared.keys() - given.keys()):
        if "Default" not in declared[name]:
            yield f"the example does not set {name}"
    aliases = [
        name
        for name, resource in synthesised["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Alias"
    ]
    if [given["TargetFunctionArns"]] != [{"Ref": name} for name in aliases]:
        yield f"TargetFunctionArns is {given['TargetFunctionArns']}"
    outputs = [output["Value"] for output in synthesised["Outputs"].values()]
    if outputs != [{"Fn::GetAtt": ["Ferry", "Outputs.ApiUrl"]}]:
        yield f"the outputs are {outputs}"
    if "ApiUrl" not in template["Outputs"]:
        yield "the template has no output ApiUrl"
    # The asset is the template, and the nested stack's URL is the asset's.
    assets = json.loads((assembly / "images.assets.json").read_text())["files"]
    named = [
        name
        for name, asset in assets.items()
        if (assembly / asset["source"]["path"]).read_text() == packaged.read_text()
    ]
    if len(named) != 1 or f"/{named[0]}.yaml" not in json.dumps(nested["TemplateURL"]):
        yield f"the nested stack's template is {nested['TemplateURL']}, and the assets are {named}"
