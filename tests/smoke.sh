#!/usr/bin/env bash
# Runs infra/smoke.sh against the local bundle and moto, then with faults that its checks must
# notice: see tests/smoke. Responses of AWS that neither has are written from its API models; none
# of AWS itself is seen here. Needs Python 3.11 or later with venv, curl, and PyPI on the first run.
# With --all also runs the conformance tests by check 29, with cargo, and all else again with
# version 2 of the AWS CLI, from Debian's packages awscli and python3-yaml.
#
# BINARIES is a directory with the bundle's binaries; without it they are built. SMOKE_AWS,
# SMOKE_BASH and SMOKE_CURL are other programs than the AWS CLI from PyPI (version 1) and those on
# PATH; SMOKE_AWS has to be in Python. SMOKE is another smoke.sh, such as a release's, with the files
# next to it.
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
if [ -n "${SMOKE:-}" ]; then
    SMOKE=$(realpath "$SMOKE")
    export SMOKE
fi

for file in infra/smoke.sh infra/smoke/*.sh infra/smoke/checks/*.sh tests/smoke.sh; do
    bash -n "$file"
done
"$work/bin/shellcheck" --external-sources --check-sourced infra/smoke.sh tests/smoke.sh
"$work/bin/cfn-lint" --regions eu-central-1 -- infra/smoke.yaml
mkdir -p "$work/runs"
cd tests
export PYTHONDONTWRITEBYTECODE=1
"$work/bin/python" -m smoke "$work/runs" "$BINARIES" "$@"
if [ "${1-}" = --all ]; then
    SMOKE_AWS=/usr/bin/aws "$work/bin/python" -m smoke "$work/runs" "$BINARIES"
fi
