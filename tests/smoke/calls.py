"""The script's calls to AWS, read from its files."""

import re
from pathlib import Path


def calls(infra: Path) -> set[tuple[str, str]]:
    """Service and operation, as the AWS CLI names them, of the script in this directory."""
    return {
        call
        for script in (infra / "smoke.sh", *(infra / "smoke").rglob("*.sh"))
        for call in re.findall(r"\baws_text ([a-z0-9]+) ([a-z-]+)", script.read_text())
    }


def operation(command: str) -> str:
    """The operation of a command such as `get-item`."""
    return "".join(map(str.capitalize, command.split("-")))
