#!/usr/bin/env bash
# Generates clients from infra/openapi.yaml, or from the file that OPENAPI names, for TypeScript and for Python; compiles a program
# against each (tests/clients), and runs both against the bundle. Then schemathesis sends requests that are right and wrong by the
# document: for 20 seconds always the same ones, or for as many seconds as the argument says ones drawn by a new seed (tests/clients.sh
# 120 is the full run). It prints the seed; SEED names another. Needs Python 3.11 or later with venv, Node 18 or later with npm, and PyPI
# and npm's registry on the first run.
set -euo pipefail

START_TIMEOUT_SECS=30
SCHEMATHESIS_SECS="${1:-20}"
# A change must not fail for what was drawn by chance.
if [ -n "${SEED:-}" ]; then seed=$SEED; elif [ "$#" -eq 0 ]; then seed=1; else seed=$SRANDOM; fi

# By the caller's directory.
document="${OPENAPI:+$(realpath "$OPENAPI")}"
cd "$(dirname "$0")/.."
. tests/python_environment.sh
document="${document:-$PWD/infra/openapi.yaml}"
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
work="$target/clients"

# All packages are pinned, those that others need too; tests/README.md names the generators with these versions.
python_environment "$work" tests/requirements/clients.txt
# Written last, as for Python's.
installed="$work/node-packages"
if ! cmp --quiet tests/clients/package-lock.json "$installed"; then
    cp tests/clients/package{,-lock}.json "$work"
    npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel error
    cp tests/clients/package-lock.json "$installed"
fi
# The Python generator finds its formatter there.
export PATH="$work/bin:$PATH"
# The bundle is no business of a proxy's.
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1" no_proxy="${no_proxy:+$no_proxy,}127.0.0.1"

# First, since it takes no bundle. The programs are copied to where Node and mypy find what they import.
rm -rf "$work"/{typescript,python,functions,bundle.log}
cp -r tests/clients/{typescript,python} "$work"
openapi_typescript="$work/node_modules/.bin/openapi-typescript"
"$openapi_typescript" "$document" --output "$work/typescript/ferry.d.ts"
"$work/node_modules/.bin/tsc" --project "$work/typescript"
openapi-python-client generate --path "$document" --meta none --output-path "$work/python/ferry_client" --fail-on-warning
# What the generator writes into every client is not strict itself.
(cd "$work/python" && mypy --strict --follow-imports silent --cache-dir "$work/mypy" program.py)

# As tests/cargo_lambda.sh builds them, so that nothing is built twice.
cargo build --quiet --workspace --locked
mkdir "$work/functions"
for name in submit status worker; do ln -s "$target/debug/$name" "$work/functions/$name"; done
# Functions have no PATH to find Python by.
{ echo "#!$work/bin/python" && cat tests/clients/callback.py; } >"$work/functions/callback"
chmod +x "$work/functions/callback"

# The kernel chooses the port. Every address is allowed, by halves, since a whole is refused: only
# the form of a callback URL counts, which the document describes.
networks="0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1"
DEMO_FUNCTIONS=1 AWS_LAMBDA_LOG_LEVEL=ERROR CALLBACK_ALLOWED_NETWORKS="$networks" \
    "$target/debug/local" --port 0 --functions "$work/functions" >"$work/bundle.log" 2>&1 &
bundle=$!
end_bundle() {
    kill "$bundle" 2>/dev/null || true
    wait "$bundle" 2>/dev/null || true
}
trap end_bundle EXIT
deadline=$((SECONDS + START_TIMEOUT_SECS))
until url=$(sed -n 's/^ready //p' "$work/bundle.log") && [ -n "$url" ]; do
    if ! kill -0 "$bundle" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
        echo "the bundle did not start:" >&2
        cat "$work/bundle.log" >&2
        exit 1
    fi
    sleep 0.1
done

node "$work/typescript/built/program.mjs" "$url"
python "$work/python/program.py" "$url"

# It keeps what it has found where it is started.
checks="$PWD/tests/clients"
cd "$work"
echo "the requests are drawn by SEED=$seed"
PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS="$checks/schemathesis_hooks.py" schemathesis --config-file "$checks/schemathesis.toml" \
    run "$document" --url "$url" --seed "$seed" --max-time "$SCHEMATHESIS_SECS"
