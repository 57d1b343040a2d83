"""Checks by OpenAPI's schema that `infra/openapi.yaml` is OpenAPI 3.1.

`tests/tests/openapi` checks that it describes the code.
"""

from collections.abc import Callable, Iterator

import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from .stack import ROOT, Json

# Each breaks the document in one place.
FAULTS: dict[str, Callable[[Json], object]] = {
    "the document has no title": lambda document: document["info"].pop("title"),
    "a response has no description": lambda document: document["components"]["responses"][
        "Forbidden"
    ].pop("description"),
    "a parameter of the path is not declared": lambda document: document["paths"][
        "/operations/{id}"
    ].pop("parameters"),
    "a schema has an unknown type": lambda document: document["components"]["schemas"][
        "Time"
    ].update(type="time"),
    "two operations have one name": lambda document: document["paths"]["/health"]["get"].update(
        operationId="list"
    ),
}


def source() -> Json:
    return yaml.safe_load((ROOT / "infra" / "openapi.yaml").read_text())


def problems(document: Json) -> Iterator[str]:
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        yield f"/{'/'.join(str(step) for step in error.absolute_path)}: {error.message}"


def noticed(fault: Callable[[Json], object]) -> Iterator[str]:
    broken = source()
    fault(broken)
    if not list(problems(broken)):
        yield "OpenAPI's schema does not notice it"
