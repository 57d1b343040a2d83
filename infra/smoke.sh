#!/usr/bin/env bash
# Checks a deployed stack from the outside, one line per check: see SMOKE.md. Needs bash 3.2
# or later, the AWS CLI (1 or 2) and curl 7.75 or later, and nothing else that a machine may lack.
# Deploys a second stack, STACK-smoke (smoke.yaml), for as long as it runs.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: smoke.sh [OPTIONS] STACK

Checks the stack STACK, and exits with 0 if every check passes, 1 if one fails, 2 if it cannot run.

Options:
  --json             Print one JSON object per line
  --only N[,N...]    Run only these checks
  --long             Also run the checks that take longer than a few minutes
  --break            Also deploy a release that fails, which the stack must roll back (check 31,
                     half an hour; needs the permissions of a deployment)
  --iam              Sign requests with the AWS CLI's credentials (the default for Authorizer=iam)
  --keep             Keep the stack STACK-smoke and the operations
  --patience SECONDS How long to wait for logs, metrics and dead letters (300)
  --verbose          Write AWS account ids into the output and the result file
  --receiver URL     Use a receiver that runs at this URL, and do not deploy STACK-smoke
  --conformance DIR  Also run the conformance tests of the checkout DIR, with cargo (check 29)
  -h, --help         Print help

Environment:
  FERRY_TOKEN          a caller's token, which becomes `Authorization: Bearer TOKEN`
  FERRY_OTHER_TOKEN    the token of another owner; without it check 3 compares no two owners
  FERRY_EXPIRED_TOKEN  a token that was valid; without it check 2 tries no expired token
  FERRY_OWNER          the owner of FERRY_TOKEN with its kind, such as jwt:alice; by default the
                       claim of a JWT, or the principal of the AWS CLI; required by check 3 for
                       Authorizer=lambda
  AWS_REGION, AWS_PROFILE and the AWS CLI's other variables
USAGE
}

cannot_run() {
    printf 'smoke.sh: %s\n' "$*" >&2
    exit 2
}

ONLY="" RECEIVER="" CONFORMANCE="" PATIENCE=300
IS_JSON=false IS_LONG=false RUN_BREAK=false KEEP=false IS_VERBOSE=false USE_IAM=false
STACK=""
while [ $# -gt 0 ]; do
    case $1 in
    --json) IS_JSON=true ;;
    --long) IS_LONG=true ;;
    --break) RUN_BREAK=true ;;
    --iam) USE_IAM=true ;;
    --keep) KEEP=true ;;
    --verbose) IS_VERBOSE=true ;;
    --only | --receiver | --conformance | --patience)
        [ $# -gt 1 ] || cannot_run "$1 needs a value"
        case $1 in
        --only) ONLY=$2 ;;
        --receiver) RECEIVER=${2%/} ;;
        --conformance) CONFORMANCE=$2 ;;
        --patience) PATIENCE=$2 ;;
        esac
        shift
        ;;
    -h | --help) usage && exit 0 ;;
    -*) cannot_run "there is no option $1; see --help" ;;
    *)
        [ -z "$STACK" ] || cannot_run "one stack at a time, not $STACK and $1"
        STACK=$1
        ;;
    esac
    shift
done
[ -n "$STACK" ] || cannot_run "which stack? See --help"
# In variables, since bash 3.2 cannot parse all of them in place.
stack_pattern='^[A-Za-z][A-Za-z0-9-]{0,127}$' numbers_pattern='^([0-9]+(,[0-9]+)*)?$'
seconds_pattern='^[0-9]{1,5}$' url_pattern='^(https?://[^/]+.*)?$'
[[ $STACK =~ $stack_pattern ]] || cannot_run "$STACK is no name of a stack"
[[ $ONLY =~ $numbers_pattern ]] || cannot_run "--only takes numbers separated by commas, not $ONLY"
[[ $PATIENCE =~ $seconds_pattern ]] || cannot_run "--patience takes seconds, not $PATIENCE"
[[ $RECEIVER =~ $url_pattern ]] || cannot_run "--receiver takes a URL, not $RECEIVER"
[ -z "$CONFORMANCE" ] || [ -f "$CONFORMANCE/Cargo.toml" ] ||
    cannot_run "--conformance takes a checkout of Ferry, and $CONFORMANCE is none"

here=$(cd "$(dirname "$0")" && pwd)
# Nothing in it is readable by other users: it has the callers' tokens.
umask 077
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ferry-smoke.XXXXXX")
# Sourced in the order in which they use each other.
# shellcheck source=infra/smoke/report.sh
. "$here/smoke/report.sh"
# shellcheck source=infra/smoke/aws.sh
. "$here/smoke/aws.sh"
# shellcheck source=infra/smoke/api.sh
. "$here/smoke/api.sh"
# shellcheck source=infra/smoke/receiver.sh
. "$here/smoke/receiver.sh"
# shellcheck source=infra/smoke/checks/http.sh
. "$here/smoke/checks/http.sh"
# shellcheck source=infra/smoke/checks/work.sh
. "$here/smoke/checks/work.sh"
# shellcheck source=infra/smoke/checks/callbacks.sh
. "$here/smoke/checks/callbacks.sh"
# shellcheck source=infra/smoke/checks/account.sh
. "$here/smoke/checks/account.sh"
# shellcheck source=infra/smoke/checks/changes.sh
. "$here/smoke/checks/changes.sh"

# Number, function, and the page next to this script to read when the check fails. In the order of
# their start. What reads the account comes before what raises alarms (a worker that dies, dead
# letters), and what changes the stack comes last.
EARLY_CHECKS="
9   heartbeat_keeps_the_message           RUNBOOK.md, Dispatch messages grow old
10  lost_worker_is_detected               RUNBOOK.md, Functions fail
"
CHECKS="
26  quota_is_high_enough                  README.md, Concurrency
21  alarms_are_quiet                      RUNBOOK.md, Alarms
14  table_is_protected                    README.md, Restoring the table
18  roles_allow_no_more                   README.md, Registered functions
22  dashboard_shows_the_stack             RUNBOOK.md, Dashboard
23  aliases_point_to_versions             README.md, Upgrading
1   api_responds                          RUNBOOK.md, Functions fail
2   unauthenticated_requests_are_refused  README.md, Who may call
3   owner_is_the_caller                   README.md, Who may call
4   location_can_be_followed              README.md, Domain, keys and logs
5   requests_arrive_as_sent               RUNBOOK.md, The gateway returns 5xx
6   pages_of_other_origins_may_call       README.md, Who may call
8   a_failure_leaves_its_batch_alone      RUNBOOK.md, Functions fail
11  retries_wait_and_do_not_loop          RUNBOOK.md, Functions fail
12  cancel_reaches_the_worker             RUNBOOK.md, Work does not stop
13  racing_writes_agree                   SMOKE.md, Racing writes
15  callbacks_arrive_signed               RUNBOOK.md, Callbacks are exhausted
17  dead_letters_are_read                 RUNBOOK.md, Dispatch dead letters
19  logs_have_no_payload                  RUNBOOK.md, Log fields
24  waits_end_in_time                     README.md, Concurrency
27  clocks_agree                          SMOKE.md, Clocks
30  target_is_invoked                     RUNBOOK.md, Targets are unavailable
29  protocol_conforms                     SMOKE.md, Conformance
25  trace_has_all_functions               RUNBOOK.md, Log fields
20  metrics_arrive                        RUNBOOK.md, Metrics
28  writes_cost_what_they_should          README.md, Cost
16  secret_is_replaced_without_a_gap      SETTINGS.md, Replacing a webhook secret
31  bad_release_is_rolled_back            RUNBOOK.md, A new version fails
"

is_interrupted=false
interrupted() {
    is_interrupted=true
    echo "smoke.sh: interrupted; removes what it made, which can take some minutes" >&2
    exit "$1"
}

remove_what_it_made() {
    trap '' HUP INT TERM
    end_jobs
    restore_secret
    cancel_bad_release
    if ! $KEEP; then
        erase_operations
        delete_second_stack
    fi
    $is_written || rm -f "$RESULTS"
    rm -rf "$scratch"
}
trap remove_what_it_made EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM

for number in ${ONLY//,/ }; do
    grep -q "^$number " <<<"$EARLY_CHECKS$CHECKS" || cannot_run "there is no check $number"
done
# It is written at the end, and minutes of checks would be lost.
(: >"$RESULTS") 2>/dev/null || cannot_run "cannot write $RESULTS to the current directory"
require_tools
describe_stack
identify_callers
start_receiver

started=$(now)
start_early
while read -r number function help; do
    is_wanted "$number" || continue
    run_check "$number" "$function" "$help"
done < <(sed '/^$/d' <<<"$CHECKS")
report_early
print_summary
[ "$failed" -eq 0 ]
