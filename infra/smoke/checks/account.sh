# shellcheck shell=bash
# What the stack's resources are, as AWS's own API describes them, and its logs and metrics.

WRITE_UNITS_PER_OPERATION=12
WRITE_UNITS_BESIDE=400

quota_is_high_enough() {
    local quota needed workers callbacks
    workers=$(parameter WorkerMaximumConcurrency 20)
    callbacks=$(parameter CallbackMaximumConcurrency 50)
    quota=$(ask lambda get-account-settings --query AccountLimit.ConcurrentExecutions) ||
        { fail "the quota cannot be read: $quota"; return; }
    # With two for each dead-letter queue, and one for submit or status.
    needed=$((workers + callbacks + 5))
    [ "$quota" -ge "$needed" ] ||
        { fail "the account's quota is $quota executions, and the stack may use $needed:" \
            "set WorkerMaximumConcurrency and CallbackMaximumConcurrency to 2"; return; }
    echo "$quota concurrent executions; worker and callback use at most $((needed - 1))"
}

alarms_are_quiet() {
    local names states raised topic actions listed described
    names=$(ask cloudformation list-stack-resources --stack-name "$STACK" --query \
        "StackResourceSummaries[?ResourceType=='AWS::CloudWatch::Alarm'].[PhysicalResourceId]") ||
        { fail "the stack's resources cannot be listed: $names"; return; }
    [ -n "$names" ] || { fail "the stack has no alarms"; return; }
    # shellcheck disable=SC2086 # Several names, which have no spaces.
    states=$(ask cloudwatch describe-alarms --alarm-names $names \
        --query 'MetricAlarms[].[StateValue,AlarmName,AlarmActions[0],OKActions[0]]') ||
        { fail "the alarms cannot be read: $states"; return; }
    listed=$(wc -w <<<"$names" | tr -d ' ') described=$(wc -l <<<"$states" | tr -d ' ')
    [ "$listed" -eq "$described" ] ||
        { fail "$listed alarms in the stack, $described in CloudWatch"; return; }
    raised=$(awk -F '\t' '$1 == "ALARM" { printf "%s ", $2 }' <<<"$states")
    [ -z "$raised" ] || { fail "these alarms are on: $raised"; return; }
    topic=$(parameter AlarmTopicArn "")
    actions=$(cut -f 3,4 <<<"$states" | tr '\t' '\n' | sort -u)
    [ "$actions" = "${topic:-None}" ] ||
        { fail "the alarms notify $actions, not ${topic:-no topic}"; return; }
    echo "$listed alarms, no alarm is on"
}

table_is_protected() {
    local table ttl backups protection key
    table=$(output TableName)
    ttl=$(ask dynamodb describe-time-to-live --table-name "$table" \
        --query 'TimeToLiveDescription.[TimeToLiveStatus,AttributeName]')
    [ "$ttl" = $'ENABLED\tdelete_at' ] || { fail "time to live is $ttl"; return; }
    backups=$(ask dynamodb describe-continuous-backups --table-name "$table" --query \
        ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus)
    [ "$backups" = ENABLED ] || { fail "point-in-time recovery is $backups"; return; }
    read -r protection key < <(ask dynamodb describe-table --table-name "$table" \
        --query 'Table.[DeletionProtectionEnabled,SSEDescription.SSEType]')
    [ "$key" = KMS ] || { fail "the encryption is $key"; return; }
    # AWS always returns it, and the AWS CLI has it since March 2023.
    [ "$protection" != None ] ||
        { skip "TTL, point-in-time recovery, $key; this AWS CLI cannot read deletion protection"
            return; }
    [ "$(tr '[:upper:]' '[:lower:]' <<<"$protection")" = "$(parameter DeletionProtection true)" ] ||
        { fail "deletion protection is $protection"; return; }
    echo "TTL on delete_at, point-in-time recovery, deletion protection $protection, $key"
}

# The roles allow what the other checks need. This asks IAM about what they must not allow.
roles_allow_no_more() {
    local function
    for function in Submit Status Worker Callback; do
        # At once, since these are many requests.
        is_role_narrow "$function" >"$scratch/role-$function" 2>&1 || : >"$scratch/too-wide" &
    done
    wait
    cat "$scratch"/role-*
    [ ! -f "$scratch/too-wide" ] || return 1
    echo "four roles are denied Scan, DeleteTable, PassRole, InvokeFunction, other queues, secrets"
}

# is_role_narrow FUNCTION: one request for each action. IAM refuses some actions in one request,
# since they "require different authorization information" (internal/aws/iam/iam.go of
# aws-cloudformation/rain has such a response), and AWS does not document which.
is_role_narrow() {
    local role action resource decision
    role=$(output "$1RoleArn")
    while read -r action resource; do
        decision=$(ask iam simulate-principal-policy --policy-source-arn "$role" \
            --action-names "$action" --resource-arns "$resource" \
            --query 'EvaluationResults[].[EvalDecision]') || return
        case $action:$decision in
        dynamodb:GetItem:allowed) ;;
        dynamodb:GetItem:*) fail "$1 may not read the table: $decision"; return ;;
        *:implicitDeny | *:explicitDeny) ;;
        *) fail "$1 may $action on $resource: $decision"; return ;;
        esac
    done <<ROWS
dynamodb:GetItem $(output TableArn)
dynamodb:Scan $(output TableArn)
dynamodb:DeleteTable $(output TableArn)
sqs:SendMessage $(output DispatchQueueArn)-other
secretsmanager:GetSecretValue $(output WebhookSecretArn)-other
iam:PassRole $role
lambda:InvokeFunction $(function_arn Submit)
ROWS
}

dashboard_shows_the_stack() {
    local dashboard found
    dashboard=$(ask cloudwatch get-dashboard --dashboard-name "$(output DashboardName)" \
        --query DashboardBody) || { fail "no dashboard: $dashboard"; return; }
    [[ $dashboard == *"$(output TableName)"* ]] || { fail "the dashboard lacks the table"; return; }
    found=$(grep -o '"type"' <<<"$dashboard" | wc -l | tr -d ' ')
    [ "$found" -gt 1 ] || { fail "the dashboard has $found widgets"; return; }
    echo "$found widgets"
}

aliases_point_to_versions() {
    local function version routing versions="" state runtime
    for function in Submit Status Worker Callback; do
        # shellcheck disable=SC2016 # A literal of JMESPath.
        read -r version routing < <(ask lambda get-alias --name "$LIVE" \
            --function-name "$(function_arn "$function")" \
            --query '[FunctionVersion,keys(RoutingConfig.AdditionalVersionWeights||`{}`)[0]]')
        [[ $version =~ ^[0-9]+$ ]] || { fail "$LIVE of $function is $version"; return; }
        # A canary has ended.
        [ "${routing:-None}" = None ] ||
            { fail "$LIVE of $function still moves from $version to $routing"; return; }
        read -r state runtime < <(ask lambda get-function-configuration \
            --function-name "$(output "${function}FunctionArn")" --query '[State,Runtime]')
        [ "$state $runtime" = "Active provided.al2023" ] ||
            { fail "$function is $state, on $runtime"; return; }
        versions+=" $function $version"
    done
    echo "$LIVE is$versions, all active"
}

# The functions read the dead-letter queues themselves.
dead_letters_are_read() {
    local create queue function message body
    summarize || return
    await_end "$id" 30 || return
    create=$(stored "$id" Item.create_id.S) ||
        { fail "the record cannot be read: $create"; return; }
    for function in Worker Callback; do
        [ "$function" = Worker ] && queue=$(output DispatchDeadLetterQueueUrl) ||
            queue=$(output CallbackDeadLetterQueueUrl)
        # The operation has ended, so its message has nothing to do.
        body="{\"format\":1,\"operation_id\":\"$id\",\"create_id\":\"$create\""
        body+=",\"function\":\"csv.summarize\",\"function_version\":\"1.0.0\"}"
        send "$queue" "$body" >"$scratch/sent" || { cat "$scratch/sent"; return 1; }
        message=$(send "$queue" "smoke test") || { fail "$message"; return; }
        await "$PATIENCE" is_empty "$queue" ||
            { fail "after $PATIENCE s $queue has $messages messages"; return; }
        await "$PATIENCE" is_reported "$function" "$message" ||
            { fail "$function logged no 'malformed message dropped' for $message"; return; }
    done
    echo "both dead-letter queues are empty, and both functions logged the malformed message"
}

send() { ask sqs send-message --queue-url "$1" --message-body "$2" --query MessageId; }

is_empty() {
    messages=$(ask sqs get-queue-attributes --queue-url "$1" --attribute-names \
        ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible --query \
        'Attributes.[ApproximateNumberOfMessages,ApproximateNumberOfMessagesNotVisible]')
    [ "$messages" = $'0\t0' ]
}

is_reported() { logged "$1" "$2" | grep -q 'malformed message dropped'; }

logs_have_no_payload() {
    local function retention group days line
    summarize || return
    await "$PATIENCE" logged Submit "$id" >"$scratch/log" ||
        { fail "the log of submit lacks $id"; return; }
    ! grep -v '^{' "$scratch/log" || { fail "the log is not JSON"; return; }
    # Every invocation has such a line, unless the level of Lambda's own lines is above it.
    is_not_logged Submit platform.start || { fail "Lambda logs each start: $line"; return; }
    retention=$(parameter LogRetentionInDays 30)
    for function in Submit Status Worker Callback Api; do
        group=$(log_group "$function")
        days=$(ask logs describe-log-groups --log-group-name-prefix "$group" \
            --query "logGroups[?logGroupName=='$group'].[retentionInDays]")
        [ "$days" = "$retention" ] ||
            { fail "$group is kept for ${days:-no} days, not $retention"; return; }
        is_not_logged "$function" "$MARKER" ||
            { fail "$group has a payload or a callback's path: $line"; return; }
    done
    echo "lines are JSON, kept for $retention days; no payload in five log groups, and no starts"
}

metrics_arrive() {
    summarize || return
    await "$PATIENCE" has_metric Ferry Submits Name=service,Value="$STACK" \
        Name=function,Value=csv.summarize Name=outcome,Value=accepted ||
        { fail "after $PATIENCE s CloudWatch has no metric Submits of $STACK"; return; }
    echo "Submits of csv.summarize: $sum"
}

# has_metric NAMESPACE NAME DIMENSION...: sets sum, since the start.
has_metric() {
    local namespace=$1 name=$2 from to
    # Whole minutes.
    from=$((started / 60 * 60)) to=$(($(now) / 60 * 60 + 60))
    shift 2
    sum=$(ask cloudwatch get-metric-statistics --namespace "$namespace" --metric-name "$name" \
        --dimensions "$@" --start-time "$from" --end-time "$to" \
        --period 3600 --statistics Sum --query 'Datapoints[].[Sum]' |
        awk '{ sum += $1 } END { printf "%d", sum }') && [ "$sum" -gt 0 ]
}

# Bounds only: others who use the stack add to the table's units.
writes_cost_what_they_should() {
    local made most
    summarize || return
    made=$(sort -u "$scratch/made" | wc -l | tr -d ' ')
    await "$PATIENCE" has_metric AWS/DynamoDB ConsumedWriteCapacityUnits \
        Name=TableName,Value="$(output TableName)" ||
        { fail "after $PATIENCE s CloudWatch has no write units of the table"; return; }
    most=$((made * WRITE_UNITS_PER_OPERATION + WRITE_UNITS_BESIDE))
    [ "$sum" -le "$most" ] ||
        { fail "$sum write units for $made operations, over $most (do others use it?)"; return; }
    echo "$sum write units for $made operations, at most $most"
}

trace_has_all_functions() {
    [ "$(parameter Tracing PassThrough)" = Active ] || { skip "Tracing is not Active"; return; }
    needs_receiver || return
    called_back traced || return
    await 60 is_callback_over "$id" || true
    await "$PATIENCE" logged Callback "$id" >"$scratch/traced" ||
        { fail "the log of callback lacks $id"; return; }
    trace=$(sed -n 's/.*"xray_trace_id":"\([^"]*\)".*/\1/p' "$scratch/traced" | head -n 1)
    [ -n "$trace" ] || { fail "the log line of $id has no xray_trace_id"; return; }
    await "$PATIENCE" is_whole_trace ||
        { fail "the trace $trace has no segments of $missing"; return; }
    echo "$trace has segments of submit, worker and callback"
}

is_whole_trace() {
    local documents function name
    documents=$(ask xray batch-get-traces --trace-ids "$trace" \
        --query 'Traces[].Segments[].[Document]')
    missing=""
    for function in Submit Worker Callback; do
        name=$(function_arn "$function")
        [[ $documents == *"\"name\":\"${name##*:}\""* ]] || missing+=" $function"
    done
    [ -z "$missing" ]
}
