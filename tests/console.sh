#!/usr/bin/env bash
# Runs the console's tests in a real browser, Chromium, against the bundle: what people do with it,
# by keyboard alone as well, what other pages get, data that looks like markup, accessibility, small
# screens, and broken states. Pictures of each page in both themes and at 320 pixels are written to
# target/console/pages. It takes under three minutes. With --all also a list of ten thousand
# operations and ten minutes of polls. With --picture it only draws the picture of the README anew,
# in the repository. Needs Node 20.11 or later with npm, Chromium (CHROMIUM is its path,
# /usr/bin/chromium by default), and npm's registry on the first run.
set -euo pipefail

cd "$(dirname "$0")/.."
CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"
if ! [ -x "$CHROMIUM" ]; then
    echo "tests/console.sh: skipped, since there is no Chromium at $CHROMIUM (set CHROMIUM)" >&2
    exit "${CONSOLE_SKIPPED:-0}"
fi
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
work="$target/console"
mkdir -p "$work"

# Written last, so that an interrupted installation is repeated.
installed="$work/node-packages"
if ! cmp --quiet tests/console/package-lock.json "$installed"; then
    cp tests/console/package{,-lock}.json "$work"
    npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel error
    cp tests/console/package-lock.json "$installed"
fi
cargo build --quiet --workspace --locked
# Copied to where Node finds the packages.
rm -rf "$work"/{tests,pages}
mkdir "$work/tests"
cp tests/console/*.mjs "$work/tests"
export CHROMIUM CONSOLE_BINARIES="$target/debug" CONSOLE_PAGES="$work/pages"
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1" no_proxy="${no_proxy:+$no_proxy,}127.0.0.1"
files=("$work"/tests/*.test.mjs)
export CONSOLE_PICTURE="$work/pages/console.png"
# A file of tests, and all of them. What hangs would otherwise end with the machine.
file_seconds=300
all_seconds=600
options=()
case "${1-}" in
--all)
    files+=("$work"/tests/*.full.mjs)
    file_seconds=1800
    all_seconds=3600
    ;;
--picture)
    CONSOLE_PICTURE="$PWD/infra/console/console.png"
    files=("$work"/tests/load.full.mjs)
    options=(--test-name-pattern "the picture of the README")
    ;;
esac
timeout --kill-after 10 "$all_seconds" node --test --test-reporter spec --test-concurrency 2 \
    --test-timeout "${file_seconds}000" "${options[@]}" "${files[@]}"
