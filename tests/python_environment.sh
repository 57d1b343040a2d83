# The scripts in this directory source it.

# python_environment DIRECTORY REQUIREMENTS: a virtual environment with the packages of that file,
# created unless it exists. Packages from PyPI must have the hash in the file, and source packages
# are refused, since they would run code when they are built. The file lists all dependencies, and
# pip resolves none: it would refuse one with extras in another package's requirements, although the
# file has its version and hash.
python_environment() {
    local directory=$1 requirements=$2 installed="$1/python-packages"
    # Written last, so that an installation that was interrupted, or made before a version changed,
    # is replaced.
    if ! cmp --quiet "$requirements" "$installed"; then
        rm -rf "$directory"
        python3 -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            --no-deps --require-hashes --requirement "$requirements"
        cp "$requirements" "$installed"
    fi
}
