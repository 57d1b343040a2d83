"""Stored data: the table, the queues, and their encryption."""

from collections.abc import Iterator

from ..resources import LOG_GROUP, QUEUE, QUEUES, SECRET, attribute
from ..stack import Stack

# SQS's longest retention.
_RETENTION_SECS_MAX = 14 * 86_400


def the_table_is_protected_and_expires_items(stack: Stack) -> Iterator[str]:
    table = stack["Table"]
    if table["TimeToLiveSpecification"] != {"AttributeName": "delete_at", "Enabled": True}:
        yield "the table has no TTL by delete_at"
    if table["PointInTimeRecoverySpecification"] != {"PointInTimeRecoveryEnabled": True}:
        yield "the table has no point-in-time recovery"
    if table["DeletionProtectionEnabled"] != stack.parameters["DeletionProtection"]:
        yield "the table's deletion protection is not the parameter's"
    if stack.parameters["DeletionProtection"] != "true":
        yield "the table is not protected from deletion by default"
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if table.attributes.get(policy) != "Retain":
            yield f"the table's {policy} does not retain it"
    if table["BillingMode"] != "PAY_PER_REQUEST":
        yield "the table is not billed by request"
    indexes = [
        (index["IndexName"], index["Projection"]["ProjectionType"])
        for index in table["GlobalSecondaryIndexes"] or []
    ]
    if indexes != [("by_owner", "KEYS_ONLY")]:
        yield f"the table's indexes are {indexes}"


def queues_have_dead_letter_queues(stack: Stack) -> Iterator[str]:
    if len(stack.of(QUEUE)) != 2 * len(QUEUES):
        yield "there are other queues than expected"
    for name, (dead_letters_name, _) in QUEUES.items():
        queue, dead_letters = stack[name], stack[dead_letters_name]
        redrive = queue["RedrivePolicy"] or {}
        if redrive.get("deadLetterTargetArn") != attribute(dead_letters_name):
            yield f"{name} has no redrive to {dead_letters_name}"
        if redrive.get("maxReceiveCount") != 10:
            yield f"{name} has another maxReceiveCount"
        if dead_letters["RedrivePolicy"] is not None:
            yield f"{dead_letters_name} has a redrive policy"
        if dead_letters["MessageRetentionPeriod"] != _RETENTION_SECS_MAX:
            yield f"{dead_letters_name} does not keep dead letters for SQS's longest retention"
        if queue["MessageRetentionPeriod"] >= dead_letters["MessageRetentionPeriod"]:
            yield f"{dead_letters_name} drops messages that {name} would keep: they keep their age"


def messages_stay_invisible_while_a_function_has_them(stack: Stack) -> Iterator[str]:
    for name, (dead_letters_name, function) in QUEUES.items():
        timeout_secs = int(stack[f"{function}Function"]["Timeout"])
        for queue in (name, dead_letters_name):
            if int(stack[queue]["VisibilityTimeout"]) < timeout_secs:
                yield f"{queue} makes messages visible while {function} may still have them"


def stored_data_is_encrypted_with_the_chosen_key(stack: Stack) -> Iterator[str]:
    key = stack.parameters["KeyArn"] or None
    sse = stack["Table"]["SSESpecification"] or {}
    if sse.get("SSEEnabled") is not True or sse.get("KMSMasterKeyId") != key:
        yield "the table is not encrypted with the chosen key"
    for queue in stack.of(QUEUE):
        if queue["KmsMasterKeyId"] != key or queue["SqsManagedSseEnabled"] is not (key is None):
            yield f"{queue.name} is not encrypted with the chosen key"
    for resource in stack.of(SECRET) + stack.of(LOG_GROUP):
        if resource["KmsKeyId"] != key:
            yield f"{resource.name} is not encrypted with the chosen key"
