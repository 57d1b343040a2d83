# shellcheck shell=bash
# What the stack's resources are, as AWS's own API describes them, and its logs and metrics.

# Of a small operation on its table, README.md, "Cost".
WRITE_UNITS_PER_OPERATION=4
# Operations that check 28 submits, so that what else is written meanwhile weighs little.
COUNTED=50
# What checks 9 and 10 write in the same minutes: progress, heartbeats and retries.
WRITE_UNITS_OTHER=50

quota_is_high_enough() {
    local quota needed workers callbacks
    workers=$(parameter WorkerMaximumConcurrency 20)
    callbacks=$(parameter CallbackMaximumConcurrency 50)
    quota=$(aws_text lambda get-account-settings --query AccountLimit.ConcurrentExecutions) ||
        { fail "the quota cannot be read"; return; }
    # With two for each dead-letter queue, and one for submit or status.
    needed=$((workers + callbacks + 5))
    [ "$quota" -ge "$needed" ] ||
        { fail "the account's quota is $quota executions, and the stack may use $needed:" \
            "set WorkerMaximumConcurrency and CallbackMaximumConcurrency to 2"; return; }
    echo "$quota concurrent executions; worker and callback use at most $((needed - 1))"
}

alarms_are_quiet() {
    local names states raised topic actions listed described
    names=$(aws_text cloudformation list-stack-resources --stack-name "$STACK" --query \
        "StackResourceSummaries[?ResourceType=='AWS::CloudWatch::Alarm'].[PhysicalResourceId]") ||
        { fail "the stack's resources cannot be listed"; return; }
    [ -n "$names" ] || { fail "the stack has no alarms"; return; }
    # shellcheck disable=SC2086 # Several names, which have no spaces.
    states=$(aws_text cloudwatch describe-alarms --alarm-names $names \
        --query 'MetricAlarms[].[StateValue,AlarmName,AlarmActions[0],OKActions[0]]') ||
        { fail "the alarms cannot be read"; return; }
    listed=$(wc -w <<<"$names" | tr -d ' ') described=$(wc -l <<<"$states" | tr -d ' ')
    [ "$listed" -eq "$described" ] ||
        { fail "$listed alarms in the stack, $described in CloudWatch"; return; }
    raised=$(awk -F '\t' '$1 == "ALARM" { printf "%s ", $2 }' <<<"$states")
    [ -z "$raised" ] || { fail "these alarms are on: $raised(an earlier run raises alarms" \
        "for some minutes)"; return; }
    topic=$(parameter AlarmTopicArn "")
    actions=$(cut -f 3,4 <<<"$states" | tr '\t' '\n' | sort -u)
    [ "$actions" = "${topic:-None}" ] ||
        { fail "the alarms notify $actions, not ${topic:-no topic}"; return; }
    echo "$listed alarms, no alarm is on"
}

table_is_protected() {
    local table ttl backups protection key
    table=$(output TableName)
    ttl=$(aws_text dynamodb describe-time-to-live --table-name "$table" \
        --query 'TimeToLiveDescription.[TimeToLiveStatus,AttributeName]') ||
        { fail "time to live cannot be read"; return; }
    [ "$ttl" = $'ENABLED\tdelete_at' ] || { fail "time to live is $ttl"; return; }
    backups=$(aws_text dynamodb describe-continuous-backups --table-name "$table" --query \
        ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus) ||
        { fail "point-in-time recovery cannot be read"; return; }
    [ "$backups" = ENABLED ] || { fail "point-in-time recovery is $backups"; return; }
    table=$(aws_text dynamodb describe-table --table-name "$table" \
        --query 'Table.[DeletionProtectionEnabled,SSEDescription.SSEType]') ||
        { fail "the table cannot be described"; return; }
    read -r protection key <<<"$table"
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
        decision=$(aws_text iam simulate-principal-policy --policy-source-arn "$role" \
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
    dashboard=$(aws_text cloudwatch get-dashboard --dashboard-name "$(output DashboardName)" \
        --query DashboardBody) || { fail "there is no dashboard"; return; }
    [[ $dashboard == *"$(output TableName)"* ]] || { fail "the dashboard lacks the table"; return; }
    found=$(grep -o '"type"' <<<"$dashboard" | wc -l | tr -d ' ')
    [ "$found" -gt 1 ] || { fail "the dashboard has $found widgets"; return; }
    echo "$found widgets"
}

aliases_point_to_versions() {
    local function version routing versions="" state runtime found
    for function in Submit Status Worker Callback; do
        # shellcheck disable=SC2016 # A literal of JMESPath.
        found=$(aws_text lambda get-alias --name "$LIVE" \
            --function-name "$(function_arn "$function")" \
            --query '[FunctionVersion,keys(RoutingConfig.AdditionalVersionWeights||`{}`)[0]]') ||
            { fail "the alias of $function cannot be read"; return; }
        read -r version routing <<<"$found"
        [[ $version =~ ^[0-9]+$ ]] || { fail "$LIVE of $function is $version"; return; }
        # A canary has ended.
        [ "${routing:-None}" = None ] ||
            { fail "$LIVE of $function still moves from $version to $routing"; return; }
        found=$(aws_text lambda get-function-configuration \
            --function-name "$(output "${function}FunctionArn")" --query '[State,Runtime]') ||
            { fail "the configuration of $function cannot be read"; return; }
        read -r state runtime <<<"$found"
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
        { fail "the record cannot be read"; return; }
    for function in Worker Callback; do
        [ "$function" = Worker ] && queue=$(output DispatchDeadLetterQueueUrl) ||
            queue=$(output CallbackDeadLetterQueueUrl)
        # The operation has ended, so its message has nothing to do.
        body="{\"format\":1,\"operation_id\":\"$id\",\"create_id\":\"$create\""
        body+=",\"function\":\"csv.summarize\",\"function_version\":\"1.0.0\"}"
        send "$queue" "$body" >/dev/null || { fail "no message was sent to $queue"; return; }
        message=$(send "$queue" "smoke test") || { fail "no message was sent to $queue"; return; }
        # These counts are approximate, and can be 0 before the messages are counted. The log line
        # is what shows that a function read the queue.
        await "$PATIENCE" is_empty "$queue" ||
            { fail "after $PATIENCE s $queue has $messages messages"; return; }
        await "$PATIENCE" is_reported "$function" "$message" ||
            { fail "$function logged no 'malformed message dropped' for $message"; return; }
    done
    echo "worker and callback read their dead-letter queues: both logged the malformed message"
}

send() { aws_text sqs send-message --queue-url "$1" --message-body "$2" --query MessageId; }

is_empty() {
    messages=$(aws_text sqs get-queue-attributes --queue-url "$1" --attribute-names \
        ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible --query \
        'Attributes.[ApproximateNumberOfMessages,ApproximateNumberOfMessagesNotVisible]')
    [ "$messages" = $'0\t0' ]
}

is_reported() { logged "$1" "$2" | grep -q 'malformed message dropped'; }

logs_have_no_payload() {
    local function retention group days
    summarize || return
    await "$PATIENCE" logged Submit "$id" >"$scratch/log" ||
        { fail "the log of submit lacks $id, or cannot be read"; return; }
    ! grep -v '^{' "$scratch/log" || { fail "the log is not JSON"; return; }
    # Every invocation has such a line, unless the level of Lambda's own lines is above it.
    is_not_logged Submit platform.start "Lambda logs each start" || return
    retention=$(parameter LogRetentionInDays 30)
    for function in Submit Status Worker Callback Api; do
        group=$(log_group "$function")
        days=$(aws_text logs describe-log-groups --log-group-name-prefix "$group" \
            --query "logGroups[?logGroupName=='$group'].[retentionInDays]")
        [ "$days" = "$retention" ] ||
            { fail "$group is kept for ${days:-no} days, not $retention"; return; }
        is_not_logged "$function" "$MARKER" "$group has a payload or a callback's path" || return
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

# has_metric NAMESPACE NAME DIMENSION...: sets sum, since metrics_since or the start.
has_metric() {
    local namespace=$1 name=$2 from to
    # Whole minutes.
    from=$((${metrics_since:-$started} / 60 * 60)) to=$(($(now) / 60 * 60 + 60))
    shift 2
    sum=$(aws_text cloudwatch get-metric-statistics --namespace "$namespace" --metric-name "$name" \
        --dimensions "$@" --start-time "$from" --end-time "$to" \
        --period 3600 --statistics Sum --query 'Datapoints[].[Sum]' |
        awk '{ sum += $1 } END { printf "%d", sum }') && [ "$sum" -gt 0 ]
}

# A bound only: other callers of the stack add to the table's units. Those of the index are counted
# separately.
writes_cost_what_they_should() {
    local n operation most metrics_since
    # CloudWatch counts by whole minutes, and other checks have written in this one.
    sleep $((60 - $(now) % 60))
    metrics_since=$(now)
    for ((n = 0; n < COUNTED; n++)); do
        summarize || return
        echo "$id" >>"$scratch/counted"
    done
    while read -r operation; do
        await_end "$operation" 30 || return
    done <"$scratch/counted"
    await "$PATIENCE" are_all_units_counted ||
        { fail "after $PATIENCE s CloudWatch has ${sum:-0} write units of the table, and not all"
            return; }
    most=$((COUNTED * WRITE_UNITS_PER_OPERATION + WRITE_UNITS_OTHER))
    [ "$sum" -le "$most" ] ||
        { fail "$sum write units for $COUNTED operations, over $most (do others use it?)"; return; }
    echo "$sum write units for $COUNTED operations, at most $most"
}

# CloudWatch gets the units of each minute separately, and late: they are enough for the three
# writes of each operation, and two reads a minute apart agree. Sets sum.
are_all_units_counted() {
    local before pause=60
    has_write_units || return
    before=$sum
    [ "$PATIENCE" -ge "$pause" ] || pause=$PATIENCE
    sleep "$pause"
    has_write_units && [ "$sum" -eq "$before" ]
}

has_write_units() {
    has_metric AWS/DynamoDB ConsumedWriteCapacityUnits \
        Name=TableName,Value="$(output TableName)" && [ "$sum" -ge $((COUNTED * 3)) ]
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
    documents=$(aws_text xray batch-get-traces --trace-ids "$trace" \
        --query 'Traces[].Segments[].[Document]')
    missing=""
    for function in Submit Worker Callback; do
        name=$(function_arn "$function")
        [[ $documents == *"\"name\":\"${name##*:}\""* ]] || missing+=" $function"
    done
    [ -z "$missing" ]
}
