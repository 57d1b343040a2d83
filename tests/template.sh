#!/usr/bin/env bash
# Holds the template to what it must be, and to what others look for in templates, without an AWS account, and the API's description to
# OpenAPI: see tests/template. Needs Python 3.10 or later with venv, and PyPI on the first run.
set -euo pipefail

# Pinned: what a linter or a scanner says changes with its version, and the exceptions in tests/template/scanners.py with it.
PYTHON_PACKAGES=(
    "aws-sam-translator==1.115.0" "cfn-lint==1.58.0" "checkov==3.3.30" "moto[server]==5.2.5" "openapi-spec-validator==0.9.0"
)

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/template"

python_environment "$work" "${PYTHON_PACKAGES[@]}"

mkdir -p "$work/stacks"
cd tests
PYTHONDONTWRITEBYTECODE=1 "$work/bin/python" -m template "$work/stacks"
