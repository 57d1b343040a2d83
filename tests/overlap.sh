#!/usr/bin/env bash
# An upgrade to this release from the one before it, and a rollback. Puts the source of the release
# before this one below target/, builds its functions there, and runs the suite tests/tests/overlap:
# the functions of both releases on one table and its queues. Needs git with that release's tag or
# commit, and Linux with ps.
set -euo pipefail

# The release before this one. In a clone without tags, the commit that its tag names.
TAG=v0.1.0
COMMIT=89ab7d2d1ab68ea04168c26914bd63b8d76f2643

cd "$(dirname "$0")/.."
commit=$(git rev-parse --quiet --verify "refs/tags/$TAG^{commit}" ||
    git rev-parse --quiet --verify "$COMMIT^{commit}") || {
    echo "this clone has neither the tag $TAG nor the commit $COMMIT of the release before this" \
        "one: git fetch --depth 1 origin tag $TAG" >&2
    exit 1
}
source="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/overlap/$commit"
if ! [ -d "$source" ]; then
    # Another name until it is complete.
    rm -rf "$source.new"
    mkdir -p "$source.new"
    git archive "$commit" | tar --extract --directory "$source.new"
    mv "$source.new" "$source"
fi
# A target directory for each release: the files of all have the times of their commits, by which
# cargo would take one release's for another's.
CARGO_TARGET_DIR="$source/target" cargo build --locked --manifest-path "$source/Cargo.toml" \
    --package submit --package status --package worker --package callback

# The bundle runs the functions of this release as well.
cargo build --workspace --locked
export PREVIOUS_FUNCTIONS="$source/target/debug"
cargo test --workspace --locked --test overlap -- --nocapture
