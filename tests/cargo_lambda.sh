#!/usr/bin/env bash
# Builds the functions as they are deployed, by cargo-lambda and by SAM, for arm64 or for the architectures that are named (arm64,
# x86_64); shows their sizes, and holds them to what they are: four, able to start on Lambda, and the same whoever builds. Then runs
# the suite tests/tests/cargo_lambda: what was built in the bundle, every sample event by `cargo lambda invoke`, and the routes by
# `cargo lambda watch`. Each architecture takes five minutes of two processors when it is built anew. Needs an x86_64 machine
# with Python 3.11 or later with venv, rustup, readelf, qemu-aarch64 and Debian's C library for arm64; and PyPI on the first run.
set -euo pipefail

FUNCTIONS=(callback status submit worker)
# The C library of Amazon Linux 2023, on which the runtime provided.al2023 is based.
GLIBC_MAX=2.34

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
    local architecture=$1 built name directory sam
    rm -rf "${work:?}/$architecture"
    cargo lambda build --release "--${architecture/_/-}" --output-format zip \
        --lambda-dir "$work/$architecture"
    built=$(cd "$work/$architecture" && echo *)
    [ "$built" = "${FUNCTIONS[*]}" ] || fail "built for $architecture: $built"
    sam build --template infra/template.yaml --build-dir "$work/sam" --parameter-overrides "Architecture=$architecture"

    for name in "${FUNCTIONS[@]}"; do
        directory="$work/$architecture/$name"
        "$work/bin/python" -m zipfile --extract "$directory/bootstrap.zip" "$directory"
        chmod +x "$directory/bootstrap"
        sam="$work/sam/${name^}Function/bootstrap"
        cmp "$directory/bootstrap" "$sam" || fail "SAM builds another $name for $architecture"
        holds_on_lambda "$directory/bootstrap"
    done
}

# holds_on_lambda BINARY: fails if it needs a newer C library than Lambda has.
holds_on_lambda() {
    local needed newest
    needed=$(readelf --version-info --wide "$1" | grep --only-matching 'GLIBC_[0-9.]*' |
        sed 's/GLIBC_//' | sort --version-sort | tail -n 1) || true
    [ -n "$needed" ] || fail "$1 names no version of the C library"
    newest=$(printf '%s\n' "$needed" "$GLIBC_MAX" | sort --version-sort | tail -n 1)
    [ "$newest" = "$GLIBC_MAX" ] || fail "$1 needs glibc $needed, and Lambda has $GLIBC_MAX"
}

architectures=("${@:-arm64}")
for architecture in "${architectures[@]}"; do build "$architecture"; done

printf '\n%-10s %-8s %12s %12s\n' function "" binary zip
for name in "${FUNCTIONS[@]}"; do
    for architecture in "${architectures[@]}"; do
        printf '%-10s %-8s %12d %12d\n' "$name" "$architecture" \
            "$(stat --format %s "$work/$architecture/$name/bootstrap")" \
            "$(stat --format %s "$work/$architecture/$name/bootstrap.zip")"
    done
done

# The bundle starts functions by their names; those of another processor through its emulator.
declare -A starts=([arm64]="qemu-aarch64 -L /usr/aarch64-linux-gnu" [x86_64]="")
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
