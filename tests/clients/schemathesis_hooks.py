"""What a request that the document allows may still be refused for: what no schema can say.

schemathesis knows which requests are right by the document. Without this check it would have to let all their 400s pass, since what a
function accepts as arguments is not in the document.
"""

import ipaddress
import json
import re
from typing import Any

import schemathesis

# Places of the body or the query whose rules are elsewhere: in the functions' own schemas, and in the cursors that a list has made.
PLACES = re.compile(r"/arguments(/.*)?|/query/cursor|/call/arguments(/.*)?")
# Rules between members of a Forrst request: an extension that is there twice or does not go with a function, a deadline that has passed
# or is too far away, and a signature for which the bundle has no key.
FORRST_PLACES = re.compile(r"/extensions/\d+(/urn|/options/value|/options/signature_version)?")
FORRST_CODES = {"INVALID_REQUEST", "INVALID_ARGUMENTS", "EXTENSION_NOT_APPLICABLE"}
# The document's pattern of a URL takes anything in brackets that has an IPv6 address's characters. It has none for `async`'s URL, which
# counts in some calls alone.
CALLBACK_URL = re.compile(r"(?:/extensions/(?P<extension>\d+)/options)?/callback_url")
BRACKETS = re.compile(r"://\[([^]]*)\]")
# Whatever else a call of a function ends with is the function's own.
FUNCTIONS_OWN = re.compile(r"(?!PARSE_ERROR|INVALID_|EXTENSION_)[A-Z_]+")


@schemathesis.check
def refused_only_for_what_no_schema_says(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 400:
        return
    errors = response.json().get("errors") or [{}]
    wrong = [error for error in errors if not is_right(error, case.body)]
    if wrong:
        raise AssertionError(f"the document allows what is refused: {wrong}")


def is_right(error: dict[str, Any], body: Any) -> bool:
    if "source" not in error and "code" in error:
        return FUNCTIONS_OWN.fullmatch(error["code"]) is not None
    place = error.get("pointer") or error.get("source", {}).get("pointer", "")
    if PLACES.fullmatch(place):
        return True
    if url := CALLBACK_URL.fullmatch(place):
        if (extension := url["extension"]) and body["extensions"][int(extension)]["urn"].endswith(":async"):
            return True
        return not all(is_address(literal) for literal in BRACKETS.findall(json.dumps(body, default=str)))
    return error.get("code") in FORRST_CODES and FORRST_PLACES.fullmatch(place) is not None


def is_address(literal: str) -> bool:
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return False
    return True
