"""Checks the archives of a release.

`tests/release.sh` runs it with an empty directory, the version, the directory of the archives and
of the archives of another build, and the directory of `aws` and `sam`.
"""

import sys
from pathlib import Path

from template.report import Report

from . import archives, deployment
from .archives import Release


def main() -> int:
    directory, version, built, rebuilt, tools = sys.argv[1:]
    work, release = Path(directory), Release(Path(built), version)
    report = Report()
    report.record(
        "two builds of a commit are the same bytes",
        archives.the_bytes_are_those_of_another_build(release, Release(Path(rebuilt), version)),
    )
    report.record("every file is there", archives.every_file_is_there(release))
    report.record(
        "no link leads out of an archive", archives.no_link_leads_out_of_an_archive(release, work)
    )
    report.record("the checksums are right", archives.the_checksums_are_right(release))
    report.record(
        "the programs start on Amazon Linux",
        archives.the_programs_start_on_amazon_linux(release, work),
    )
    report.record(
        "no path of this machine is in a program",
        archives.no_path_of_this_machine_is_in_a_program(release, work),
    )
    report.record("the operator runs", archives.the_operator_runs(release, work))
    report.record(
        "the page's commands deploy it to moto",
        deployment.the_pages_commands_deploy_it(release, work / "deployed", Path(tools)),
    )
    report.record(
        "the packaged template is the tested one",
        deployment.the_packaged_template_is_the_tested_one(release, work / "packaged", Path(tools)),
    )
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
