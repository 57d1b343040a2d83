"""How the functions run, read their queues, and are replaced."""

from collections.abc import Iterator

from .. import policies
from ..resources import EVENT_SOURCE, FUNCTION, FUNCTIONS, QUEUES, VARIABLES, alias, attribute, each
from ..stack import Stack


def functions_are_as_they_are_built(stack: Stack) -> Iterator[str]:
    expected = {f"{function}Function" for function in FUNCTIONS}
    if {function.name for function in stack.of(FUNCTION)} != expected:
        yield "there are other functions than expected"
    for function in stack.of(FUNCTION):
        if function["Runtime"] != "provided.al2023" or function["Handler"] != "bootstrap":
            yield f"{function.name} does not run what cargo-lambda builds"
        if function["Architectures"] != [stack.parameters["Architecture"]]:
            yield f"{function.name} runs on other processors than was asked for"
        if function.attributes.get("Metadata", {}).get("BuildMethod") != "rust-cargolambda":
            yield f"{function.name} is not built by cargo-lambda"
        if function["TracingConfig"] != {"Mode": stack.parameters["Tracing"]}:
            yield f"{function.name} is traced otherwise than was asked for"
        # Concurrency that is reserved for a reader of queues would make throttled receives, which are counted.
        reserved = stack.parameters["HttpReservedConcurrency"]
        wanted = reserved if function.name in ("SubmitFunction", "StatusFunction") and reserved != "0" else None
        if function["ReservedConcurrentExecutions"] != wanted:
            yield f"{function.name} has another reserved concurrency than was asked for"


def long_waits_are_no_endless_loops(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        # A function that no queue feeds has no reason to come back to itself.
        wanted = "Allow" if function in ("Worker", "Callback") else None
        if stack[f"{function}Function"]["RecursiveLoop"] != wanted:
            yield f"{function}Function is stopped by Lambda's detection of loops, or has it off without need"


def variables_lead_to_what_they_name(stack: Stack) -> Iterator[str]:
    for function in stack.of(FUNCTION):
        for variable, value in function["Environment"]["Variables"].items():
            # What is not known before the deployment is a reference to something of the stack's.
            if (variable in VARIABLES or isinstance(value, dict)) and value != {"Ref": VARIABLES.get(variable)}:
                yield f"{function.name}'s {variable} is {value}"


def what_serves_is_a_published_version(stack: Stack) -> Iterator[str]:
    release = stack.parameters["Release"]
    for function in FUNCTIONS:
        version = f"{function}FunctionVersion{release}"
        if version not in stack.resources:
            yield f"{function}Function publishes no version of this release's"
        published = stack[f"{function}FunctionAliaslive"]
        if published["FunctionVersion"] != attribute(version, "Version"):
            yield f"{published.name} does not lead to this release's version"
        # A version is published only of what differs from the one before it.
        if release not in str(stack[f"{function}Function"]["Description"]):
            yield f"{function}Function may not differ from the release before"


def a_bad_version_is_taken_back(stack: Stack) -> Iterator[str]:
    preference = f"CodeDeployDefault.Lambda{stack.parameters['DeploymentPreference']}"
    for function in FUNCTIONS:
        group = stack[f"{function}FunctionDeploymentGroup"]
        if group["DeploymentConfigName"] != preference:
            yield f"{function}Function is deployed otherwise than was asked for"
        if group["AlarmConfiguration"] != {"Enabled": True, "Alarms": [{"Name": {"Ref": f"{function}RollbackAlarm"}}]}:
            yield f"{function}Function's deployment does not end by the failures of its new version, or by others too"
        rollback = group["AutoRollbackConfiguration"]
        if not rollback["Enabled"] or "DEPLOYMENT_STOP_ON_ALARM" not in rollback["Events"]:
            yield f"{function}Function's deployment is not rolled back on alarm"


def the_worker_is_deployed_before_submit(stack: Stack) -> Iterator[str]:
    if "WorkerFunctionAliaslive" not in each(stack["SubmitFunction"].attributes.get("DependsOn", [])):
        yield "submit may accept what no worker knows"


def private_networks_are_reached_through_the_vpc_that_was_named(stack: Stack) -> Iterator[str]:
    subnets, groups = (stack.parameters[name] for name in ("SubnetIds", "SecurityGroupIds"))
    vpc = {"SubnetIds": subnets.split(","), "SecurityGroupIds": groups.split(",")}
    for function in FUNCTIONS:
        # What callers wait for is not slowed down by a network of the operator's, which it has no use for.
        wanted = vpc if policies.runs_in_vpc(stack, function) else None
        if stack[f"{function}Function"]["VpcConfig"] != wanted:
            yield f"{function}Function runs in {stack[f'{function}Function']['VpcConfig']}"
    if stack.parameters["CallbackAllowedNetworks"] and not subnets:
        yield "callbacks may reach networks that nothing leads to"


def queues_are_read_by_batches_with_single_failures(stack: Stack) -> Iterator[str]:
    readers = {queue: function for name, (dead, function) in QUEUES.items() for queue in (name, dead)}
    sources = [source["EventSourceArn"] for source in stack.of(EVENT_SOURCE)]
    if sorted(map(str, sources)) != sorted(str(attribute(queue)) for queue in readers):
        yield "not every queue has exactly one reader"
    for source in stack.of(EVENT_SOURCE):
        queue = source["EventSourceArn"]["Fn::GetAtt"][0]
        if source["FunctionName"] != alias(readers[queue]):
            yield f"{queue} is not read by {readers[queue]}'s alias"
        if source["FunctionResponseTypes"] != ["ReportBatchItemFailures"]:
            yield f"{queue}'s reader cannot return single messages"
        if source["Enabled"] not in (None, True) or source["FilterCriteria"] is not None:
            yield f"{queue}'s reader leaves messages where they are, or drops them"
        concurrency = (source["ScalingConfig"] or {}).get("MaximumConcurrency")
        if concurrency is None or not 2 <= int(concurrency) <= 1000:
            yield f"{queue}'s reader has no maximum concurrency"
