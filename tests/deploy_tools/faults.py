"""Faults of the files for GitHub Actions, each with the check that must notice it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from . import github
from .github import Check, Files


@dataclass(frozen=True)
class Fault:
    name: str
    noticed_by: Check
    old: str
    new: str


def noticed(fault: Fault, files: Files) -> Iterator[str]:
    """Puts the fault into a copy of the one file that has the old text."""
    directory = files.directory / "faulty"
    directory.mkdir(exist_ok=True)
    copies: dict[str, Path] = {}
    for name in ("workflow", "role"):
        text = getattr(files, name).read_text()
        if fault.old in text:
            copies[name] = directory / getattr(files, name).name
            copies[name].write_text(text.replace(fault.old, fault.new))
    if len(copies) != 1:
        yield f"the old text is in {len(copies)} files"
    elif not list(fault.noticed_by(replace(files, **copies))):
        yield f"{fault.noticed_by.__name__} does not notice it"


def checks_without_faults() -> Iterator[str]:
    # This one has faults when a version changes.
    others = {github.every_page_has_this_version}
    noticing = {fault.noticed_by for fault in FAULTS} | others
    for check in github.CHECKS:
        if check not in noticing:
            yield f"{check.__name__} has no fault that it notices"


FAULTS = [
    Fault(
        "a call of the smoke test that is not allowed",
        github.the_smoke_test_may_make_its_calls,
        "Action: iam:SimulatePrincipalPolicy",
        "Action: iam:SimulateCustomPolicy",
    ),
    Fault(
        "a call of the smoke test that is allowed on another table",
        github.the_smoke_test_may_make_its_calls,
        "${AWS::AccountId}:table/${StackName}-*\n              - Effect: Allow\n"
        "                Action: sqs:SendMessage",
        "${AWS::AccountId}:table/other-*\n              - Effect: Allow\n"
        "                Action: sqs:SendMessage",
    ),
    Fault(
        "a member that GitHub does not know",
        github.the_workflow_fits_githubs_schema,
        "runs-on: ubuntu-24.04",
        "runs_on: ubuntu-24.04",
    ),
    Fault(
        "an action by its tag",
        github.every_action_has_a_commit_and_its_version,
        "setup-sam@89ddb14d60e682855e3fea4be85b3c56485de310 # v3",
        "setup-sam@v3",
    ),
    Fault(
        "a token for every job",
        github.only_the_protected_job_gets_a_token,
        "permissions: { contents: read }",
        "permissions: { contents: read, id-token: write }",
    ),
    Fault(
        "a token outside the environment",
        github.only_the_protected_job_gets_a_token,
        "    environment: production\n",
        "",
    ),
    Fault(
        "a deployment of every branch",
        github.only_the_protected_job_gets_a_token,
        "github.event_name == 'push' && github.ref == 'refs/heads/main'",
        "github.event_name == 'push'",
    ),
    Fault(
        "an expression in a command",
        github.no_text_of_an_event_is_in_a_command,
        'Release="$RELEASE"',
        "Release=${{ github.head_ref }}",
    ),
    Fault(
        "a deployment without an option of the page",
        github.its_commands_are_those_of_the_page,
        "sam deploy --template template.yaml",
        "sam deploy",
    ),
    Fault(
        "a deployment without the check of the archive",
        github.its_commands_are_those_of_the_page,
        'sha256sum --check --quiet --ignore-missing "SHA256SUMS-$VERSION"\n',
        "true\n",
    ),
    Fault(
        "an action that IAM does not know",
        github.cfn_lint_finds_nothing_in_the_role,
        "lambda:PublishVersion",
        "lambda:PublishVersions",
    ),
    Fault(
        "every environment of the repository",
        github.only_the_repositorys_environment_can_assume_the_role,
        "${Repository}@${RepositoryId}:environment:${Environment}",
        "${Repository}@${RepositoryId}:*",
    ),
    Fault(
        "no audience",
        github.only_the_repositorys_environment_can_assume_the_role,
        "                token.actions.githubusercontent.com:aud: sts.amazonaws.com\n",
        "",
    ),
    Fault(
        "one id of two",
        github.only_the_repositorys_environment_can_assume_the_role,
        '      - Assert: !Not [!Equals [!Ref OrganizationId, ""]]\n',
        '      - Assert: !Not [!Equals [!Ref Organization, ""]]\n',
    ),
    Fault(
        "no update of a table",
        github.the_role_may_make_each_resource_of_the_template,
        "                  - dynamodb:UpdateTable\n",
        "",
    ),
    Fault(
        "more than the stack needs",
        github.the_role_may_do_nothing_else,
        "                  - dynamodb:UpdateTable\n",
        "                  - dynamodb:UpdateTable\n                  - dynamodb:CreateBackup\n",
    ),
    Fault(
        "all actions of a service",
        github.the_role_may_do_nothing_else,
        "                  - sqs:CreateQueue\n",
        "                  - sqs:*\n",
    ),
    Fault(
        "roles without the boundary",
        github.the_role_makes_roles_within_the_boundary_only,
        "iam:PermissionsBoundary: !If",
        "aws:RequestTag/boundary: !If",
    ),
    Fault(
        "roles of every path",
        github.the_role_makes_roles_within_the_boundary_only,
        "role${RolePath}${StackName}-*",
        "role/*",
    ),
    Fault(
        "a boundary that excludes a call of the functions",
        github.the_boundary_allows_what_the_roles_need,
        "              - dynamodb:BatchGetItem\n",
        "",
    ),
    Fault(
        "policies that are too long",
        github.the_policies_are_within_iams_quotas,
        "                  - sqs:CreateQueue\n",
        "                  - sqs:CreateQueue\n" * 600,
    ),
]
