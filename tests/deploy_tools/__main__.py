"""Runs every check. With `--all` it also plants faults in the files for GitHub Actions.

`tests/deploy_tools.sh` runs it with a directory that it has prepared.
"""

import sys
from pathlib import Path

from template.report import Report
from template.stack import source

from . import cdk, faults, github, terraform


def main() -> int:
    match sys.argv[1:]:
        case [name]:
            directory, is_all = Path(name), False
        case [name, "--all"]:
            directory, is_all = Path(name), True
        case _:
            sys.exit("usage: python -m deploy_tools DIRECTORY [--all]")
    report = Report()
    template = source()
    report.record("Terraform: documented parameters", terraform.documented_parameters(template))
    if reason := terraform.unavailable():
        print(f"skipped Terraform: {reason}", flush=True)
    else:
        report.record(
            "Terraform: plan, apply, destroy", terraform.problems(directory / "terraform")
        )
    report.record("CDK: the synthesised stack", cdk.problems(directory / "cdk"))
    report.record("CDK: CfnInclude cannot read the template", cdk.includes(directory / "cdk"))
    files = github.Files(directory)
    for check in github.CHECKS:
        report.record(f"GitHub: {check.__name__.replace('_', ' ')}", check(files))
    report.record("every check of GitHub's has a fault to notice", faults.checks_without_faults())
    if is_all:
        for fault in faults.FAULTS:
            report.record(f"noticed: {fault.name}", faults.noticed(fault, files))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
