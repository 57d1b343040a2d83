# shellcheck shell=bash
# What goes through the gateway: routes, callers, formats, waits.

COLD_SECONDS_MAX=5

api_responds() {
    request stranger GET /health || true
    [ "$status" = 200 ] && [ "$body" = '{"status":"ok"}' ] ||
        { fail "GET /health got $(what)"; return; }
    local health=$seconds
    # The script's own, before it ran checks.
    awk "BEGIN { exit !($FIRST_SECONDS <= $COLD_SECONDS_MAX) }" ||
        { fail "the first response took $FIRST_SECONDS s"; return; }
    summarize || return
    await_end "$id" 30 || return
    [ "$state" = completed ] && [ "$(member rows)" = 2 ] ||
        { fail "the operation is $(what)"; return; }
    echo "GET /health 200 in $health s, the first response $FIRST_SECONDS s; $id completed"
}

# The gateway's responses to callers that it does not let in.
unauthenticated_requests_are_refused() {
    local method path tried=0
    printf 'header = "Authorization: Bearer"\n' >"$scratch/malformed"
    local callers="stranger malformed"
    # A token with a forged signature.
    if [ "$AUTHORIZER" = jwt ]; then
        token_option "${FERRY_TOKEN%?????}AAAAA" >"$scratch/forged"
        callers+=" forged"
    fi
    [ -z "${FERRY_EXPIRED_TOKEN:-}" ] || callers+=" expired"
    local caller
    for caller in $callers; do
        while read -r method path; do
            request "$caller" "$method" "$path" || true
            # The gateway's own body, not one of a function.
            case "$status $body" in
            '401 {"message":'* | '403 {"message":'*) ;;
            *) fail "$method $path of a caller ($caller) got $(what)"; return ;;
            esac
            tried=$((tried + 1))
        done <<<"$ALL_ROUTES"
    done
    echo "$tried requests refused, the last with $status $body"
}

owner_is_the_caller() {
    local expected owner method path
    summarize || return
    owner=$(stored "$id" Item.owner.S) || { fail "the record cannot be read"; return; }
    expected=$(expected_owner)
    [ -n "$expected" ] || { skip "FERRY_OWNER is not set, and the record has $owner"; return; }
    [ "$owner" = "$expected" ] || { fail "the owner is $owner, not $expected"; return; }
    [ -n "${FERRY_OTHER_TOKEN:-}" ] || { echo "owner $owner; no FERRY_OTHER_TOKEN"; return; }
    request other GET /operations?limit=1 || true
    [ "$status" = 200 ] || { fail "the other caller's list got $(what)"; return; }
    while read -r method path; do
        request other "$method" "/operations/$id$path" || true
        [ "$status:$(member code)" = 404:ASYNC_OPERATION_NOT_FOUND ] ||
            { fail "$method $path of another owner got $(what)"; return; }
    done <<<"GET
POST /cancel
POST /redeliver
DELETE"
    echo "owner $owner; another owner gets 404"
}

expected_owner() {
    local identity claims
    if [ -n "${FERRY_OWNER:-}" ]; then
        echo "$FERRY_OWNER"
    elif $USE_IAM; then
        identity=$(aws_text sts get-caller-identity --query '[Account,UserId]')
        # Of a role, only its unique id: the rest names the session.
        awk '{ sub(/:.*/, "", $2); print "iam:" $1 ":" $2 }' <<<"$identity"
    elif [ "$AUTHORIZER" = jwt ]; then
        claims=$(cut -d . -f 2 <<<"$FERRY_TOKEN" | tr -- '-_' '+/')
        while [ $((${#claims} % 4)) -ne 0 ]; do claims+="="; done
        echo "jwt:$(member "$(parameter OwnerClaim sub)" "$(base64 --decode <<<"$claims")")"
    fi
}

location_can_be_followed() {
    local location
    summarize || return
    location=$(header location)
    [ "$location" = "$API/operations/$id" ] ||
        { fail "Location is $location, not $API/operations/$id"; return; }
    request caller GET "${location#"$API"}" || true
    [ "$status:$(member id)" = "200:$id" ] || { fail "$location got $(what)"; return; }
    request caller GET /operations/ || true
    [ "$status" = 404 ] || { fail "a path with a slash at its end got $(what)"; return; }
    echo "$location 200; with a slash at its end /operations/ $status $body"
}

requests_arrive_as_sent() {
    local method path wanted options
    # Text outside ASCII, in a body and back.
    submit csv.summarize '{"csv":"Zürich 😀\n1\n"}' || return
    await_end "$id" 30 || return
    [ "$(member name "${body#*\"columns\":}")" = "Zürich 😀" ] ||
        { fail "UTF-8 became $(what)"; return; }

    # The names of headers in any case, and several cookies.
    local key="smoke-$MARKER" first
    summarize "" --header "IDEMPOTENCY-KEY: $key" || return
    first=$id
    summarize "" --header "idempotency-key: $key" --header 'cookie: a=1; b=2' || return
    [ "$id" = "$first" ] && [ "$(header idempotent-replayed)" = true ] ||
        { fail "a replay got $(what)"; return; }
    request caller GET "/operations/$id" || true
    request caller GET "/operations/$id" --header "If-None-Match: $(header etag)" || true
    [ "$status" = 304 ] && [ -z "$body" ] || { fail "If-None-Match got $(what)"; return; }
    request caller HEAD "/operations/$id" || true
    [ "$status" = 200 ] && [ "$(header content-length)" -gt 0 ] ||
        { fail "HEAD got $(what)"; return; }

    # Paths, queries, methods, and a body that the gateway passes on in base64.
    printf '\377\376{}' >"$scratch/bytes"
    while read -r wanted method path options; do
        # Versions of curl sign these paths differently.
        case $USE_IAM:$path in true:*%* | true:*=) continue ;; esac
        # shellcheck disable=SC2086 # Several options.
        request caller "$method" "$path" $options || true
        [ "$status:$(member code)" = "$wanted" ] ||
            { fail "$method $path got $(what), not $wanted"; return; }
    done <<ROWS
404:ASYNC_OPERATION_NOT_FOUND GET /operations/op_%2Fcancel
404:ASYNC_OPERATION_NOT_FOUND GET /operations/%00
400:INVALID_ARGUMENTS GET /operations?limit=
400:INVALID_ARGUMENTS GET /operations?limit=1&limit=2
400:INVALID_ARGUMENTS GET /operations?status=%F0%9F%98%80
405:INVALID_REQUEST PUT /operations
415:INVALID_REQUEST POST /operations -H content-type:application/octet-stream -d @$scratch/bytes
415:INVALID_REQUEST POST /operations -H content-type:application/json -H content-encoding:gzip -d {}
400:PARSE_ERROR POST /operations -H content-type:application/json --data {
404: GET /nothing-is-here
ROWS
    bodies_are_limited
}

# 1 MiB is Ferry's limit, 6 MB Lambda's, 10 MB the gateway's.
bodies_are_limited() {
    local bytes saw="replay, 304, HEAD and ten refusals as expected"
    for bytes in 1048577 6500000 10485761; do
        head -c "$bytes" /dev/zero | tr '\0' ' ' >"$scratch/body"
        request caller POST /operations --header 'content-type: application/json' \
            --header 'expect:' --data-binary "@$scratch/body" || true
        saw+="; $bytes bytes $status $(member code)"
        [ "$status" = 413 ] || { fail "a body of $bytes bytes got $(what)"; return; }
    done
    rm "$scratch/body"
    echo "$saw"
}

pages_of_other_origins_may_call() {
    local origins origin name
    origins=$(parameter CorsAllowedOrigins "")
    [ -n "$origins" ] || { skip "CorsAllowedOrigins is empty"; return; }
    origin=${origins%%,*}
    [ "$origin" != '*' ] || origin=https://smoke.example.com
    request stranger OPTIONS /operations --header "origin: $origin" \
        --header 'access-control-request-method: POST' \
        --header 'access-control-request-headers: authorization,idempotency-key' || true
    case $status in 200 | 204) ;; *) fail "the preflight request got $(what)"; return ;; esac
    is_allowed_origin "$origin" ||
        { fail "the preflight's headers lack the origin: $head"; return; }
    header access-control-allow-headers | grep -qi idempotency-key ||
        { fail "the preflight allows no idempotency-key: $head"; return; }
    request caller GET /functions --header "origin: $origin" || true
    is_allowed_origin "$origin" || { fail "the response lacks the origin: $head"; return; }
    for name in ETag Location Request-Id Retry-After; do
        header access-control-expose-headers | grep -qi "$name" ||
            { fail "$name is not exposed: $head"; return; }
    done
    request stranger OPTIONS /operations --header 'origin: https://stranger.example.com' \
        --header 'access-control-request-method: POST' || true
    [ "${origins%%,*}" = '*' ] || [ -z "$(header access-control-allow-origin)" ] ||
        { fail "the origin https://stranger.example.com is allowed"; return; }
    echo "preflight 200, headers exposed to $origin, another origin refused"
}

is_allowed_origin() {
    local allowed
    allowed=$(header access-control-allow-origin)
    [ "$allowed" = "$1" ] || [ "$allowed" = '*' ]
}

waits_end_in_time() {
    local longest connections
    needs_demo_functions || return
    longest=$(parameter WaitSecondsMax 10)
    [ "$longest" -gt 0 ] || { skip "WaitSecondsMax is 0"; return; }
    submit demo.countdown "{\"steps\":2,\"step_ms\":$((longest * 1000 / 2 + 4000))}" "" \
        --header "prefer: wait=$longest" || return
    [ "$status:$(header preference-applied)" = "202:wait=$longest" ] ||
        { fail "a submit with wait=$longest got $(header preference-applied) $(what)"; return; }
    awk "BEGIN { exit !($seconds >= $longest - 0.5 && $seconds <= $longest + 5) }" ||
        { fail "wait=$longest took $seconds s"; return; }
    local waited=$seconds
    connections=$(curl --silent --max-time 20 --config "$scratch/caller" \
        --write-out '%{num_connects}' --output /dev/null --output /dev/null \
        "$API/functions" "$API/functions")
    [ "$connections" = 10 ] ||
        { fail "the second request opened a connection ($connections)"; return; }
    echo "202 after $waited s of wait=$longest; the connection is kept"
}

# `Date` is in whole seconds, and is written after the operation was created.
clocks_agree() {
    local created date difference
    summarize || return
    created=$(member created_at)
    date=$(header date)
    difference=$(($(seconds_of_day "${date:17:8}") - $(seconds_of_day "${created:11:8}")))
    # Around midnight.
    [ "$difference" -gt -43200 ] || difference=$((difference + 86400))
    [ "$difference" -ge -1 ] && [ "$difference" -le $((${seconds%.*} + 2)) ] ||
        { fail "created_at is $created, and Date is $date"; return; }
    echo "created_at $created, Date $date"
}

# seconds_of_day HH:MM:SS
seconds_of_day() { echo $((10#${1:0:2} * 3600 + 10#${1:3:2} * 60 + 10#${1:6:2})); }

protocol_conforms() {
    local log=$scratch/conformance
    [ -n "$CONFORMANCE" ] || { skip "--conformance was not given"; return; }
    command -v cargo >/dev/null || { skip "cargo is missing"; return; }
    ! $USE_IAM || { skip "the tests sign no requests"; return; }
    needs_demo_functions || return
    needs_receiver || return
    # Without a URL for callbacks, the tests would start a receiver that AWS cannot reach.
    (cd "$CONFORMANCE" && FORRST_URL=$API/forrst FORRST_AUTHORIZATION="Bearer $FERRY_TOKEN" \
        FORRST_CALLBACK_URL=$receiver/conformance-$MARKER \
        cargo test --package tests --locked --test suite conformance::) >"$log" 2>&1 ||
        { fail "$(grep -E '^test .* FAILED|^test result|^error' "$log" | tail -n 5)"; return; }
    grep -q '^test result: ok. [1-9]' "$log" || { fail "no conformance test ran"; return; }
    grep '^test result: ok. [1-9]' "$log"
}
