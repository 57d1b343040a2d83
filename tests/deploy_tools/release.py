"""An unpacked release: the template with paths to built functions, and files in their place."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from template.resources import FUNCTIONS
from template.stack import ROOT, SOURCE

_SCRIPT = ROOT / "infra" / "release" / "template.py"


def unpack(directory: Path) -> None:
    """Writes the template and the functions' code as a release has them."""
    (directory / "functions").mkdir(parents=True)
    (directory / "template.yaml").write_text(_template())
    for function in FUNCTIONS:
        name = function.lower()
        _zip(directory / "functions" / f"{name}.zip", "bootstrap", name)


def zip_layer(path: Path, functions: str) -> None:
    _zip(path, "ferry/functions.json", functions)


def packaged(bucket: str) -> str:
    """What `aws cloudformation package` makes of the template."""
    return re.sub(r"(CodeUri|ContentUri): (\S+)", rf"\1: s3://{bucket}/\2", _template())


def _template() -> str:
    command = [sys.executable, _SCRIPT, "arm64"]
    return subprocess.run(
        command, input=SOURCE.read_text(), stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def _zip(path: Path, name: str, content: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
