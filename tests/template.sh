#!/usr/bin/env bash
# Checks the template without an AWS account, by our own rules and by scanners of templates, and the
# API's document by OpenAPI's schema: see tests/template. With --all it also plants faults that
# these checks must notice. Needs Python 3.11 or later with venv, and PyPI on the first run.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/template"

python_environment "$work" tests/requirements/template.txt

mkdir -p "$work/stacks"
cd tests
PYTHONDONTWRITEBYTECODE=1 "$work/bin/python" -m template "$work/stacks" "$@"
