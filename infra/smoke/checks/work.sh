# shellcheck shell=bash
# What the worker does: leases, retries, cancels, races, targets.

BATCH=20
RACES=10
CANCELS=5

# Work that is longer than a lease, and than a poller's patience with a message.
heartbeat_keeps_the_message() {
    local lease steps begun last=0 grown=0 lease_until="" first_lease=""
    needs_demo_functions || return
    lease=$(parameter LeaseSeconds 60)
    steps=$((lease * 3 / 2 + 5))
    submit demo.countdown "{\"steps\":$steps,\"step_ms\":1000}" || return
    begun=$(now)
    local deadline=$((begun + steps + lease + 60)) progress
    while [ "$(now)" -lt "$deadline" ]; do
        request caller GET "/operations/$id" || true
        state=$(member status)
        [ "$state" = pending ] || [ "$(member attempt)" = 1 ] ||
            { fail "$id is in attempt $(member attempt): its lease was not renewed"; return; }
        case $state in
        completed) break ;;
        failed | cancelled) fail "$id did not complete: $(what)"; return ;;
        esac
        progress=$(member progress)
        [ "$progress" != null ] || progress=0
        awk "BEGIN { exit !($progress >= $last) }" ||
            { fail "progress fell from $last to $progress"; return; }
        awk "BEGIN { exit !($progress > $last) }" && grown=$((grown + 1))
        last=$progress
        # Once at the start, and once when the first lease would have passed.
        if [ "$state" = processing ] && [ -z "$first_lease" ]; then
            first_lease=$(stored "$id" Item.lease_until.N)
        elif [ -z "$lease_until" ] && [ "$(now)" -gt $((begun + lease)) ]; then
            lease_until=$(stored "$id" Item.lease_until.N)
        fi
        sleep 1
    done
    [ "$state" = completed ] || { fail "not completed in time: $(what)"; return; }
    [ "$grown" -ge 2 ] && [ "${lease_until:-0}" -gt "${first_lease:-0}" ] ||
        { fail "progress grew $grown times, the lease from $first_lease to $lease_until"; return; }
    # The lease is in the table. That SQS refused to extend the message's visibility is in the log.
    is_not_logged Worker "visibility was not extended" \
        "SQS did not extend a message's visibility" || return
    echo "$steps s of work with leases of $lease s: attempt 1, progress grew in $grown reads"
}

lost_worker_is_detected() {
    local lease begun took
    needs_demo_functions || return
    lease=$(parameter LeaseSeconds 60)
    begun=$(now)
    submit demo.fail '{"mode":"exit"}' || return
    await_end "$id" $((lease * 4 + 120)) || return
    took=$(($(now) - begun))
    [ "$state:$(member attempt):$(member code "${body#*\"errors\":}")" = failed:3:WORKER_LOST ] ||
        { fail "$id did not fail with WORKER_LOST in attempt 3: $(what)"; return; }
    # Each attempt begins when the lease of the one before has passed.
    [ "$took" -ge $((lease * 2 - 2)) ] ||
        { fail "three attempts in $took s, with leases of $lease s"; return; }
    echo "three workers exited, WORKER_LOST after $took s with leases of $lease s"
}

a_failure_leaves_its_batch_alone() {
    local function n outcome wrong=0
    needs_demo_functions || return
    mkdir "$scratch/batch"
    for ((n = 0; n < BATCH; n++)); do
        [ $((n % 2)) -eq 0 ] && function=demo.echo || function=demo.fail
        (submit "$function" '{}' >"$scratch/refused" && echo "$id $function" >"$scratch/batch/$n") &
    done
    wait
    local made
    made=$(find "$scratch/batch" -type f | wc -l)
    [ "$made" -eq "$BATCH" ] ||
        { fail "$((BATCH - made)) of $BATCH submits failed: $(cat "$scratch/refused")"; return; }
    while read -r id function; do
        await_end "$id" 60 || return
        outcome="$state:$(member attempt)"
        case $function:$outcome in
        demo.echo:completed:1 | demo.fail:failed:1) ;;
        *) wrong=$((wrong + 1)) && echo "$function is $outcome" ;;
        esac
    done < <(cat "$scratch/batch/"*)
    [ "$wrong" -eq 0 ] || return 1
    echo "$((BATCH / 2)) completed and $((BATCH / 2)) failed at once, each on attempt 1"
}

retries_wait_and_do_not_loop() {
    local function setting begun took
    needs_demo_functions || return
    begun=$(now)
    submit demo.fail '{"retryable":true}' || return
    await_end "$id" 90 || return
    took=$(($(now) - begun))
    [ "$state:$(member attempt):$(member code "${body#*\"errors\":}")" = failed:3:DEMO_FAILURE ] ||
        { fail "$id did not fail with DEMO_FAILURE in attempt 3: $(what)"; return; }
    # Waits of 1 s and 2 s, less their jitter.
    [ "$took" -ge 1 ] || { fail "three attempts in $took s"; return; }
    # Lambda stops what it takes for an endless loop unless the function allows it.
    for function in Worker Callback; do
        setting=$(aws_text lambda get-function-recursion-config --query RecursiveLoop \
            --function-name "$(function_arn "$function")" 2>&1) || case $setting in
        # The API has it since September 2024.
        *"Invalid choice"*)
            skip "three attempts in $took s; this AWS CLI cannot read RecursiveLoop"
            return
            ;;
        esac
        [ "$setting" = Allow ] || { fail "RecursiveLoop of $function is $setting"; return; }
    done
    echo "three attempts in $took s; RecursiveLoop is Allow"
}

# function_arn NAME: without the alias.
function_arn() {
    local arn
    arn=$(output "$1FunctionArn")
    echo "${arn%:"$LIVE"}"
}

cancel_reaches_the_worker() {
    local lease begun
    needs_demo_functions || return
    lease=$(parameter LeaseSeconds 60)
    submit demo.countdown '{"steps":600,"step_ms":1000}' || return
    await 60 is_processing "$id" || { fail "$id does not start: $(what)"; return; }
    request caller POST "/operations/$id/cancel" || true
    [ "$status:$(member status)" = 200:cancelled ] || { fail "the cancel got $(what)"; return; }
    begun=$(now)
    # The next heartbeat or progress finds the cancel. CloudWatch takes some seconds for a line.
    await $((lease / 2 + PATIENCE)) is_abandoned "$id" ||
        { fail "the worker of $id logged no 'attempt abandoned' in $(($(now) - begun)) s"; return; }
    echo "the worker abandoned $id at most $(($(now) - begun)) s after the cancel"
}

is_processing() {
    request caller GET "/operations/$1" || true
    [ "$(member status):$(member progress)" != pending:null ] && [ "$(member progress)" != null ]
}

is_abandoned() { logged Worker "$1" | grep -q 'attempt abandoned'; }

# Work that ends while five callers cancel it: all responses agree with the end. How long an
# operation takes depends on the network, so this measures one. The cancels of each of the others
# come later than those of the one before, from its submit to three times the measured duration.
racing_writes_agree() {
    local n cancel codes took pause cancelled=0 completed=0 work='{"steps":1,"step_ms":300}'
    needs_demo_functions || return
    mkdir "$scratch/race"
    # The first one also starts functions.
    summarize || return
    await_end "$id" 30 || return
    submit demo.countdown "$work" "" --header 'prefer: wait=5' || return
    # Without waits, or if it does not end within one.
    [ "$status" = 200 ] && took=$seconds || took=1
    for ((n = 0; n < RACES; n++)); do
        submit demo.countdown "$work" || return
        echo "$id" >>"$scratch/race/ids"
        pause=$(awk "BEGIN { print $took * 3 * $n / ($RACES - 1) }")
        for ((cancel = 0; cancel < CANCELS; cancel++)); do
            (sleep "$pause"
                request caller POST "/operations/$id/cancel" || true
                echo "$status:$(member status)$(member code)" >>"$scratch/race/$id.$cancel") &
        done
    done
    wait
    while read -r id; do
        await_end "$id" 60 || return
        codes=$(sort -u "$scratch/race/$id".* | tr '\n' ' ')
        case "$state $codes" in
        "cancelled 200:cancelled ") cancelled=$((cancelled + 1)) ;;
        "completed 409:409ASYNC_CANNOT_CANCEL ") completed=$((completed + 1)) ;;
        *) fail "$id is $state, and its cancels got $codes"; return ;;
        esac
    done <"$scratch/race/ids"
    summarize || return
    await 5 is_listed "$id" || { fail "a list lacks $id after 5 s"; return; }
    local saw="$((RACES * CANCELS)) cancels agree: $cancelled cancelled, $completed completed"
    [ "$cancelled" -gt 0 ] && [ "$completed" -gt 0 ] ||
        { skip "no cancel met an end: $saw"; return; }
    echo "$saw"
}

is_listed() {
    request caller GET "/operations?limit=20" || true
    [[ $body == *"\"$1\""* ]]
}

target_is_invoked() {
    request caller GET /functions || true
    [[ $body == *'"smoke.words"'* ]] ||
        { skip "smoke.words is not registered; see SMOKE.md"; return; }
    # Without the second stack there is no target, unless the bundle runs it.
    needs_receiver || return
    submit smoke.words '{"text":"tic tac toe"}' || return
    await_end "$id" 90 || return
    [ "$state:$(member words)" = completed:3 ] ||
        { fail "the target did not count three words: $(what)"; return; }
    submit smoke.words '{"text":""}' || return
    await_end "$id" 90 || return
    [ "$state:$(member code "${body#*\"errors\":}")" = failed:VALUE_ERROR ] ||
        { fail "the target's ValueError did not fail $id: $(what)"; return; }
    echo "the target counted three words, and its ValueError failed the operation"
}
