# shellcheck shell=bash
# What changes the stack, only on request, and how it is undone.

# The callback function reads the secret again this often.
SECRET_SECONDS=300
# Two deployments of 100 minutes (Linear10PercentEvery10Minutes), and CloudFormation's own time.
ROLLBACK_SECONDS_MAX=14400
ROLLBACK_SUBMIT_SECONDS=5
STATUS_FAILURES_MAX=12

# Old and new secret sign while both are in the list.
secret_is_replaced_without_a_gap() {
    local arn old new
    $IS_LONG || { skip "only with --long"; return; }
    needs_receiver || return
    arn=$(output WebhookSecretArn)
    old=$(aws_text secretsmanager get-secret-value --secret-id "$arn" --query SecretString) ||
        { fail "the secret cannot be read"; return; }
    printf '%s' "$old" >"$scratch/old-secret"
    new=whsec_$(head -c 32 /dev/urandom | base64 | tr -d '\n')
    printf '%s %s' "$new" "$old" >"$scratch/new-secret"
    aws_text secretsmanager put-secret-value --secret-id "$arn" \
        --secret-string "file://$scratch/new-secret" >/dev/null || return
    rm "$scratch/new-secret"
    local wanted begun took
    begun=$(now)
    wanted=$((1 + $(wc -w <<<"${old//,/ }")))
    await $((SECRET_SECONDS + PATIENCE)) is_signed_by_or_broken "$wanted" ||
        { fail "no callback had $wanted signatures in $((SECRET_SECONDS + PATIENCE)) s"; return; }
    took=$(($(now) - begun))
    [ ! -f "$scratch/gap" ] ||
        { fail "no secret verifies a callback: $(cat "$scratch/gap")"; return; }
    restore_secret
    echo "after $took s $wanted secrets signed, and the receiver verified one at every moment"
}

# is_signed_by_or_broken COUNT: submits an operation with a callback. One callback that no secret
# verifies is enough to fail.
is_signed_by_or_broken() {
    local name line
    name=rotated-$(now)
    called_back "$name" || return
    await 60 is_callback_over "$id" || return
    line=$(received "$name-$MARKER") || return
    [ "$(part verified "$line")" -ge 1 ] || { echo "$line" >"$scratch/gap" && return; }
    [ "$(part signatures "$line")" -ge "$1" ]
}

# A secret that check 16 replaced, also when the script is interrupted.
restore_secret() {
    [ -s "$scratch/old-secret" ] || return 0
    aws_text secretsmanager put-secret-value --secret-id "$(output WebhookSecretArn)" \
        --secret-string "file://$scratch/old-secret" >/dev/null && rm "$scratch/old-secret" ||
        echo "smoke.sh: the webhook secret was not restored; see SETTINGS.md" >&2
}

# A release whose callback function does not start. The API works all the time, and callbacks arrive
# in the end.
bad_release_is_rolled_back() {
    local before status parameters=() name refused=0 accepted=0 unread=0
    $RUN_BREAK || { skip "only with --break"; return; }
    [ "$(parameter DeploymentPreference Canary10Percent5Minutes)" != AllAtOnce ] ||
        { skip "DeploymentPreference is AllAtOnce"; return; }
    needs_receiver || return
    before=$(live_version Callback)
    while IFS=$'\t' read -r _ name _; do
        case $name in
        Release) parameters+=("ParameterKey=Release,ParameterValue=$(now)") ;;
        CallbackRootCertificates) parameters+=("ParameterKey=$name,ParameterValue=broken") ;;
        *) parameters+=("ParameterKey=$name,UsePreviousValue=true") ;;
        esac
    done < <(grep '^parameter' "$scratch/stack")
    aws_text cloudformation update-stack --stack-name "$STACK" --use-previous-template \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
        --parameters "${parameters[@]}" >"$scratch/breaking" || return
    local deadline=$(($(now) + ROLLBACK_SECONDS_MAX))
    while true; do
        if status=$(stack_status 2>"$scratch/status"); then
            unread=0
            [[ $status == *_IN_PROGRESS ]] || break
        else
            status=unknown
            unread=$((unread + 1))
            [ "$unread" -lt "$STATUS_FAILURES_MAX" ] ||
                { fail "the stack's status cannot be read: $(tail -n 1 "$scratch/status")"
                    return; }
        fi
        # Only invocations of the new version fail, so it needs some.
        if called_back rolled >/dev/null; then
            accepted=$((accepted + 1))
        else
            refused=$((refused + 1))
        fi
        [ "$(now)" -lt "$deadline" ] || { fail "the stack is still $status"; return; }
        sleep "$ROLLBACK_SUBMIT_SECONDS"
    done
    # No update is left to cancel.
    rm "$scratch/breaking"
    [ "$status" = UPDATE_ROLLBACK_COMPLETE ] ||
        { fail "the stack is $status: deploy your release again"; return; }
    [ "$refused" -eq 0 ] || { fail "$refused of $((refused + accepted)) submits failed"; return; }
    [ "$(live_version Callback)" = "$before" ] ||
        { fail "$LIVE of Callback is $(live_version Callback), not $before"; return; }
    await "$PATIENCE" is_callback_over "$id" && [ "$callback" = delivered ] ||
        { fail "the callback of $id is $callback"; return; }
    echo "rolled back to version $before, $accepted submits accepted meanwhile"
}

stack_status() {
    aws_text cloudformation describe-stacks --stack-name "$STACK" --query 'Stacks[0].StackStatus'
}

live_version() {
    aws_text lambda get-alias --name "$LIVE" --function-name "$(function_arn "$1")" \
        --query FunctionVersion
}

# A deployment that the interrupted check 31 began.
cancel_bad_release() {
    [ -s "$scratch/breaking" ] || return 0
    echo "smoke.sh: $STACK returns to its release; wait for UPDATE_ROLLBACK_COMPLETE" >&2
    aws_text cloudformation cancel-update-stack --stack-name "$STACK" || true
}
