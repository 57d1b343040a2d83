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
