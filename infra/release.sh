#!/usr/bin/env bash
# Makes the archives of a release from the commit that is checked out: for each architecture
# `ferry-VERSION-ARCHITECTURE.zip`, which `sam deploy` deploys without a Rust toolchain, and the
# operator tool for Linux. Two builds of one commit by the same Rust, Zig and Python are the same
# bytes. Needs cargo-lambda, Zig and Python 3.11 or later on PATH:
# `pip install cargo-lambda==1.9.2 ziglang==0.17.1`.
# usage: infra/release.sh VERSION [DIRECTORY]
set -euo pipefail

FUNCTIONS=(submit status worker callback)
# What lies in the archives as it does in infra.
FILES=(README.md RUNBOOK.md SETTINGS.md SMOKE.md cdk functions.schema.json github layer openapi.yaml
    smoke smoke.sh smoke.yaml terraform)

fail() {
    echo "$0: $*" >&2
    exit 1
}

[ $# -ge 1 ] && [ $# -le 2 ] || fail "usage: $0 VERSION [DIRECTORY]"
version=$1
[ $# -lt 2 ] || out=$(realpath --canonicalize-missing "$2")
cd "$(dirname "$0")/.."
[ "$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)" = "$version" ] ||
    fail "Cargo.toml has another version than $version"
[ -z "$(git status --porcelain)" ] || fail "commit your changes first: a release is of a commit"
target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
[ $# -eq 2 ] || out=$target/release-archives
work=$target/release-build

# Paths of this machine would be in panic messages, and the archives would differ from another's.
export RUSTFLAGS="--remap-path-prefix=$PWD=ferry --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"

# build ARCHITECTURE [OPTION...]: builds the functions, or the package that the options name.
build() {
    cargo lambda build --locked --release "--${1/_/-}" --lambda-dir "$work/$1" "${@:2}"
}

built_with="commit $(git rev-parse HEAD)
$(rustc --version)
$(cargo lambda --version)
zig $(python-zig version 2>/dev/null || zig version)
$(python3 --version)"

rm -rf "$work"
mkdir -p "$out"
for architecture in arm64 x86_64; do
    build "$architecture"
    build "$architecture" --package operator --bin operator
    stage=$work/stage/ferry-$version-$architecture
    mkdir -p "$stage/functions"
    git archive HEAD:infra "${FILES[@]}" | tar -x -C "$stage"
    cp LICENSE-APACHE LICENSE-MIT CHANGELOG.md "$stage"
    # Links to what the archive does not have become text.
    sed -i -E 's/\[([^][]+)\]\((\.\.|local)\/[^)]*\)/\1/g' "$stage"/*.md
    echo "$built_with" >"$stage/BUILD"
    for name in "${FUNCTIONS[@]}"; do
        python3 infra/release/archive.py "$stage/functions/$name.zip" \
            bootstrap="$work/$architecture/$name/bootstrap"
    done
    python3 infra/release/template.py "$architecture" <infra/template.yaml >"$stage/template.yaml"
    (cd "$stage" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort |
        xargs sha256sum >SHA256SUMS)
    python3 infra/release/archive.py "$out/ferry-$version-$architecture.zip" "$stage"
    python3 infra/release/archive.py "$out/ferry-operator-$version-linux-$architecture.zip" \
        operator="$work/$architecture/operator/bootstrap" \
        LICENSE-APACHE=LICENSE-APACHE LICENSE-MIT=LICENSE-MIT
done
(cd "$out" && sha256sum ferry-"$version"-*.zip ferry-operator-"$version"-*.zip >"SHA256SUMS-$version" && cat "SHA256SUMS-$version")
