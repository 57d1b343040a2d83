#!/usr/bin/env bash
# Builds the functions as they are deployed, with cargo-lambda, for this machine's architecture;
# prints their sizes, and checks that there are four and that they can start on Lambda. Then runs
# the suite tests/tests/cargo_lambda: the built functions in the bundle, every sample event with
# `cargo lambda invoke`, and the routes with `cargo lambda watch`. With --all it builds for arm64
# and x86_64, and with SAM as well, which must build the same files. A fresh build of an
# architecture takes five minutes on two processors. Needs Python 3.11 or later with venv, rustup,
# readelf; PyPI on the first run; and for --all an x86_64 machine with qemu-aarch64 and Debian's C
# library for arm64.
set -euo pipefail

FUNCTIONS=(callback status submit worker)
# The C library of Amazon Linux 2023, on which the runtime provided.al2023 is based.
GLIBC_MAX=2.34

case "$*" in
"") architectures=("$(uname -m | sed 's/aarch64/arm64/')") by_sam="" ;;
--all) architectures=(arm64 x86_64) by_sam=yes ;;
*) echo "usage: $0 [--all]" >&2 && exit 2 ;;
esac

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/cargo-lambda"

python_environment "$work" tests/requirements/cargo_lambda.txt
# Here cargo finds cargo-lambda, and cargo-lambda finds Zig.
export PATH="$work/bin:$PATH" SAM_CLI_TELEMETRY=0

fail() {
    echo "$*" >&2
    exit 1
}

# build ARCHITECTURE: into ARCHITECTURE/NAME/bootstrap.zip, and unpacked in the same directory.
build() {
    local architecture=$1 built layer name directory sam
    rm -rf "${work:?}/$architecture"
    cargo lambda build --release "--${architecture/_/-}" --output-format zip \
        --lambda-dir "$work/$architecture"
    built=$(cd "$work/$architecture" && echo *)
    [ "$built" = "${FUNCTIONS[*]}" ] || fail "built for $architecture: $built"
    if [ "$by_sam" ]; then
        sam build --template infra/template.yaml --build-dir "$work/sam" \
            --parameter-overrides "Architecture=$architecture"
        layer=$(sed -n 's/^ *ContentUri: //p' "$work/sam/template.yaml")
        [ -f "$work/sam/$layer/ferry/functions.json" ] || fail "SAM does not find the layer"
    fi

    for name in "${FUNCTIONS[@]}"; do
        directory="$work/$architecture/$name"
        "$work/bin/python" -m zipfile --extract "$directory/bootstrap.zip" "$directory"
        chmod +x "$directory/bootstrap"
        if [ "$by_sam" ]; then
            sam="$work/sam/${name^}Function/bootstrap"
            cmp "$directory/bootstrap" "$sam" || fail "SAM builds another $name for $architecture"
        fi
        starts_on_lambda "$directory/bootstrap"
    done
}

# starts_on_lambda BINARY: fails if it needs a newer C library than Lambda has.
starts_on_lambda() {
    local needed newest
    needed=$(readelf --version-info --wide "$1" | grep --only-matching 'GLIBC_[0-9.]*' |
        sed 's/GLIBC_//' | sort --version-sort | tail -n 1) || true
    [ -n "$needed" ] || fail "$1 names no version of the C library"
    newest=$(printf '%s\n' "$needed" "$GLIBC_MAX" | sort --version-sort | tail -n 1)
    [ "$newest" = "$GLIBC_MAX" ] || fail "$1 needs glibc $needed, and Lambda has $GLIBC_MAX"
}

for architecture in "${architectures[@]}"; do build "$architecture"; done

printf '\n%-10s %-8s %12s %12s\n' function "" binary zip
for name in "${FUNCTIONS[@]}"; do
    for architecture in "${architectures[@]}"; do
        printf '%-10s %-8s %12d %12d\n' "$name" "$architecture" \
            "$(stat --format %s "$work/$architecture/$name/bootstrap")" \
            "$(stat --format %s "$work/$architecture/$name/bootstrap.zip")"
    done
done

# The bundle starts functions by their names. For another architecture, a script with that name
# starts the function in an emulator.
declare -A starts=([arm64]="" [x86_64]="")
[ "$(uname -m)" = aarch64 ] || starts[arm64]="qemu-aarch64 -L /usr/aarch64-linux-gnu"
directories=()
for architecture in "${architectures[@]}"; do
    directory="$work/$architecture/bin"
    mkdir -p "$directory"
    for name in "${FUNCTIONS[@]}"; do
        printf '#!/bin/sh\nexec %s "%s"\n' "${starts[$architecture]}" \
            "$work/$architecture/$name/bootstrap" >"$directory/$name"
        chmod +x "$directory/$name"
    done
    directories+=("$directory")
done

# Builds what `cargo lambda` and the suite would build, so that no test waits for a build.
cargo build --quiet --workspace
cargo test --quiet --workspace --no-run
CARGO_LAMBDA="$work/bin/cargo-lambda" BUILT_FUNCTIONS="$(IFS=: && echo "${directories[*]}")" \
    cargo test --workspace --test cargo_lambda
