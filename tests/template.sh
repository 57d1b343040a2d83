#!/usr/bin/env bash
# Holds the template to what it must be, and to what others look for in templates, without an AWS
# account, and the API's description to OpenAPI: see tests/template. With --all it also plants faults
# that each of these checks has to notice. Needs Python 3.11 or later with venv, and PyPI on the
# first run.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/template"

python_environment "$work" tests/requirements/template.txt

mkdir -p "$work/stacks"
cd tests
PYTHONDONTWRITEBYTECODE=1 "$work/bin/python" -m template "$work/stacks" "$@"
