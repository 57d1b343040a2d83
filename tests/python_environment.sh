# For the scripts beside it to source.

# python_environment DIRECTORY PACKAGE...: a virtual environment with these packages, as it was made last time or made anew.
python_environment() {
    local directory=$1 installed="$1/python-packages"
    shift
    # Written last, so that what was installed by half, or before a version changed, is installed anew.
    if ! [ -f "$installed" ] || [ "$(<"$installed")" != "$*" ]; then
        rm -rf "$directory"
        python3 -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check "$@"
        echo "$*" >"$installed"
    fi
}
