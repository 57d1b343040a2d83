"""CloudFormation of moto that carries out SAM's transform.

moto ignores transforms. This one is AWS's own translator, followed by the reduction to what moto
knows.
"""

import copy
import json
import logging
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import boto3
from moto.cloudformation.models import ChangeSet, CloudFormationBackend
from moto.server import ThreadedMotoServer
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse
from template.deployment import known_to_moto
from template.stack import Json

# It would log a line for every request, and the other for the policy of SAM's bucket.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
logging.getLogger("moto").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", "Tried to parse AWS::S3::BucketPolicy")

_apply_change_set = ChangeSet.apply
_create_change_set = CloudFormationBackend.create_change_set
_create_stack = CloudFormationBackend.create_stack
_update_stack = CloudFormationBackend.update_stack


REGION = "eu-central-1"


def client(service: str, endpoint: str) -> Json:
    """A client of the account that `serve` serves."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@contextmanager
def serve() -> Iterator[str]:
    """Serves an account without resources. Yields its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        with (
            patch.object(ChangeSet, "apply", _apply),
            patch.object(CloudFormationBackend, "create_change_set", _change),
            patch.object(CloudFormationBackend, "create_stack", _create),
            patch.object(CloudFormationBackend, "update_stack", _update),
        ):
            host, port = server.get_host_and_port()
            endpoint = f"http://{host}:{port}"
            # All moto servers of a process share their state.
            urllib.request.urlopen(
                urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
            ).close()
            yield endpoint
    finally:
        server.stop()


def _change(
    backend: CloudFormationBackend, template: str, parameters: dict[str, str], **options: Json
) -> Json:
    transformed = _transformed(template, parameters)
    return _create_change_set(backend, template=transformed, parameters=parameters, **options)


def _apply(change_set: ChangeSet) -> None:
    """moto forgets the outputs of a stack that a change set creates."""
    _apply_change_set(change_set)
    stack = change_set.stack
    stack.template_dict = change_set.template_dict
    stack.output_map = stack._create_output_map()


def _create(
    backend: CloudFormationBackend,
    name: str,
    template: str,
    parameters: dict[str, str],
    **options: Json,
) -> Json:
    transformed = _transformed(template, parameters)
    return _create_stack(backend, name, transformed, parameters, **options)


def _update(
    backend: CloudFormationBackend, name: str, template: str, parameters: Json, **options: Json
) -> Json:
    given = {each["ParameterKey"]: each["ParameterValue"] for each in parameters}
    transformed = _transformed(template, given)
    return _update_stack(backend, name, transformed, parameters=parameters, **options)


def _transformed(template: str, parameters: dict[str, str]) -> str:
    return json.dumps(known_to_moto(translate(yaml_parse(template), parameters)))


def translate(template: Json, parameters: dict[str, str]) -> Json:
    """What SAM makes of a template whose files were uploaded."""
    defaults = {
        name: str(declared["Default"])
        for name, declared in template.get("Parameters", {}).items()
        if "Default" in declared
    }
    return Translator({}, Parser()).translate(copy.deepcopy(template), defaults | parameters)
