#!/usr/bin/env bash
# Registered functions with real handlers. Follows the steps of functions/README.md for a handler in
# Python as they stand, then replaces it with the page's handler in Node without a restart. Then
# handlers in both languages do what targets can do wrong, and each operation has to end as the
# page's table says. At last the network between worker and target falls silent. `--all` adds
# handlers that work for longer than a lease, and silences of minutes.
set -euo pipefail

cd "$(dirname "$0")/.."
PAGE=$PWD/functions/README.md
export FERRY=$PWD
. tests/page.sh

# follow NAME: runs the commands of a part, each of which has to print what the page shows.
follow() {
    local command="" output="" line
    while IFS= read -r line; do
        case $line in
        '$ '*)
            [ -z "$command" ] || try "$command" "$output"
            command=${line#'$ '} output=""
            ;;
        *) output+=$line$'\n' ;;
        esac
    done < <(part "$1")
    [ "$command" ] || fail "the part $1 has no command"
    try "$command" "$output"
}

try() {
    echo "\$ $1"
    # In this shell, since a command may change it; and errors of a command are part of its output.
    eval "$1" >"$scratch/printed" 2>&1 || true
    compare "$(cat "$scratch/printed")" "$2"
}

# await PATTERN: waits until the bundle has printed a line like this.
await() {
    timeout 60 grep --quiet --max-count 1 -- "$1" <(tail --follow --lines +1 --pid "$bundle" "$log") ||
        { cat "$log" >&2 && fail "the bundle does not print: $1"; }
}

cargo build --quiet --locked --package local --package operator

scratch=$(mktemp --directory)
log=$scratch/log
bundle=""
trap '[ -z "$bundle" ] || kill "$bundle" 2>/dev/null; wait; rm -rf "$scratch"' EXIT
mkdir "$scratch/page"
cd "$scratch/page"
part app.py >app.py
part app.mjs >app.mjs
part functions.json >functions.json

follow "try the handler"

command=$(part "serve the handler" | sed -n 's/^\$ //p')
echo "\$ $command"
# The program itself, and not cargo, has to get the signal that ends it.
serve=${command/#ferry local/"$FERRY/target/debug/local"}
[ "$serve" != "$command" ] || fail "the command that serves is not: ferry local …"
[ -z "${CARGO_TARGET_DIR:-}" ] || serve=${serve/"$FERRY/target"/"$CARGO_TARGET_DIR"}
(eval "exec $serve") >"$log" 2>&1 &
bundle=$!
while IFS= read -r line; do await "^$line\$"; done < <(part "serve the handler" | sed 1d)
follow "call the handler"

echo "Replacing the handler with the one in Node"
python3 - <<'PYTHON'
import json
with open("functions.json") as file:
    functions = json.load(file)
local = functions["functions"][0]["target"]["local"]
local["command"] = ["node", "$FERRY_RUNTIMES/node.mjs", "app.handler"]
with open("functions.json", "w") as file:
    json.dump(functions, file)
PYTHON
await '^target text.words 1.0.0: node '
follow "call the handler"
kill "$bundle"
wait "$bundle" || true
bundle=""

cd "$FERRY"
python3 tests/targets/contract.py "$@"

echo "Targets whose network falls silent"
silence=(cargo test --workspace --locked --test silence)
"${silence[@]}" --no-run
[ "${1:-}" = --all ] && skipped=() || skipped=(--skip long::)
# In a network namespace, where nothing can be downloaded. All tests wait at the same time.
unshare --map-root-user --net "${silence[@]}" --offline -- --test-threads 8 "${skipped[@]}"
