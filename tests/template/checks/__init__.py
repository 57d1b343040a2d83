"""The rules for every stack, whatever its parameters. Each check yields what is wrong."""

from collections.abc import Callable, Iterator

from ..stack import Stack
from . import data, functions, http, operation, permissions

Check = Callable[[Stack], Iterator[str]]

CHECKS: list[Check] = [
    data.the_table_is_protected_and_expires_items,
    data.queues_have_dead_letter_queues,
    data.messages_stay_invisible_while_a_function_has_them,
    data.stored_data_is_encrypted_with_the_chosen_key,
    functions.functions_match_their_build,
    functions.long_waits_are_not_stopped_as_endless_loops,
    functions.variables_refer_to_the_right_resources,
    functions.the_workers_timeout_is_the_parameters,
    functions.registered_functions_come_from_one_layer,
    functions.a_published_version_serves,
    functions.a_bad_version_is_rolled_back,
    functions.readers_are_deployed_before_the_worker_and_the_worker_before_submit,
    functions.private_networks_are_reached_through_the_chosen_vpc,
    functions.each_queue_has_one_reader_with_partial_batch_responses,
    permissions.roles_allow_what_is_listed,
    permissions.only_codedeploy_deploys,
    permissions.roles_have_the_chosen_path_and_boundary,
    permissions.nothing_is_allowed_by_wildcard,
    permissions.conditions_are_as_listed,
    permissions.only_the_gateway_may_invoke_functions,
    permissions.secrets_stay_secret,
    http.routes_require_the_chosen_authorizer,
    http.authorizers_use_the_chosen_issuer_or_function,
    http.requests_reach_the_functions,
    http.the_gateway_throttles,
    http.the_gateway_logs_no_secrets,
    http.an_access_log_line_is_json_whatever_callers_send,
    http.the_api_url_responds,
    http.browsers_may_call_from_the_chosen_origins,
    operation.no_resource_has_a_fixed_name,
    operation.every_parameter_is_described,
    operation.logs_have_the_chosen_level_and_retention,
    operation.every_alarm_links_to_the_runbook,
    operation.alarms_are_as_listed,
    operation.the_dashboard_shows_every_alarm,
    operation.a_parent_stack_gets_every_arn,
]
