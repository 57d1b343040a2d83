"""What has to be true of every stack, whatever the choice of parameters. Each check yields what is wrong, in words."""

from collections.abc import Callable, Iterator

from ..stack import Stack
from . import data, functions, http, operation, permissions

Check = Callable[[Stack], Iterator[str]]

CHECKS: list[Check] = [
    data.table_keeps_what_it_should,
    data.queues_have_dead_letter_queues,
    data.messages_stay_hidden_while_they_are_handled,
    data.everything_kept_is_encrypted,
    functions.functions_are_as_they_are_built,
    functions.variables_lead_to_what_they_name,
    functions.what_serves_is_a_published_version,
    functions.a_bad_version_is_taken_back,
    functions.the_worker_is_deployed_before_submit,
    functions.private_networks_are_reached_through_the_vpc_that_was_named,
    functions.queues_are_read_by_batches_with_single_failures,
    permissions.roles_allow_what_is_listed,
    permissions.nothing_is_allowed_by_wildcard,
    permissions.conditions_are_as_listed,
    permissions.only_the_gateway_may_invoke_functions,
    permissions.secrets_stay_secret,
    http.routes_ask_who_is_calling,
    http.authorizers_ask_the_right_one,
    http.requests_reach_the_functions,
    http.the_gateway_throttles,
    http.the_gateway_logs_no_secrets,
    http.an_access_log_line_is_json_whatever_callers_send,
    http.callers_are_told_an_address_that_answers,
    http.browsers_may_call_from_the_origins_that_were_named,
    operation.nothing_has_a_name_of_its_own,
    operation.every_parameter_is_described,
    operation.logs_are_written_and_kept_as_asked_for,
    operation.every_alarm_has_a_runbook,
    operation.what_goes_wrong_is_alarmed,
    operation.the_dashboard_shows_every_alarm,
]
