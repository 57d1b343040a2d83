#!/usr/bin/env bash
# Makes a release with infra/release.sh, and a second one in another checkout of the same commit,
# which must be the same bytes. Checks the archives, and deploys one to moto by the page's commands
# (tests/release). Then runs the archive's smoke.sh against its functions (tests/smoke.sh). Prints
# how long each build took, and the sizes. Takes an hour on two processors. Needs an x86_64 machine
# with Python 3.11 or later with venv, rustup, readelf, unzip, git; and PyPI on the first run.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/python_environment.sh
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
work="$target/release-test"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

python_environment "$target/cargo-lambda" tests/requirements/cargo_lambda.txt
python_environment "$target/template" tests/requirements/template.txt
python_environment "$target/smoke" tests/requirements/smoke.txt
rm -rf "$work"
mkdir -p "$work"/{checks,programs,tools}

# build CHECKOUT [DIRECTORY]: makes the archives of that checkout.
build() {
    local started=$SECONDS
    PATH="$target/cargo-lambda/bin:$PATH" "$1/infra/release.sh" "$version" "${@:2}"
    echo "built in $((SECONDS - started)) s"
}
build .
git clone --quiet . "$work/checkout"
CARGO_TARGET_DIR="$work/target" build "$work/checkout" "$work/rebuilt"
rm -rf "$work/target"
ls -l "$target/release-archives"

ln -s "$target/cargo-lambda/bin/sam" "$target/smoke/bin/aws" "$work/tools"
(cd tests && PYTHONDONTWRITEBYTECODE=1 "$target/template/bin/python" -m release \
    "$work/checks" "$version" "$target/release-archives" "$work/rebuilt" "$work/tools")

# The local bundle with the archive's functions.
cargo build --quiet --workspace --locked
ln -s "$target/debug/local" "$work/programs"
for name in submit status worker callback; do
    ln -s "$work/checks/programs/x86_64/$name/bootstrap" "$work/programs/$name"
done
SMOKE="$work/checks/programs/x86_64/ferry-$version-x86_64/smoke.sh" BINARIES="$work/programs" \
    tests/smoke.sh
