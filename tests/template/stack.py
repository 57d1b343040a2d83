"""The template as CloudFormation would read it: translated by SAM, with its parameters filled in
and its conditions evaluated.

Values that are unknown before a deployment stay unevaluated: `Ref` and `Fn::GetAtt` of resources,
`AWS::Region` and the like.
"""

import copy
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The translator needs boto3's region at import.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# It warns of feature flags that only AWS's service has.
logging.getLogger("samtranslator").setLevel(logging.CRITICAL)

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "infra" / "template.yaml"
RUNBOOK = ROOT / "infra" / "RUNBOOK.md"

# Where `sam build` and `sam deploy` would have put the functions' code and the layer.
CODE_BUCKET = "code"
CODE_KEY = "function.zip"

Json = Any
Parameters = dict[str, str]

_REMOVED = object()
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9]+)\}")


class Refused(Exception):
    """The stack is not deployed: a parameter is missing or wrong, or a rule does not hold."""


@dataclass(frozen=True)
class Resource:
    name: str
    kind: str
    properties: dict[str, Json]
    # `DependsOn`, `DeletionPolicy` and the like.
    attributes: dict[str, Json]

    def __getitem__(self, property_name: str) -> Json:
        return self.properties.get(property_name)


@dataclass(frozen=True)
class Stack:
    parameters: Parameters
    resources: dict[str, Resource]
    outputs: dict[str, Json]
    # SAM's translation, with its conditions.
    translated: Json

    def of(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.kind == kind]

    def __getitem__(self, name: str) -> Resource:
        return self.resources[name]


def source() -> Json:
    """The template as written, with a URL in place of the paths to the code and to the layer."""
    template = yaml_parse(SOURCE.read_text())
    uploaded = f"s3://{CODE_BUCKET}/{CODE_KEY}"
    template["Globals"]["Function"]["CodeUri"] = uploaded
    template["Resources"]["FunctionsLayer"]["Properties"]["ContentUri"] = uploaded
    return template


def deploy(template: Json, given: Parameters) -> Stack:
    """The stack that a deployment with these parameters would create.

    Raises `Refused` if CloudFormation would refuse the deployment.
    """
    parameters = _checked(template["Parameters"], given)
    translated = Translator({}, Parser()).translate(copy.deepcopy(template), dict(parameters))
    resolve = _Resolver(translated, parameters)
    for rule in translated.get("Rules", {}).values():
        if resolve.decide(rule.get("RuleCondition", {"Fn::Equals": ["", ""]})):
            for assertion in rule["Assertions"]:
                if not resolve.decide(assertion["Assert"]):
                    raise Refused(assertion["AssertDescription"])
    resources = {
        name: Resource(
            name=name,
            kind=written["Type"],
            properties=resolve(written.get("Properties", {})),
            attributes={
                key: value for key, value in written.items() if key not in ("Type", "Properties")
            },
        )
        for name, written in translated["Resources"].items()
        if "Condition" not in written or resolve.condition(written["Condition"])
    }
    return Stack(parameters, resources, resolve(translated["Outputs"]), translated)


def _checked(declared: Json, given: Parameters) -> Parameters:
    unknown = given.keys() - declared.keys()
    if unknown:
        raise Refused(f"there is no parameter {unknown}")
    parameters = {}
    for name, declaration in declared.items():
        if name not in given and "Default" not in declaration:
            raise Refused(f"{name} is missing")
        value = str(given.get(name, declaration.get("Default")))
        if not re.search(declaration.get("AllowedPattern", ""), value):
            raise Refused(f"{name} {declaration.get('ConstraintDescription', 'is not allowed')}")
        allowed = [str(one) for one in declaration.get("AllowedValues", [value])]
        if value not in allowed:
            raise Refused(f"{name} must be one of {allowed}")
        if "MinValue" in declaration and int(value) < declaration["MinValue"]:
            raise Refused(f"{name} is too small")
        if "MaxValue" in declaration and int(value) > declaration["MaxValue"]:
            raise Refused(f"{name} is too large")
        parameters[name] = value
    return parameters


class _Resolver:
    """Fills parameters in, and evaluates conditions, which depend on parameters only."""

    def __init__(self, template: Json, parameters: Parameters) -> None:
        self._template = template
        self._parameters = parameters

    def __call__(self, value: Json) -> Json:
        if isinstance(value, list):
            entries = [self(entry) for entry in value]
            return [entry for entry in entries if entry is not _REMOVED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), *_ = value.items()
            known = self._functions().get(function)
            if known is not None:
                return known(argument)
        members = {key: self(member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member is not _REMOVED}

    def condition(self, name: str) -> bool:
        return self.decide(self._template["Conditions"][name])

    def decide(self, condition: Json) -> bool:
        match condition:
            case {"Fn::Equals": [left, right]}:
                return str(self(left)) == str(self(right))
            case {"Fn::Not": [inner]}:
                return not self.decide(inner)
            case {"Fn::And": parts}:
                return all(self.decide(part) for part in parts)
            case {"Condition": name}:
                return self.condition(name)
        raise ValueError(f"unsupported condition: {condition}")

    def _functions(self) -> dict[str, Callable[[Json], Json]]:
        return {
            "Ref": self._ref,
            "Fn::If": lambda choice: self(choice[1] if self.condition(choice[0]) else choice[2]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Split": lambda split: self(split[1]).split(split[0]),
            "Fn::Sub": self._sub,
        }

    def _ref(self, name: str) -> Json:
        if name == "AWS::NoValue":
            return _REMOVED
        return self._parameters.get(name, {"Ref": name})

    def _find_in_map(self, path: list[Json]) -> Json:
        mapping, first, second = (self(key) for key in path)
        return self._template["Mappings"][mapping][first][second]

    def _sub(self, argument: Json) -> Json:
        text, names = argument if isinstance(argument, list) else (argument, {})
        known = {**self._parameters, **names}
        filled = _VARIABLE.sub(lambda variable: known.get(variable[1], variable[0]), text)
        return {"Fn::Sub": filled} if "${" in filled else filled
