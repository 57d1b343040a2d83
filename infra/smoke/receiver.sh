# shellcheck shell=bash
# The receiver of callbacks: deploys and deletes the stack that has it, and reads what it got.

SECOND_STACK=$STACK-smoke
SECOND_STACK_DESCRIPTION="Ferry's smoke test, a receiver of callbacks and a target"
# Where to read on when it is not deployed.
SECOND_STACK_HELP="SMOKE.md, What it makes"
# Lambda limits a function's name, and the target's is STACK-smoke-target.
STACK_NAME_CHARACTERS_MAX=51
DEPLOY_SECONDS_MAX=300
is_second_stack_made=false

# Deploys in the background: the checks that need the receiver come late.
start_receiver() {
    RECEIVER_KEY=$(od -An -N 16 -tx1 /dev/urandom | tr -d ' \n')
    if [ -n "$RECEIVER" ]; then
        echo "$RECEIVER" >"$scratch/receiver"
        return
    fi
    is_wanted 15 || is_wanted 16 || is_wanted 25 || is_wanted 29 || is_wanted 30 ||
        is_wanted 31 || return 0
    [ ${#STACK} -le "$STACK_NAME_CHARACTERS_MAX" ] ||
        cannot_run "the name $STACK has more than $STACK_NAME_CHARACTERS_MAX characters:" \
            "pass --receiver"
    local found
    # Two runs at once would change and delete each other's receiver.
    if found=$(aws_text cloudformation describe-stacks --stack-name "$SECOND_STACK" \
        --query "Stacks[0].[StackStatus,Description]" 2>&1); then
        [ "${found#*$'\t'}" = "$SECOND_STACK_DESCRIPTION" ] ||
            cannot_run "there is a stack $SECOND_STACK that is not this script's"
        cannot_run "the stack $SECOND_STACK exists (${found%%$'\t'*}): another run is in" \
            "progress, or one was killed or kept it. Wait, or delete it:" \
            "aws cloudformation delete-stack --stack-name $SECOND_STACK"
    fi
    case $found in
    *"does not exist"*) ;;
    *) cannot_run "cannot read the stack $SECOND_STACK: $(tail -n 1 <<<"$found")" ;;
    esac
    is_second_stack_made=true
    in_background deploy_second_stack
}

deploy_second_stack() {
    exec >"$scratch/deploy" 2>&1
    if aws_text cloudformation deploy --stack-name "$SECOND_STACK" \
        --template-file "$here/smoke.yaml" --capabilities CAPABILITY_IAM --parameter-overrides \
        "ReceiverKey=$RECEIVER_KEY" "WebhookSecretArn=$(output WebhookSecretArn)" \
        "KeyArn=$(parameter KeyArn "")" "RolePath=$(parameter RolePath /)" \
        "PermissionsBoundaryArn=$(parameter PermissionsBoundaryArn "")" &&
        aws_text cloudformation describe-stacks --stack-name "$SECOND_STACK" \
            --query "Stacks[0].Outputs[?OutputKey=='ReceiverUrl'].OutputValue" >"$scratch/url"; then
        sed "s|/*\$|/$RECEIVER_KEY|" "$scratch/url" >"$scratch/receiver.new"
        mv "$scratch/receiver.new" "$scratch/receiver"
    else
        touch "$scratch/receiver.failed"
    fi
}

delete_second_stack() {
    $is_second_stack_made || return 0
    aws_text cloudformation delete-stack --stack-name "$SECOND_STACK" &&
        aws_text cloudformation wait stack-delete-complete --stack-name "$SECOND_STACK" ||
        echo "smoke.sh: the stack $SECOND_STACK is left; delete it" >&2
}

has_receiver() { [ -s "$scratch/receiver" ] || [ -f "$scratch/receiver.failed" ]; }

# Sets receiver, its URL with the key.
needs_receiver() {
    await "$DEPLOY_SECONDS_MAX" has_receiver && [ -s "$scratch/receiver" ] ||
        { echo "$SECOND_STACK_HELP" >"$scratch/check-$running.help"
            fail "$SECOND_STACK was not deployed: $(tail -n 3 "$scratch/deploy")"; return; }
    receiver=$(cat "$scratch/receiver")
}

# received NAME: the receiver's lines about the requests to a path, oldest first.
received() { curl --silent --fail --max-time 20 "$receiver/$1"; }

# part NAME LINE: of the receiver's line, `name=value name=value`.
part() { tr ' ' '\n' <<<"$2" | sed -n "s/^$1=//p"; }

# callback_status ID: and sets body to the operation's member `callback`.
callback_status() {
    request caller GET "/operations/$1" || true
    body=${body#*\"callback\":}
    callback=$(member status)
}

is_callback_over() {
    callback_status "$1"
    case $callback in delivered | gone | exhausted) ;; *) return 1 ;; esac
}
