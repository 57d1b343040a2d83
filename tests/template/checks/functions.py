"""How the functions run, read their queues, and are replaced."""

from collections.abc import Iterator

from .. import policies
from ..resources import (
    EVENT_SOURCE,
    FUNCTION,
    FUNCTIONS,
    LAYER,
    QUEUES,
    VARIABLES,
    alias,
    attribute,
    each,
)
from ..stack import Stack


def functions_match_their_build(stack: Stack) -> Iterator[str]:
    expected = {f"{function}Function" for function in FUNCTIONS}
    if {function.name for function in stack.of(FUNCTION)} != expected:
        yield "there are other functions than expected"
    for function in stack.of(FUNCTION):
        if function["Runtime"] != "provided.al2023" or function["Handler"] != "bootstrap":
            yield f"{function.name} does not run what cargo-lambda builds"
        if function["Architectures"] != [stack.parameters["Architecture"]]:
            yield f"{function.name} does not have the chosen architecture"
        if function.attributes.get("Metadata", {}).get("BuildMethod") != "rust-cargolambda":
            yield f"{function.name} is not built by cargo-lambda"
        if function["TracingConfig"] != {"Mode": stack.parameters["Tracing"]}:
            yield f"{function.name} does not have the chosen tracing"
        # Reserved concurrency for a reader of queues would throttle receives, which SQS counts.
        reserved = stack.parameters["HttpReservedConcurrency"]
        wanted = (
            reserved
            if function.name in ("SubmitFunction", "StatusFunction") and reserved != "0"
            else None
        )
        if function["ReservedConcurrentExecutions"] != wanted:
            yield f"{function.name} does not have the chosen reserved concurrency"


def long_waits_are_not_stopped_as_endless_loops(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        # A function without a queue has no reason to invoke itself.
        wanted = "Allow" if function in ("Worker", "Callback") else None
        if stack[f"{function}Function"]["RecursiveLoop"] != wanted:
            yield f"{function}Function's RecursiveLoop is not {wanted}"


def variables_refer_to_the_right_resources(stack: Stack) -> Iterator[str]:
    for function in stack.of(FUNCTION):
        for variable, value in function["Environment"]["Variables"].items():
            # A value that is unknown before the deployment must refer to a resource of the stack.
            if (variable in VARIABLES or isinstance(value, dict)) and value != {
                "Ref": VARIABLES.get(variable)
            }:
                yield f"{function.name}'s {variable} is {value}"


def the_workers_timeout_is_the_parameters(stack: Stack) -> Iterator[str]:
    wanted = stack.parameters["WorkerTimeoutSeconds"]
    if stack["WorkerFunction"]["Timeout"] != wanted:
        yield "the worker's timeout is not the parameter's"
    for function in FUNCTIONS:
        # Those with the layer check its functions' time limits by the worker's timeout.
        reads_file = stack[f"{function}Function"]["Layers"] is not None
        variables = stack[f"{function}Function"]["Environment"]["Variables"]
        given = variables.get("WORKER_TIMEOUT_SECONDS")
        if given != (wanted if reads_file else None):
            yield f"{function}Function's WORKER_TIMEOUT_SECONDS is {given}"


def registered_functions_come_from_one_layer(stack: Stack) -> Iterator[str]:
    layers = stack.of(LAYER)
    if len(layers) != 1:
        yield f"there are {len(layers)} layers instead of one"
    for layer in layers:
        if layer.attributes.get("DeletionPolicy") != "Retain":
            yield f"{layer.name} is deleted while older versions of the functions name it"
    for function in FUNCTIONS:
        # Callback calls no function.
        wanted = None if function == "Callback" else [{"Ref": layer.name} for layer in layers]
        if stack[f"{function}Function"]["Layers"] != wanted:
            yield f"{function}Function has the layers {stack[f'{function}Function']['Layers']}"


def a_published_version_serves(stack: Stack) -> Iterator[str]:
    release = stack.parameters["Release"]
    for function in FUNCTIONS:
        version = f"{function}FunctionVersion{release}"
        if version not in stack.resources:
            yield f"{function}Function publishes no version for this release"
        published = stack[f"{function}FunctionAliaslive"]
        if published["FunctionVersion"] != attribute(version, "Version"):
            yield f"{published.name} does not target this release's version"
        # Lambda publishes a version only if something differs from the previous one.
        if release not in str(stack[f"{function}Function"]["Description"]):
            yield f"{function}Function may not differ from the previous release"


def a_bad_version_is_rolled_back(stack: Stack) -> Iterator[str]:
    preference = f"CodeDeployDefault.Lambda{stack.parameters['DeploymentPreference']}"
    for function in FUNCTIONS:
        group = stack[f"{function}FunctionDeploymentGroup"]
        if group["DeploymentConfigName"] != preference:
            yield f"{function}Function does not have the chosen deployment preference"
        if group["AlarmConfiguration"] != {
            "Enabled": True,
            "Alarms": [{"Name": {"Ref": f"{function}RollbackAlarm"}}],
        }:
            yield f"{function}Function's deployment does not stop by its rollback alarm alone"
        rollback = group["AutoRollbackConfiguration"]
        if not rollback["Enabled"] or "DEPLOYMENT_STOP_ON_ALARM" not in rollback["Events"]:
            yield f"{function}Function's deployment is not rolled back on alarm"


def readers_are_deployed_before_the_worker_and_the_worker_before_submit(
    stack: Stack,
) -> Iterator[str]:
    def follows(function: str, other: str) -> bool:
        depends_on = each(stack[f"{function}Function"].attributes.get("DependsOn", []))
        return f"{other}FunctionAliaslive" in depends_on

    if not follows("Submit", "Worker"):
        yield "submit may accept what no worker can run"
    for reader in ("Status", "Callback"):
        if not follows("Worker", reader):
            yield f"the worker may write what {reader.lower()} cannot read"


def private_networks_are_reached_through_the_chosen_vpc(stack: Stack) -> Iterator[str]:
    subnets, groups = (stack.parameters[name] for name in ("SubnetIds", "SecurityGroupIds"))
    vpc = {"SubnetIds": subnets.split(","), "SecurityGroupIds": groups.split(",")}
    for function in FUNCTIONS:
        # Submit and status, for which callers wait, do not need the operator's network.
        wanted = vpc if policies.runs_in_vpc(stack, function) else None
        if stack[f"{function}Function"]["VpcConfig"] != wanted:
            yield f"{function}Function runs in {stack[f'{function}Function']['VpcConfig']}"
    if stack.parameters["CallbackAllowedNetworks"] and not subnets:
        yield "callbacks may go to private networks without a VPC to reach them"


def each_queue_has_one_reader_with_partial_batch_responses(stack: Stack) -> Iterator[str]:
    readers = {
        queue: function for name, (dead, function) in QUEUES.items() for queue in (name, dead)
    }
    sources = [source["EventSourceArn"] for source in stack.of(EVENT_SOURCE)]
    if sorted(map(str, sources)) != sorted(str(attribute(queue)) for queue in readers):
        yield "not every queue has exactly one reader"
    for source in stack.of(EVENT_SOURCE):
        queue = source["EventSourceArn"]["Fn::GetAtt"][0]
        if source["FunctionName"] != alias(readers[queue]):
            yield f"the reader of {queue} is not {readers[queue]}'s alias"
        if source["FunctionResponseTypes"] != ["ReportBatchItemFailures"]:
            yield f"{queue}'s reader cannot return single messages"
        if source["Enabled"] not in (None, True) or source["FilterCriteria"] is not None:
            yield f"{queue}'s reader is disabled, or filters messages out"
        concurrency = (source["ScalingConfig"] or {}).get("MaximumConcurrency")
        if concurrency is None or not 2 <= int(concurrency) <= 1000:
            yield f"{queue}'s reader has no maximum concurrency"
