# shellcheck shell=bash
# Runs checks and reports what they saw. A check is a function that prints what it saw. It returns 0
# if all is well, 1 if not, and 3 if it cannot run on this stack.

passed=0 failed=0 skipped=0 is_written=false
SKIPPED=3
RESULTS="smoke-$STACK-$(date -u +%Y%m%dT%H%M%SZ).json"
results=$scratch/results
newline='
'

now() { date +%s; }

skip() {
    echo "$*"
    return "$SKIPPED"
}

fail() {
    echo "$*"
    return 1
}

is_wanted() { [ -z "$ONLY" ] || [[ ,$ONLY, == *",$1,"* ]]; }

# run_check NUMBER FUNCTION HELP
run_check() {
    local group
    in_background check_into_file "$1" "$2"
    group=$!
    # A signal ends this wait at once.
    wait "$group" || true
    # Its number may become another's.
    groups=${groups/ -$group/}
    report_from_file "$1" "$2" "$3"
}

# Checks that mostly wait run next to the others.
start_early() {
    local number function help
    while read -r number function help; do
        is_wanted "$number" || continue
        in_background check_into_file "$number" "$function"
        early+=" $!"
    done < <(sed '/^$/d' <<<"$EARLY_CHECKS")
}
early=""

# check_into_file NUMBER FUNCTION: in a subshell, so that checks share nothing. A check may write
# another page than its own into check-NUMBER.help.
check_into_file() {
    local code=0 start running=$1
    start=$(now)
    "$2" >"$scratch/check-$1" 2>&1 </dev/null || code=$?
    echo "$code $(($(now) - start))" >"$scratch/check-$1.end"
}

report_from_file() {
    local code took help=$3
    # An error of the shell, such as an unset variable, ends the check without it.
    [ -f "$scratch/check-$1.end" ] || echo "1 0" >"$scratch/check-$1.end"
    read -r code took <"$scratch/check-$1.end"
    [ ! -f "$scratch/check-$1.help" ] || help=$(cat "$scratch/check-$1.help")
    report "$1" "$2" "$help" "$code" "$(cat "$scratch/check-$1")" "$took"
}

# in_background COMMAND...: in a process group, so that end_jobs also ends what it started.
in_background() {
    set -m
    "$@" &
    set +m
    groups+=" -$!"
}
groups=""

report_early() {
    local number function help
    # shellcheck disable=SC2086 # Several process ids.
    [ -z "$early" ] || wait $early || true
    local group
    for group in $early; do groups=${groups/ -$group/}; done
    while read -r number function help; do
        is_wanted "$number" || continue
        report_from_file "$number" "$function" "$help"
    done < <(sed '/^$/d' <<<"$EARLY_CHECKS")
}

# Ends what still runs when the script is interrupted.
end_jobs() {
    # shellcheck disable=SC2086 # Several process groups.
    [ -z "$groups" ] || kill -- $groups 2>/dev/null || true
    wait 2>/dev/null || true
}

# report NUMBER FUNCTION HELP CODE SAW SECONDS
report() {
    local verdict name=${2//_/ } saw help=""
    # The AWS CLI's errors begin with an empty line, and may repeat.
    saw=$(awk 'NF && !seen[$0]++' <<<"$5")
    saw=${saw//"$newline"/; }
    saw=$(redact "$saw" | printable)
    case $4 in
    0) verdict=ok passed=$((passed + 1)) ;;
    "$SKIPPED") verdict=skipped skipped=$((skipped + 1)) ;;
    *)
        verdict=FAILED failed=$((failed + 1))
        help="; see $3"
        ;;
    esac
    [ -n "$saw" ] || saw="the check printed nothing (exit $4)"
    local line
    line="{\"check\":$1,\"name\":$(json_string "$name"),\"result\":\"$verdict\""
    line+=",\"saw\":$(json_string "$saw$help"),\"seconds\":$6}"
    echo "$line" >>"$results"
    if $IS_JSON; then
        echo "$line"
    else
        printf '%-7s %2d  %-36s %s\n' "$verdict" "$1" "$name" "$saw$help"
    fi
}

print_summary() {
    local release=unknown account="" summary
    release=$(release_name) || true
    ! $IS_VERBOSE || account=",\"account\":\"$ACCOUNT\""
    summary="{\"stack\":\"$STACK\",\"region\":$(json_string "$REGION")"
    summary+=",\"release\":$(json_string "$release"),\"tools\":$(json_string "$TOOLS")"
    summary+="$account,\"at\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"seconds\":$(($(now) - started))"
    summary+=",\"ok\":$passed,\"failed\":$failed,\"skipped\":$skipped"
    {
        echo "$summary,\"checks\":["
        [ ! -f "$results" ] || sed '$!s/$/,/' "$results"
        echo "]}"
    } >"$RESULTS"
    is_written=true
    if $IS_JSON; then
        echo "$summary}"
    else
        printf '%d ok, %d failed, %d skipped; stack %s, %s, Release %s, %d s; written to %s\n' \
            "$passed" "$failed" "$skipped" "$STACK" "$REGION" "$release" \
            "$(($(now) - started))" "$RESULTS"
    fi
    [ $((passed + failed)) -gt 0 ] || cannot_run "no check ran"
}

# Without tokens, and without the account's id.
redact() {
    local text=$1 token
    for token in "${FERRY_TOKEN:-}" "${FERRY_OTHER_TOKEN:-}" "${FERRY_EXPIRED_TOKEN:-}"; do
        # A short one is no secret, and may be part of other words.
        [ ${#token} -lt 20 ] || text=${text//"$token"/TOKEN}
    done
    $IS_VERBOSE || text=${text//"$ACCOUNT"/ACCOUNT}
    printf '%s' "$text"
}

# What terminals and JSON can have as it is. A response that was cut off may end within a character.
printable() { LC_ALL=C tr '\000-\037' ' ' | LC_ALL=C tr '\177-\377' '?'; }

# Of printable text.
json_string() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "$text"
}

# await SECONDS COMMAND...: runs a command until it succeeds, once a second at most.
await() {
    local deadline=$(($(now) + $1))
    shift
    until "$@"; do
        [ "$(now)" -lt "$deadline" ] || return 1
        sleep 1
    done
}
