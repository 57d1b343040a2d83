#!/usr/bin/env bash
# Holds the template to what it must be, and to what others look for in templates, without an AWS account, and the API's description to
# OpenAPI: see tests/template. Needs Python 3.10 or later with venv, and PyPI on the first run.
set -euo pipefail

# Pinned: what a linter or a scanner says changes with its version, and the exceptions in tests/template/scanners.py with it.
PYTHON_PACKAGES=(
    "aws-sam-translator==1.115.0" "cfn-lint==1.58.0" "checkov==3.3.30" "moto[server]==5.2.5" "openapi-spec-validator==0.9.0"
)

cd "$(dirname "$0")/.."
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/template"

# Written last, so that what was installed by half, or before a version changed, is installed anew.
installed="$work/installed"
if ! [ -f "$installed" ] || [ "$(<"$installed")" != "${PYTHON_PACKAGES[*]}" ]; then
    rm -rf "$work"
    python3 -m venv "$work"
    "$work/bin/pip" install --quiet --disable-pip-version-check "${PYTHON_PACKAGES[@]}"
    echo "${PYTHON_PACKAGES[*]}" >"$installed"
fi

mkdir -p "$work/stacks"
cd tests
PYTHONDONTWRITEBYTECODE=1 "$work/bin/python" -m template "$work/stacks"
