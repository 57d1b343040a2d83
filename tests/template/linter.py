"""cfn-lint, AWS's linter of templates."""

import json
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path

_CFN_LINT = Path(sys.executable).parent / "cfn-lint"


def findings(files: list[Path], excepted: Set[str]) -> Iterator[str]:
    """What it finds. An exception that is no longer needed is a finding as well."""
    run = subprocess.run(
        [_CFN_LINT, "--format", "json", "--regions", "eu-central-1", "us-east-1", "--", *files],
        capture_output=True,
        text=True,
    )
    found = json.loads(run.stdout or "[]")
    rules = {finding["Rule"]["Id"] for finding in found}
    for finding in found:
        if finding["Rule"]["Id"] not in excepted:
            line = finding["Location"]["Start"]["LineNumber"]
            yield f"{finding['Filename']}:{line}: {finding['Rule']['Id']} {finding['Message']}"
    for unused in sorted(excepted - rules):
        yield f"the exception for {unused} is no longer needed"
    if not found and run.returncode != 0:
        yield f"cfn-lint: {run.stderr}"
