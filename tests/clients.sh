#!/usr/bin/env bash
# Generates clients for TypeScript and Python from infra/openapi.yaml, or from the file OPENAPI;
# compiles a program against each (tests/clients), and runs both against the bundle. Then
# schemathesis sends requests that are valid and invalid by the document: without an argument for 20
# seconds with a fixed seed, with one for that many seconds with a new seed (tests/clients.sh 120 is
# the full run). The script prints the seed; the variable SEED sets it. Needs Python 3.11 or later
# with venv, Node 18 or later with npm, and PyPI and npm's registry on the first run.
set -euo pipefail

START_TIMEOUT_SECS=30
SCHEMATHESIS_SECS="${1:-20}"
# By default the seed is fixed: whether a change passes must not depend on chance.
if [ -n "${SEED:-}" ]; then seed=$SEED; elif [ "$#" -eq 0 ]; then seed=1; else seed=$SRANDOM; fi

# Relative to the caller's directory.
document="${OPENAPI:+$(realpath "$OPENAPI")}"
cd "$(dirname "$0")/.."
. tests/python_environment.sh
document="${document:-$PWD/infra/openapi.yaml}"
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
work="$target/clients"

# All packages are pinned, indirect ones included; tests/README.md names the generators' versions.
python_environment "$work" tests/requirements/clients.txt
# Written last, as for Python's packages.
installed="$work/node-packages"
if ! cmp --quiet tests/clients/package-lock.json "$installed"; then
    cp tests/clients/package{,-lock}.json "$work"
    npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel error
    cp tests/clients/package-lock.json "$installed"
fi
# The Python generator finds its formatter there.
export PATH="$work/bin:$PATH"
# Requests to the bundle must not go through a proxy.
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1" no_proxy="${no_proxy:+$no_proxy,}127.0.0.1"

# First, since it needs no bundle. The programs are copied to where Node and mypy find their
# imports.
rm -rf "$work"/{typescript,python,functions,bundle.log}
cp -r tests/clients/{typescript,python} "$work"
openapi_typescript="$work/node_modules/.bin/openapi-typescript"
"$openapi_typescript" "$document" --output "$work/typescript/ferry.d.ts"
"$work/node_modules/.bin/tsc" --project "$work/typescript"
openapi-python-client generate --path "$document" --meta none \
    --output-path "$work/python/ferry_client" --fail-on-warning
# Without the generated code, which does not pass --strict.
(cd "$work/python" && mypy --strict --follow-imports silent --cache-dir "$work/mypy" program.py)

# With the arguments of tests/cargo_lambda.sh, so that nothing is built twice.
cargo build --quiet --workspace --locked
mkdir "$work/functions"
for name in submit status worker; do ln -s "$target/debug/$name" "$work/functions/$name"; done
# Functions have no PATH in which to find Python.
{ echo "#!$work/bin/python" && cat tests/clients/callback.py; } >"$work/functions/callback"
chmod +x "$work/functions/callback"

# The kernel chooses the port. Every address is allowed, since only a callback URL's form, which the
# document describes, is to be checked. In halves, since a network with all addresses is refused.
# The subshell may create the file later than it is read first.
: >"$work/bundle.log"
networks="0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1"
DEMO_FUNCTIONS=1 AWS_LAMBDA_LOG_LEVEL=ERROR CALLBACK_ALLOWED_NETWORKS="$networks" \
    "$target/debug/local" --port 0 --binaries "$work/functions" >"$work/bundle.log" 2>&1 &
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

# schemathesis writes its findings to its working directory.
checks="$PWD/tests/clients"
cd "$work"
echo "the requests are generated with SEED=$seed"
PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS="$checks/schemathesis_hooks.py" \
    schemathesis --config-file "$checks/schemathesis.toml" \
    run "$document" --url "$url" --seed "$seed" --max-time "$SCHEMATHESIS_SECS"
