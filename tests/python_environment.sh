# For the scripts beside it to source.

# python_environment DIRECTORY REQUIREMENTS: a virtual environment with the packages of that file, as it was made last time or made
# anew. What comes from PyPI has the hash that the file names, and is no source, which would run code when it is built. The file names
# all that is needed: pip itself refuses what has extras in another package's requirements, though its version and hash are named.
python_environment() {
    local directory=$1 requirements=$2 installed="$1/python-packages"
    # Written last, so that what was installed by half, or before a version changed, is installed anew.
    if ! cmp --quiet "$requirements" "$installed"; then
        rm -rf "$directory"
        python3 -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
            --requirement "$requirements"
        cp "$requirements" "$installed"
    fi
}
