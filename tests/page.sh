# For scripts that follow the steps of a page, to source once $PAGE is set. In the page,
# `<!-- NAME -->` and `<!-- /NAME -->` mark a part, which is one block of code.

fail() {
    echo "$PAGE: $*" >&2
    exit 1
}

# part NAME: the lines of the block between the marks of this name in the page.
part() {
    awk -v start="<!-- $1 -->" -v end="<!-- /$1 -->" '
        $0 == end { exit }
        inside && !/^```/ { print }
        $0 == start { inside = 1 }' "$PAGE"
}

# compare PRINTED SHOWN: `…` stands for any text, and ids differ from run to run.
compare() {
    python3 - "$1" "$2" <<'PYTHON' || fail "a command prints something else than the page shows"
import re, sys
printed, shown = (text.rstrip("\n") for text in sys.argv[1:])
pattern = ".*".join(re.escape(part) for part in shown.split("…"))
pattern = re.sub("op_[0-9a-f]{24}", "op_[0-9a-f]{24}", pattern)
if not re.fullmatch(pattern, printed, re.DOTALL):
    sys.exit(f"printed:\n{printed}\nshown:\n{shown}")
PYTHON
}
