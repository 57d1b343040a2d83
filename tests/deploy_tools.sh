#!/usr/bin/env bash
# Checks how the template is deployed with other tools than SAM (tests/deploy_tools): the Terraform
# module, from plan to destroy on moto; the CDK example, synthesised; the workflow for GitHub
# Actions and its role. With --all it also plants faults in workflow and role that these checks must
# notice. Without Terraform and its AWS provider in a plugin directory (TF_PLUGIN_DIR) it says so,
# and checks the module's documented parameters alone. Needs Python 3.11 or later with venv, Node 20
# or later with npm, and PyPI and npm's registry on the first run.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
work="$target/deploy-tools"
mkdir -p "$work/cdk"

python_environment "$target/template" tests/requirements/template.txt
python_environment "$work/python" tests/requirements/deploy_tools.txt
# Written last, as for Python's packages.
installed="$work/cdk/node-packages"
if ! cmp --quiet infra/cdk/package-lock.json "$installed"; then
    cp infra/cdk/package{,-lock}.json "$work/cdk"
    npm ci --prefix "$work/cdk" --ignore-scripts --no-audit --no-fund --loglevel error
    cp infra/cdk/package-lock.json "$installed"
fi

# Compiled where Node finds its imports.
cp infra/cdk/example.ts "$work/cdk"
(cd "$work/cdk" && node_modules/.bin/tsc --strict --target es2022 --module commonjs example.ts)

cd tests
PYTHONDONTWRITEBYTECODE=1 "$target/template/bin/python" -m deploy_tools "$work" "$@"
