# shellcheck shell=bash
# Requests to the API. JSON is read by patterns, since not every machine has jq: this suffices for
# responses whose members are known and whose strings are this script's own.

# Unique to a run, so that check 19 can search the logs for it.
MARKER=smoke$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')
ALL_ROUTES="POST /operations
POST /forrst
POST /mcp
GET /operations
GET /operations/op_000000000000000000000000
POST /operations/op_000000000000000000000000/cancel
POST /operations/op_000000000000000000000000/redeliver
POST /operations/op_000000000000000000000000/redrive
GET /functions"
REQUEST_SECONDS_MAX=40

# Writes a file of curl's options for each caller, since arguments are visible to other users.
identify_callers() {
    AUTHORIZER=$(parameter Authorizer "")
    [ "$AUTHORIZER" != iam ] || USE_IAM=true
    : >"$scratch/stranger"
    if $USE_IAM; then
        signing_options >"$scratch/caller"
    else
        [ "$AUTHORIZER" != none-answers-401 ] ||
            cannot_run "with Authorizer=none-answers-401 the API refuses every caller"
        [ -n "${FERRY_TOKEN:-}" ] || cannot_run "FERRY_TOKEN is not set (or use --iam)"
        token_option "$FERRY_TOKEN" >"$scratch/caller"
    fi
    token_option "${FERRY_OTHER_TOKEN:-}" >"$scratch/other"
    token_option "${FERRY_EXPIRED_TOKEN:-}" >"$scratch/expired"
    : >"$scratch/made"
    # Otherwise every check would fail, each with another page.
    request caller GET '/operations?limit=1' || true
    FIRST_SECONDS=$seconds
    NEWEST_BEFORE=$(member created_at)
    case $status in
    401 | 403) cannot_run "the API refuses the caller: $(what); see README.md, Who may call" ;;
    esac
}

token_option() { printf 'header = "Authorization: Bearer %s"\n' "$1"; }

# AWS Signature Version 4, by curl. Version 1 of the AWS CLI cannot export its credentials.
signing_options() {
    local credentials key secret session
    key=${AWS_ACCESS_KEY_ID:-} secret=${AWS_SECRET_ACCESS_KEY:-} session=${AWS_SESSION_TOKEN:-}
    if [ -z "$key" ]; then
        credentials=$(aws configure export-credentials --format env-no-export 2>/dev/null) ||
            cannot_run "no credentials to sign with: set AWS_ACCESS_KEY_ID and the variables that" \
                "belong to it, or use version 2 of the AWS CLI"
        key=$(sed -n 's/^AWS_ACCESS_KEY_ID=//p' <<<"$credentials")
        secret=$(sed -n 's/^AWS_SECRET_ACCESS_KEY=//p' <<<"$credentials")
        session=$(sed -n 's/^AWS_SESSION_TOKEN=//p' <<<"$credentials")
    fi
    printf 'aws-sigv4 = "aws:amz:%s:execute-api"\nuser = "%s:%s"\n' "$REGION" "$key" "$secret"
    [ -z "$session" ] || printf 'header = "x-amz-security-token: %s"\n' "$session"
}

# request CALLER METHOD PATH [CURL-OPTION...]: sets status, seconds, head and body; without a
# response status is 000, and problem says why.
request() {
    local caller=$1 method=$2 path=$3 files result=0
    shift 3
    files=$(mktemp "$scratch/request.XXXXXX")
    local options=(--request "$method")
    [ "$method" != HEAD ] || options=(--head)
    options+=(--silent --globoff --max-time "$REQUEST_SECONDS_MAX" --config "$scratch/$caller")
    options+=(--dump-header "$files.head" --output "$files.body")
    options+=(--write-out '%{http_code} %{time_total} %{errormsg}\n')
    read -r status seconds problem < <(curl "${options[@]}" "$@" "$API$path" || true) || result=1
    head=$(tr -d '\r' <"$files.head" 2>/dev/null || true)
    # curl writes the headers of HEAD there.
    [ "$method" = HEAD ] && body="" || body=$(cat "$files.body" 2>/dev/null || true)
    rm -f "$files" "$files.head" "$files.body"
    return "$result"
}

# post CALLER PATH JSON [CURL-OPTION...]
post() {
    local caller=$1 path=$2 json=$3
    shift 3
    request "$caller" POST "$path" --header 'content-type: application/json' \
        --data-binary "$json" "$@"
}

# header NAME: of the last response.
header() { printf '%s\n' "$head" | awk -v name="$1" -F ': ' 'tolower($1) == name { print $2 }'; }

# member NAME [JSON]: the first member of this name: a string's text, or a number or literal.
member() {
    local json=${2-$body}
    local pattern="\"$1\":(\"(([^\"\\\\]|\\\\.)*)\"|[^,}]+)"
    [[ $json =~ $pattern ]] || return 0
    printf '%s\n' "${BASH_REMATCH[2]:-${BASH_REMATCH[1]}}"
}

# what: the last response in a line.
what() {
    [ "$status" != 000 ] || { echo "no response ($problem)"; return; }
    echo "$status $(head -c 300 <<<"$body" | tr '\n' ' ')"
}

# submit FUNCTION ARGUMENTS [MEMBERS [CURL-OPTION...]]: sets id. MEMBERS begin with a comma.
submit() {
    local function=$1
    local json="{\"function\":\"$1\",\"arguments\":$2,\"metadata\":{\"marker\":\"$MARKER\"}${3:-}}"
    shift 2
    [ $# -eq 0 ] || shift
    post caller /operations "$json" "$@"
    id=$(member id)
    case $status in
    200 | 202) echo "$id" >>"$scratch/made" ;;
    *) fail "the submit of $function got $(what)" ;;
    esac
}

# Every deployment has this function.
summarize() { submit csv.summarize "{\"csv\":\"$MARKER,n\\na,1\\nb,2\\n\"}" "$@"; }

# await_end ID SECONDS: reads an operation until it has ended, and sets state.
await_end() {
    local deadline=$(($(now) + $2))
    while true; do
        request caller GET "/operations/$1" --header 'prefer: wait=5' || true
        state=$(member status)
        case $status:$state in
        200:completed | 200:failed | 200:cancelled) return 0 ;;
        esac
        [ "$(now)" -lt "$deadline" ] || break
        # Where waiting is turned off, and after an error.
        sleep 0.5
    done
    fail "$1 has not ended in $2 s: $(what)"
}

# each_made METHOD SUFFIX: one request for each operation that was made, with few processes. Prints
# the status of each response.
each_made() {
    sort -u "$scratch/made" | while read -r id; do
        printf 'url = "%s"\noutput = "/dev/null"\n' "$API/operations/$id$2"
    done >"$scratch/urls"
    curl --silent --max-time 120 --request "$1" --write-out '%{http_code}\n' \
        --config "$scratch/caller" --config "$scratch/urls" || true
}

# An interrupt can end a curl whose submit is accepted. Its operation is among the caller's newest,
# and has the marker.
find_unrecorded() {
    local found
    # The submit may still be on its way.
    sleep 1
    request caller GET "/operations?limit=100${NEWEST_BEFORE:+&created_after=$NEWEST_BEFORE}" ||
        return 0
    # Ids have no white space.
    # shellcheck disable=SC2013
    for found in $(grep -oE '"id":"op_[0-9a-f]{24}"' <<<"$body" | cut -d '"' -f 4); do
        ! grep -q "$found" "$scratch/made" || continue
        request caller GET "/operations/$found" || continue
        case $body in
        *"\"marker\":\"$MARKER\""*) echo "$found" >>"$scratch/made" ;;
        esac
    done
}

# DELETE is refused until an operation has ended.
erase_operations() {
    [ -e "$scratch/made" ] || return 0
    ! $is_interrupted || find_unrecorded
    [ -s "$scratch/made" ] || return 0
    local left erased
    each_made POST /cancel >/dev/null
    each_made DELETE "" >"$scratch/erased"
    erased=$(grep -cE '^(2..|404)$' "$scratch/erased" || true)
    left=$(($(sort -u "$scratch/made" | wc -l) - erased))
    [ "$left" -eq 0 ] || echo "smoke.sh: operations that were not erased: $left" \
        "(last response: $(tail -n 1 "$scratch/erased")); each expires a day after its end" >&2
}
