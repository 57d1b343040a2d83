#!/usr/bin/env bash
# Runs infra/smoke.sh against the local bundle and moto, then with faults that its checks must
# notice: see tests/smoke. Responses of AWS that neither has are written from its API models; none
# of AWS itself is seen here. Needs Python 3.11 or later with venv, curl, cargo, and PyPI on the
# first run.
#
# BINARIES is a directory with the bundle's binaries; without it they are built. SMOKE_AWS,
# SMOKE_BASH and SMOKE_CURL are other programs than the AWS CLI from PyPI (version 1) and those on
# PATH. SMOKE_AWS has to be in Python, as /usr/bin/aws from Debian's awscli is (version 2, with
# python3-yaml).
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/smoke"

python_environment "$work" tests/requirements/smoke.txt
if [ -z "${BINARIES:-}" ]; then
    # All of it, with the features of every other build, so that nothing is built twice.
    cargo build --quiet --workspace --locked
    BINARIES="${CARGO_TARGET_DIR:-target}/debug"
fi
BINARIES=$(realpath "$BINARIES")

for file in infra/smoke.sh infra/smoke/*.sh infra/smoke/checks/*.sh tests/smoke.sh; do
    bash -n "$file"
done
"$work/bin/shellcheck" --external-sources --check-sourced infra/smoke.sh tests/smoke.sh
"$work/bin/cfn-lint" --regions eu-central-1 -- infra/smoke.yaml
mkdir -p "$work/runs"
cd tests
PYTHONDONTWRITEBYTECODE=1 "$work/bin/python" -m smoke "$work/runs" "$BINARIES"
