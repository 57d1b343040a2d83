"""The gateway: authorizers, throttling, CORS and the access log."""

import json
import re
from collections.abc import Iterator

from ..resources import AUTHORIZER, INTEGRATION, ROUTE, alias, attribute
from ..stack import Json, Stack


def routes_require_the_chosen_authorizer(stack: Stack) -> Iterator[str]:
    choice = stack.parameters["Authorizer"]
    kinds = {"jwt": "JWT", "iam": "AWS_IAM", "lambda": "CUSTOM", "none-answers-401": "NONE"}
    named = {"jwt": {"Ref": "JwtAuthorizer"}, "lambda": {"Ref": "LambdaAuthorizer"}}
    scopes = stack.parameters["JwtScopes"].split(",") if stack.parameters["JwtScopes"] else None
    routes = {route["RouteKey"]: route for route in stack.of(ROUTE)}
    if len(routes) != len(stack.of(ROUTE)):
        yield "a route exists twice"
    for key, route in routes.items():
        is_open = _is_open(key)
        if route["AuthorizationType"] != ("NONE" if is_open else kinds[choice]):
            yield f"{key} has the authorization type {route['AuthorizationType']}"
        if route["AuthorizerId"] != (None if is_open else named.get(choice)):
            yield f"{key} has the authorizer {route['AuthorizerId']}"
        if route["AuthorizationScopes"] != (None if is_open else scopes):
            yield f"{key} requires the scopes {route['AuthorizationScopes']}"
    if "ANY /health" not in routes:
        yield "there is no route for health"
    wanted = {name for name, reference in named.items() if name == choice}
    if {authorizer["Name"] for authorizer in stack.of(AUTHORIZER)} != wanted:
        yield "there are other authorizers than the chosen one"


def authorizers_use_the_chosen_issuer_or_function(stack: Stack) -> Iterator[str]:
    parameters = stack.parameters
    # The key of the gateway's cache, if it caches responses.
    token, route = "$request.header.Authorization", "$context.routeKey"
    sources = {"JwtAuthorizer": [token], "LambdaAuthorizer": [token, route]}
    for authorizer in stack.of(AUTHORIZER):
        if authorizer["IdentitySource"] != sources.get(authorizer.name):
            yield f"{authorizer.name} has the identity source {authorizer['IdentitySource']}"
    if parameters["Authorizer"] == "jwt":
        audience = parameters["JwtAudience"].split(",")
        expected = {"Issuer": parameters["JwtIssuer"], "Audience": audience}
        if stack["JwtAuthorizer"]["JwtConfiguration"] != expected:
            yield "tokens of other issuers, or for other audiences, are accepted"
    if parameters["Authorizer"] == "lambda":
        authorizer, function = stack["LambdaAuthorizer"], parameters["AuthorizerFunctionArn"]
        if f"/functions/{function}/invocations" not in str(authorizer["AuthorizerUri"]):
            yield "another function authorizes"
        if (
            authorizer["AuthorizerPayloadFormatVersion"] != "2.0"
            or authorizer["EnableSimpleResponses"] is not True
        ):
            yield "the authorizer function does not get the documented format"


# Status responds with these to a method that a path does not support, and to paths of submit's.
_PREFLIGHT_RESPONSES = {
    status: {"ResponseParameters": [{"Destination": "overwrite:statuscode", "Source": "200"}]}
    for status in ("404", "405")
}


def requests_reach_the_functions(stack: Stack) -> Iterator[str]:
    expected = {
        "SubmitIntegration": _integration("Submit"),
        "StatusIntegration": _integration("Status"),
    }
    if stack.parameters["CorsAllowedOrigins"]:
        expected["PreflightIntegration"] = _integration("Status") | {
            "ResponseParameters": _PREFLIGHT_RESPONSES
        }
    given = {integration.name: integration.properties for integration in stack.of(INTEGRATION)}
    for name in sorted(given.keys() | expected.keys()):
        if given.get(name) != expected.get(name):
            yield f"{name} is {given.get(name)}"
    if stack["Stage"]["AutoDeploy"] is not True:
        yield "changed routes are not deployed"


def _integration(function: str) -> Json:
    # The alias, not the function, so that a published version serves. The functions read this
    # payload format.
    return {
        "ApiId": {"Ref": "Api"},
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": alias(function),
        "PayloadFormatVersion": "2.0",
    }


def the_gateway_throttles(stack: Stack) -> Iterator[str]:
    parameters = stack.parameters
    expected = {
        "ThrottlingRateLimit": parameters["ThrottlingRate"],
        "ThrottlingBurstLimit": parameters["ThrottlingBurst"],
    }
    if stack["Stage"]["DefaultRouteSettings"] != expected:
        yield "the gateway does not have the chosen throttling"
    routes = {route["RouteKey"]: route.name for route in stack.of(ROUTE)}
    open_routes = {key: name for key, name in routes.items() if _is_open(key)}
    expected_open = {
        "ThrottlingRateLimit": parameters["OpenThrottlingRate"],
        "ThrottlingBurstLimit": parameters["OpenThrottlingBurst"],
    }
    settings = stack["Stage"]["RouteSettings"] or {}
    if settings != dict.fromkeys(open_routes, expected_open):
        yield f"the routes' throttling is {settings}"
    metadata = str(stack["Stage"].attributes.get("Metadata"))
    for name in open_routes.values():
        if str({"Ref": name}) not in metadata:
            yield f"the stage may have settings for {name} before the route exists"


def _is_open(route_key: str) -> bool:
    """Whether the route needs no authorization."""
    method, path = route_key.split()
    return path == "/health" or path.startswith("/.well-known/") or method == "OPTIONS"


def the_gateway_logs_no_secrets(stack: Stack) -> Iterator[str]:
    settings = stack["Stage"]["AccessLogSettings"] or {}
    if settings.get("DestinationArn") != attribute("ApiLogGroup"):
        yield "the gateway writes no access log"
        return
    line = json.loads(settings["Format"])
    if line.get("requestId") != "$context.requestId":
        yield "the access log does not have the id that responses have"
    for name, value in line.items():
        # `$request.…` and `$input.…` would be headers, queries and bodies; a claim may have any
        # value.
        if not value.startswith("$context.") or "claims" in value or "querystring" in value.lower():
            yield f"the access log has {name}: {value}"


# Variables whose values come from the gateway alone. A caller, or an authorizer that quotes one,
# may choose a part of all others.
_OF_THE_GATEWAY = {
    "error.responseType", "httpMethod", "identity.sourceIp", "integrationErrorMessage",
    "integrationLatency", "integrationStatus", "requestId", "requestTime", "responseLatency",
    "responseLength", "routeKey", "status",
}  # fmt: skip
_CONTEXT_VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")
_HOSTILE = 'x", "status": "200'


def an_access_log_line_is_json_whatever_callers_send(stack: Stack) -> Iterator[str]:
    line = (stack["Stage"]["AccessLogSettings"] or {}).get("Format", "")
    for name, render in {"with an error": _logged, "without an error": lambda _: "-"}.items():
        rendered = _CONTEXT_VARIABLE.sub(lambda variable: render(variable[1]), line)
        members: list[str] = []
        try:
            json.loads(
                rendered, object_pairs_hook=lambda pairs: members.extend(key for key, _ in pairs)
            )
        except ValueError:
            yield f"the line of a request {name} is not JSON: {rendered}"
        if len(members) != len(set(members)):
            yield f"a caller can write members of the access log: {rendered}"


def _logged(variable: str) -> str:
    if variable in _OF_THE_GATEWAY:
        return "1"
    # "The quoted value of $context.error.message" (Amazon API Gateway Developer Guide, "Customize
    # HTTP API access logs").
    return json.dumps(_HOSTILE) if variable == "error.messageString" else _HOSTILE


def the_api_url_responds(stack: Stack) -> Iterator[str]:
    parameters = stack.parameters
    if str(stack["Api"]["DisableExecuteApiEndpoint"]) != parameters["DisableExecuteApiEndpoint"]:
        yield "the API's default domain does not follow DisableExecuteApiEndpoint"
    expected = parameters["PublicUrl"] or attribute("Api", "ApiEndpoint")
    if stack.outputs["ApiUrl"]["Value"] != expected:
        yield f"the output ApiUrl is {stack.outputs['ApiUrl']['Value']}"


def browsers_may_call_from_the_chosen_origins(stack: Stack) -> Iterator[str]:
    origins = stack.parameters["CorsAllowedOrigins"]
    cors = stack["Api"]["CorsConfiguration"]
    routes = {route["RouteKey"]: route for route in stack.of(ROUTE)}
    preflights = {key for key in routes if key.startswith("OPTIONS ")}
    if not origins:
        if cors is not None or preflights:
            yield "browsers may call from other origins, although none was chosen"
        return
    if cors["AllowOrigins"] != origins.split(",") or cors.get("AllowCredentials"):
        yield "browsers may call from other than the chosen origins, or with cookies"
    if set(cors["AllowHeaders"]) != {
        "authorization", "content-type", "idempotency-key", "if-match", "if-none-match",
        "mcp-method", "mcp-name", "mcp-protocol-version", "prefer",
        "x-amz-content-sha256", "x-amz-date", "x-amz-security-token",
    }:  # fmt: skip
        yield f"pages may send {cors['AllowHeaders']}"
    if set(cors["ExposeHeaders"]) != {
        "ETag", "Idempotent-Replayed", "Location", "Preference-Applied", "Request-Id",
        "Retry-After", "X-Forrst-Duration-Ms", "X-Forrst-Request-Id",
    }:  # fmt: skip
        yield f"pages may read {cors['ExposeHeaders']}"
    paths = {key.split()[1] for key in routes if not key.startswith("OPTIONS ")}
    if preflights != {f"OPTIONS {path}" for path in paths}:
        yield "a path has no preflight route, or one too many"
    for key in preflights:
        if routes[key]["Target"] != {"Fn::Sub": "integrations/${PreflightIntegration}"}:
            yield f"{key} does not use the integration for preflight requests"
