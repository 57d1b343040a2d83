# shellcheck shell=bash
# Callbacks to the receiver of the second stack.

callbacks_arrive_signed() {
    needs_receiver || return
    local url urls="https://10.0.0.1/ https://[::ffff:10.0.0.1]/ https://2130706433/"
    urls+=" https://169.254.169.254/latest/ https://metadata.google.internal/"
    # Names may lead to an allowed network.
    [ -n "$(parameter CallbackAllowedNetworks "")" ] ||
        urls+=" https://localhost/ https://intranet/ http://example.com/"
    for url in $urls; do
        post caller /operations "{\"function\":\"csv.summarize\",\"callback_url\":\"$url\"}" || true
        [ "$status" = 400 ] && [[ $body == *'"/callback_url"'* ]] ||
            { fail "the callback URL $url got $(what)"; return; }
    done
    local ok gone moved busy
    called_back ok && ok=$id && called_back gone && gone=$id && called_back moved && moved=$id &&
        called_back busy && busy=$id || return
    is_delivered_and_signed "$ok" ok || return
    is_gone "$gone" || return
    is_redirect_refused "$moved" || return
    is_retry_after_honoured "$busy" || return
    is_large_result_left_out
}

# called_back NAME: submits an operation whose callback goes to this path of the receiver.
called_back() { summarize ",\"callback_url\":\"$receiver/$1-$MARKER\""; }

# is_delivered_and_signed ID NAME: sets line.
is_delivered_and_signed() {
    await 60 is_callback_over "$1" || true
    [ "$callback" = delivered ] ||
        { fail "the callback is $callback: $(head -c 300 <<<"$body")"; return; }
    line=$(received "$2-$MARKER") || { fail "the receiver does not respond"; return; }
    [ "$(wc -l <<<"$line")" -eq 1 ] || { fail "the receiver got it more than once: $line"; return; }
    [ "$(part operation "$line")" = "$1" ] && [ "$(part verified "$line")" -ge 1 ] &&
        [ "$(part verified "$line")" = "$(part secrets "$line")" ] ||
        { fail "the receiver cannot verify it: $line"; return; }
    case "$(part id "$line") $(part content_type "$line") $(part agent "$line")" in
    msg_*" application/json Ferry/"*) ;;
    *) fail "the callback's headers are wrong: $line" ;;
    esac
}

is_gone() {
    await 60 is_callback_over "$1" || true
    [ "$callback" = gone ] || fail "after 410 the callback is $callback"
}

is_redirect_refused() {
    await 60 has_attempt "$1" 302 || { fail "the redirect is no failed attempt: $body"; return; }
    local followed
    followed=$(received followed) || { fail "the receiver does not respond"; return; }
    [ -z "$followed" ] || fail "the redirect was followed: $followed"
}

# has_attempt ID CODE
has_attempt() {
    callback_status "$1"
    [[ $callback == due && $body == *"\"status_code\":$2"* ]]
}

# The receiver's first response is 503 with `Retry-After: 10`.
is_retry_after_honoured() {
    await 90 is_callback_over "$1" || true
    [ "$callback" = delivered ] || { fail "after 503 the callback is $callback"; return; }
    local lines first second
    lines=$(received "busy-$MARKER") || { fail "the receiver does not respond"; return; }
    first=$(part at "$(sed -n 1p <<<"$lines")")
    second=$(part at "$(sed -n 2p <<<"$lines")")
    [ -n "$second" ] && [ $((second - first)) -ge 9 ] ||
        { fail "Retry-After was 10, and the attempts were at $first and ${second:-no}"; return; }
    [ "$(part id "$lines" | sort -u | wc -l)" -eq 1 ] ||
        fail "its attempts have different ids: $lines"
}

is_large_result_left_out() {
    local line saw="signed and verified; 410, redirect, Retry-After and refused URLs as expected"
    if has_demo_functions; then
        submit demo.echo "{\"text\":\"$(head -c 66000 /dev/zero | tr '\0' x)\"}" \
            ",\"callback_url\":\"$receiver/large-$MARKER\"" || return
        is_delivered_and_signed "$id" large || return
        [ "$(part omitted "$line")" = True ] ||
            { fail "a result of 66 KB was sent: $line"; return; }
        saw+="; a result of 66 KB left out"
    fi
    echo "$saw"
}
