#!/usr/bin/env bash
# Adds the example of functions/worker/README.md to a copy of this checkout, by the page's own steps, and
# runs the page's commands there, which must print what the page shows. Format and lints of the copy
# are checked as well. In the page, `<!-- FILE -->` says where the code below belongs: it is a new
# file, or lines to add to an existing one. Only the workspace's crates are built again, and the
# checkout's own builds stay as they are.
set -euo pipefail

cd "$(dirname "$0")/.."
PAGE=$PWD/functions/worker/README.md
# The module that the example adds to both crates.
MODULE=text_count
. tests/page.sh

# register LINE FILE: adds a line below the last one of its kind, which begins as it does up to the
# module's name and ends with the same character.
register() {
    awk -v line="$1" -v kind="${1%%"$MODULE"*}" '
        {
            lines[NR] = text = $0
            sub(/^ */, "", text)
            same_end = substr(text, length(text)) == substr(line, length(line))
            if (index(text, kind) == 1 && same_end) {
                last = NR
                indent = substr($0, 1, length($0) - length(text))
            }
        }
        END {
            if (!last) exit 1
            for (n = 1; n <= NR; n++) {
                print lines[n]
                if (n == last) print indent line
            }
        }' "$2" >"$2.new" || fail "no line in ${2#"$copy"/} is of the kind of: $1"
    mv "$2.new" "$2"
}

# try COMMAND OUTPUT: runs a command in the copy. It has to print this output, or, where the page
# shows none, to succeed and run a test.
try() {
    local printed status=0
    echo "\$ $1"
    printed=$(cd "$copy" && bash -o pipefail -c "$1" 2>&1 </dev/null) || status=$?
    if [ "$2" ]; then
        diff --label "shown for: $1" --label "printed" --unified \
            <(printf '%s' "$2") <(printf '%s\n' "$printed") ||
            fail "the command prints something else than the page shows"
        return
    fi
    printf '%s\n' "$printed"
    [ "$status" -eq 0 ] || fail "the command fails: $1"
    grep --quiet '^running [1-9]' <<<"$printed" || fail "no test ran of: $1"
}

copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
# With files that are not committed yet, and without those that are deleted.
git ls-files --cached --others --exclude-standard --deduplicate -z |
    while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
    xargs --null cp --parents --target-directory "$copy"

# Built dependencies come from the checkout. Cargo identifies a workspace's crates by their paths in
# it, which are the same in the copy, and by their profile, which therefore differs. What cargo
# copies out of the build directory, such as target/debug/local, belongs to the copy.
CARGO_BUILD_BUILD_DIR=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
export CARGO_BUILD_BUILD_DIR CARGO_TARGET_DIR="$copy/target"
export CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never

mapfile -t files < <(sed -n 's/^<!-- \([^/].*\.rs\) -->$/\1/p' "$PAGE")
[ "${#files[@]}" -gt 0 ] || fail "no code is marked"
for file in "${files[@]}"; do
    code=$(part "$file")
    [ "$code" ] || fail "the part $file is empty"
    if [ -e "$file" ]; then
        while IFS= read -r line; do register "$line" "$copy/$file"; done <<<"$code"
    else
        printf '%s\n' "$code" >"$copy/$file"
    fi
done

(cd "$copy" && cargo fmt --all --check) || fail "the example is not formatted"

command="" output="" tried=0
while IFS= read -r line; do
    case $line in
    '$ '*)
        [ -z "$command" ] || try "$command" "$output"
        command=${line#'$ '} output="" tried=$((tried + 1))
        ;;
    *) output+=$line$'\n' ;;
    esac
done < <(part "try the example")
[ "$tried" -gt 0 ] || fail "no command is marked"
try "$command" "$output"

cd "$copy"
cargo clippy --quiet --package shared --package worker --all-targets -- -D warnings ||
    fail "the example has lints"
