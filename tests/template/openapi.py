"""Whether `infra/openapi.yaml` is OpenAPI 3.1 at all, by OpenAPI's own schema. What it says of Ferry is held to the code by
`tests/tests/openapi`.
"""

from collections.abc import Callable, Iterator

import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from .stack import ROOT, Json

# Each breaks the document in one place.
FAULTS: dict[str, Callable[[Json], object]] = {
    "it has no title": lambda document: document["info"].pop("title"),
    "an answer has no description": lambda document: document["components"]["responses"]["Forbidden"].pop("description"),
    "a parameter of the path is not declared": lambda document: document["paths"]["/operations/{id}"].pop("parameters"),
    "a schema has a type that there is not": lambda document: document["components"]["schemas"]["Time"].update(type="time"),
    "two operations have one name": lambda document: document["paths"]["/health"]["get"].update(operationId="list"),
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
