# For .ci/run and .ci/full to source: installs what both need from Debian's packages. A machine has
# rustup with a toolchain that has rustfmt and clippy, Python 3.11 or later with pip, and Node 20 or
# later. What comes from crates.io, PyPI and npm's registry is installed by the script that uses it.

step() { printf '\n== %s\n' "$*"; }

install_packages() {
    step "Install $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@"
}

# ring and SQLite are built from C.
command -v cc >/dev/null || install_packages gcc libc6-dev
command -v curl >/dev/null || install_packages ca-certificates curl
# Debian has what makes a virtual environment in another package than Python.
python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
# For receivers of callbacks and generated clients. Debian has npm in another package than Node.
{ command -v node && command -v npm; } >/dev/null || install_packages nodejs npm
# For Amazon's DynamoDB Local.
command -v java >/dev/null || install_packages default-jre-headless
# For targets at the end of a network that vanishes.
{ command -v ip && command -v unshare; } >/dev/null || install_packages iproute2 util-linux

# For the console's pages, with a font.
[ -x /usr/bin/chromium ] || install_packages chromium fonts-dejavu-core

step "Versions"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "Python 3.11 or later is needed, and python3 is $(python3 --version)" >&2 && exit 1; }
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
    { echo "Node 20 or later is needed, and node is $(node --version)" >&2 && exit 1; }
