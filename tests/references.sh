#!/usr/bin/env bash
# Runs the suites that can be held against implementations that share no code with ours: the local queues' and the secrets' against
# moto's SQS and Secrets Manager, and callbacks against receivers in Python and Node with the libraries of Standard Webhooks. What
# both sides pass is less likely to be our own idea of it. Needs Python 3.10 or later with venv, Node 18 or later with npm, and
# PyPI and npm's registry on the first run.
set -euo pipefail

# Pinned: a case that is skipped for moto names what this version does, and the README names these libraries.
PYTHON_PACKAGES=("moto[server]==5.2.5" "standardwebhooks==1.1.0" "cryptography==50.0.2")
NODE_PACKAGES=("standardwebhooks@1.1.1")
START_TIMEOUT_SECS=30

cd "$(dirname "$0")/.."
work="${CARGO_TARGET_DIR:-target}/references"
log="$work/moto.log"

# Written last, so that what was installed by half, or before a version changed, is installed anew.
installed="$work/installed"
packages="${PYTHON_PACKAGES[*]} ${NODE_PACKAGES[*]}"
if ! [ -f "$installed" ] || [ "$(<"$installed")" != "$packages" ]; then
    rm -rf "$work"
    python3 -m venv "$work"
    "$work/bin/pip" install --quiet --disable-pip-version-check "${PYTHON_PACKAGES[@]}"
    npm install --prefix "$work" --no-save --no-audit --no-fund --loglevel error "${NODE_PACKAGES[@]}"
    echo "$packages" >"$installed"
fi

# The whole suite with the functions' binaries, with the same features as ever, so that nothing is built twice; and first, so that
# the server is up for no longer than the suites take.
cargo test --quiet --workspace --no-run

# The kernel chooses the port, which the server reports in its log.
"$work/bin/moto_server" --host 127.0.0.1 --port 0 >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

endpoint=
deadline=$((SECONDS + START_TIMEOUT_SECS))
while [ -z "$endpoint" ]; do
    if ! kill -0 "$server" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
        echo "moto did not start:" >&2
        cat "$log" >&2
        exit 1
    fi
    endpoint=$(sed -n 's/.*Running on \(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$log" | head -n 1)
    [ -n "$endpoint" ] || sleep 0.1
done

# Shows what a suite ran against, and what it skipped and why. One of which nothing ran has not passed.
run() {
    cargo test --workspace --test "$@" -- --show-output | tee "$work/suite.log"
    if grep --quiet '^running 0 tests$' "$work/suite.log"; then
        echo "no test was run of: $*" >&2
        exit 1
    fi
}

SQS_ENDPOINT="$endpoint" run sqs
SECRETS_MANAGER_ENDPOINT="$endpoint" run stories rotation
RECEIVERS="$(realpath "$work")" run receivers
