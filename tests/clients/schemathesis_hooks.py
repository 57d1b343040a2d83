"""The reasons for which a request that the document allows may still be refused.

schemathesis knows which requests are valid by the document. Without this check it would have to
accept every 400 to them, since the document does not say which arguments a function accepts.
"""

import ipaddress
import json
import re
from typing import Any

import schemathesis

# Parts of the body or the query whose rules are not in the document: a function's arguments, a start
# that is too far away, and cursors, which only a list returns. A member's name may have any
# characters, line ends too.
PLACES = re.compile(r"/arguments(/.*)?|/start_at|/query/cursor|/call/arguments(/.*)?", re.DOTALL)
# Rules that no schema can express in a Forrst request: an extension that is repeated or does not
# apply to a function, a deadline that has passed, a deadline or a start that is too far away, and a
# signature version for which the bundle has no key.
FORRST_PLACES = re.compile(r"/extensions/\d+(/urn|/options/(value|start_at|signature_version))?")
FORRST_CODES = {"INVALID_REQUEST", "INVALID_ARGUMENTS", "EXTENSION_NOT_APPLICABLE"}
# The document's pattern of a URL allows anything in brackets that has the characters of an IPv6
# address. It has no pattern for the URL of `async`, which only some calls use.
CALLBACK_URL = re.compile(r"(?:/extensions/(?P<extension>\d+)/options)?/callback_url")
BRACKETS = re.compile(r"://\[([^]]*)\]")
# What a message of MCP needs depends on its version: headers that repeat parts of the body, and
# metadata in it.
MCP_CODES = {-32020, -32022, -32602}
# Any other code of a function's call is the function's own.
FUNCTIONS_OWN = re.compile(r"(?!PARSE_ERROR|INVALID_|EXTENSION_)[A-Z_]+")


@schemathesis.check
def refused_only_by_rules_that_no_schema_has(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 400:
        return
    refusal = response.json()
    code = refusal.get("error", {}).get("code")
    # A message without an id is a notification, which not every method may be. Generators of
    # clients would lose members of a schema that says so.
    if code in MCP_CODES or (code == -32600 and "id" not in case.body):
        return
    errors = refusal.get("errors") or [refusal]
    unexpected = [error for error in errors if not is_expected(error, case.body)]
    if unexpected:
        raise AssertionError(f"the document allows a request that is refused: {unexpected}")


def is_expected(error: dict[str, Any], body: Any) -> bool:
    if "source" not in error and "code" in error:
        return FUNCTIONS_OWN.fullmatch(error["code"]) is not None
    place = error.get("pointer") or error.get("source", {}).get("pointer", "")
    if PLACES.fullmatch(place):
        return True
    if url := CALLBACK_URL.fullmatch(place):
        if (extension := url["extension"]) and body["extensions"][int(extension)]["urn"].endswith(
            ":async"
        ):
            return True
        return not all(
            is_address(literal) for literal in BRACKETS.findall(json.dumps(body, default=str))
        )
    return error.get("code") in FORRST_CODES and FORRST_PLACES.fullmatch(place) is not None


def is_address(literal: str) -> bool:
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return False
    return True
