#!/usr/bin/env bash
# Runs infra/smoke.sh against the local bundle and moto, then with faults that its checks must
# notice: see tests/smoke. What AWS alone has is answered from its API models, so no answer of AWS
# itself is seen here. Needs Python 3.11 or later with venv, curl, and PyPI on the first run.
# BINARIES is a directory with the bundle's binaries; without it they are built.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/smoke"

python_environment "$work" tests/requirements/smoke.txt
if [ -z "${BINARIES:-}" ]; then
    cargo build --quiet --locked --package local --package submit --package status \
        --package worker --package callback
    BINARIES="$(realpath "${CARGO_TARGET_DIR:-target}")/debug"
fi

for file in infra/smoke.sh infra/smoke/*.sh infra/smoke/checks/*.sh tests/smoke.sh; do
    bash -n "$file"
done
"$work/bin/shellcheck" --external-sources --check-sourced infra/smoke.sh tests/smoke.sh
"$work/bin/cfn-lint" --regions eu-central-1 -- infra/smoke.yaml
mkdir -p "$work/runs"
cd tests
PYTHONDONTWRITEBYTECODE=1 "$work/bin/python" -m smoke "$work/runs" "$BINARIES"
