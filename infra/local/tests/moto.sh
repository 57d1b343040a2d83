#!/usr/bin/env bash
# Runs the suite of the local queues against moto, an implementation of SQS that shares no code with ours. What both pass is
# less likely to be our own idea of SQS. Needs Python 3.10 or later with venv, and PyPI on the first run.
set -euo pipefail

# Pinned: a case that is skipped for moto names what this version does.
MOTO_VERSION=5.2.5
START_TIMEOUT_SECS=30

cd "$(dirname "$0")/../../.."
work="${CARGO_TARGET_DIR:-target}/moto-$MOTO_VERSION"
log="$work/server.log"

if ! [ -x "$work/bin/moto_server" ]; then
    python3 -m venv "$work"
    "$work/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$MOTO_VERSION"
fi

# As the whole suite is built, with the same features, so that nothing is built twice; and first, so that the server is up for
# no longer than the suite takes.
cargo test --workspace --test sqs --no-run

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

# Shows what was skipped, and why.
SQS_ENDPOINT="$endpoint" cargo test --workspace --test sqs -- --show-output
