"""Runs every check, in the directory that `tests/deploy_tools.sh` has prepared."""

import sys
from pathlib import Path

from template.report import Report
from template.stack import source

from . import cdk, terraform


def main() -> int:
    directory = Path(sys.argv[1])
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
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
