# shellcheck shell=bash
# Requests to AWS, and what the stack is.

# Without a pager and prompts, which only version 2 of the AWS CLI has.
export AWS_PAGER="" AWS_CLI_AUTO_PROMPT=off

CURL_MINIMUM=7.75
LIVE=live

# aws_text SERVICE OPERATION [OPTION...]: what AWS responds, as text. Version 1 of the AWS CLI
# ignores a service's endpoint in the environment for SQS, so it is an option here.
aws_text() {
    local variable endpoint
    variable=AWS_ENDPOINT_URL_$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')
    endpoint=${!variable:-${AWS_ENDPOINT_URL:-}}
    aws "$@" --region "$REGION" --output text ${endpoint:+--endpoint-url "$endpoint"}
}

# Sets TOOLS, their versions.
require_tools() {
    local version minor cli
    command -v aws >/dev/null || cannot_run "the AWS CLI is missing: https://aws.amazon.com/cli/"
    command -v curl >/dev/null || cannot_run "curl is missing"
    version=$(curl --version | sed -n '1s/^curl \([0-9.]*\).*/\1/p')
    minor=${version#*.}
    if [ "${version%%.*}" -lt 7 ] ||
        { [ "${version%%.*}" -eq 7 ] && [ "${minor%%.*}" -lt "${CURL_MINIMUM#*.}" ]; }; then
        cannot_run "curl $CURL_MINIMUM or later is needed, and this is $version"
    fi
    cli=$(aws --version 2>&1) || cannot_run "the AWS CLI does not run: $(tail -n 1 <<<"$cli")"
    TOOLS="${cli%% *}, curl $version, bash ${BASH_VERSION%%(*}"
    REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [ -n "$REGION" ] || cannot_run "no Region: set AWS_REGION"
}

# Reads outputs and parameters once.
describe_stack() {
    local found status id description
    # One row each, with its kind.
    local query="Stacks[0].[[['stack',StackStatus,StackId,Description]],"
    query+="Outputs[].['output',OutputKey,OutputValue],"
    query+="Parameters[].['parameter',ParameterKey,ParameterValue]][]"
    found=$(aws_text cloudformation describe-stacks --stack-name "$STACK" --query "$query" 2>&1) ||
        case $found in
        *"does not exist"*) cannot_run "there is no stack $STACK in $REGION" ;;
        *) cannot_run "cannot read the stack $STACK in $REGION: $(tail -n 1 <<<"$found")" ;;
        esac
    echo "$found" >"$scratch/stack"
    IFS=$'\t' read -r _ status id description < <(grep '^stack' "$scratch/stack")
    ACCOUNT=$(cut -d : -f 5 <<<"$id")
    case $status in
    CREATE_COMPLETE | UPDATE_COMPLETE | UPDATE_ROLLBACK_COMPLETE | IMPORT_COMPLETE) ;;
    REVIEW_IN_PROGRESS) cannot_run "the stack $STACK is $status: its first change set was not" \
        "executed; deploy it first" ;;
    *_IN_PROGRESS) cannot_run "the stack $STACK is $status: wait until it has ended" ;;
    CREATE_FAILED | ROLLBACK_COMPLETE | ROLLBACK_FAILED) cannot_run "the stack $STACK was not" \
        "created ($status): read its events, delete it, deploy again" ;;
    *) cannot_run "the stack $STACK is $status: repair it first" ;;
    esac
    local name
    # The last two are newer than the others.
    for name in ApiUrl WebhookSecretArn ApiLogGroupArn CallbackFunctionArn; do
        [ -n "$(output "$name")" ] || cannot_run "the stack $STACK ($description) has no output" \
            "$name: deploy the release of this smoke.sh first"
    done
    API=$(output ApiUrl)
    API=${API%/}
}

output() { value_of output "$1"; }

# parameter NAME DEFAULT
parameter() {
    local value
    value=$(value_of parameter "$1")
    echo "${value:-$2}"
}

value_of() {
    awk -F '\t' -v kind="$1" -v name="$2" '$1 == kind && $2 == name { print $3 }' "$scratch/stack"
}

release_name() { parameter Release unknown; }

has_demo_functions() { [ "$(parameter DemoFunctions 0)" = 1 ]; }

needs_demo_functions() {
    has_demo_functions || skip "DemoFunctions is not 1"
}

# log_group FUNCTION: the name of its log group.
log_group() {
    local arn
    arn=$(output "$1LogGroupArn")
    arn=${arn#*:log-group:}
    echo "${arn%:\*}"
}

# logged FUNCTION TEXT: the lines of a function's log, since the start, that contain the text.
# Returns 1 if there is no such line, and 2 if the log cannot be read.
logged() {
    local found
    found=$(aws_text logs filter-log-events --log-group-name "$(log_group "$1")" \
        --filter-pattern "\"$2\"" --start-time "$((started * 1000))" \
        --query 'events[].[message]') || return 2
    grep . <<<"$found" | grep -v '^None$'
}

# is_not_logged FUNCTION TEXT PROBLEM: fails with PROBLEM and the first line if there is one. A log
# that cannot be read proves nothing, so it fails as well.
is_not_logged() {
    local found code=0
    found=$(logged "$1" "$2") || code=$?
    case $code in
    0) fail "$3: ${found%%"$newline"*}" ;;
    1) ;;
    *) fail "the log group $(log_group "$1") cannot be read" ;;
    esac
}

# stored OPERATION QUERY: attributes of an operation's record.
stored() {
    aws_text dynamodb get-item --table-name "$(output TableName)" --consistent-read \
        --key "{\"pk\":{\"S\":\"$1\"},\"sk\":{\"S\":\"head\"}}" --query "$2"
}
