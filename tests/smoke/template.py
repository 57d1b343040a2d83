"""The templates, as far as the tests read them."""

import os
from pathlib import Path
from typing import Any

import yaml

Json = Any
_INFRA = Path(__file__).parents[2] / "infra"
# Another one, such as a release's, with its own pages and second stack.
SCRIPT = Path(os.environ.get("SMOKE") or _INFRA / "smoke.sh")
_UNKNOWN_TO_MOTO = ("AWS::Lambda::Alias", "AWS::Lambda::Permission", "AWS::Lambda::Url")


class _Loader(yaml.CSafeLoader):
    """Reads `!Ref` and the like as their long form. moto has one, whose import takes seconds."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Json = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)


def load(text: str) -> Json:
    return yaml.load(text, _Loader)


def template() -> Json:
    return load((_INFRA / "template.yaml").read_text())


def second_stack() -> Json:
    return load((SCRIPT.parent / "smoke.yaml").read_text())


def reduced(text: str, url: str) -> Json:
    """What moto can deploy of the second stack. `url` is the receiver's."""
    found = load(text)
    found["Resources"] = {
        name: resource
        for name, resource in found["Resources"].items()
        if resource["Type"] not in _UNKNOWN_TO_MOTO
    }
    found["Outputs"]["ReceiverUrl"]["Value"] = url
    return found
