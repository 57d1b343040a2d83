"""The parameters to check the template with: the ways to deploy it, and those to refuse."""

from .stack import Parameters

# From the tests of Standard Webhooks' own libraries.
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_ACCOUNT = "123456789012"
KEY_ARN = f"arn:aws:kms:eu-central-1:{_ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOPIC_ARN = f"arn:aws:sns:eu-central-1:{_ACCOUNT}:alarms"
BOUNDARY_ARN = f"arn:aws:iam::{_ACCOUNT}:policy/platform/boundary"
AUTHORIZER_ARN = f"arn:aws:lambda:eu-central-1:{_ACCOUNT}:function:authorizer"
# By an alias, and by a version in another account.
TARGET_ARN = f"arn:aws:lambda:eu-central-1:{_ACCOUNT}:function:image-resize:live"
_FOREIGN_TARGET_ARN = "arn:aws-cn:lambda:cn-north-1:210987654321:function:report_render:7"

_REQUIRED: Parameters = {"WebhookSecrets": _SECRET, "Release": "1795461231"}
_JWT: Parameters = {
    "Authorizer": "jwt",
    "JwtIssuer": "https://issuer.example.com",
    "JwtAudience": "ferry,other",
}

JWT: Parameters = _REQUIRED | _JWT
IAM: Parameters = _REQUIRED | {"Authorizer": "iam"}
LAMBDA: Parameters = _REQUIRED | {"Authorizer": "lambda", "AuthorizerFunctionArn": AUTHORIZER_ARN}
# Without secrets, so that the stack generates one.
NONE: Parameters = {"Release": "1795461231", "Authorizer": "none-answers-401"}
# Everything that is off by default, and other numbers and levels than the defaults, so that a
# literal in place of a reference fails.
EVERYTHING: Parameters = JWT | {
    "Architecture": "x86_64",
    "KeyArn": KEY_ARN,
    "AlarmTopicArn": TOPIC_ARN,
    "CorsAllowedOrigins": "https://app.example.com,https://admin.example.com",
    "HttpReservedConcurrency": "50",
    "DeploymentPreference": "Linear10PercentEvery1Minute",
    "Tracing": "Active",
    "JwtScopes": "operations:read,operations:write",
    "PublicUrl": "https://api.example.com",
    "WebhookSignatureVersions": "v1,v1a",
    "LogLevel": "DEBUG",
    "SubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b",
    "SecurityGroupIds": "sg-0a1b2c3d",
    "CallbackAllowedNetworks": "10.20.0.0/16",
    "TargetFunctionArns": f"{TARGET_ARN},{_FOREIGN_TARGET_ARN}",
    "PermissionsBoundaryArn": BOUNDARY_ARN,
    "RolePath": "/platform/ferry/",
    "RollbackErrorPercent": "20",
    "WorkerTimeoutSeconds": "1800",
    "LogRetentionInDays": "365",
    "ThrottlingRate": "50",
    "ThrottlingBurst": "60",
    "OpenThrottlingRate": "5",
    "OpenThrottlingBurst": "6",
    "DisableExecuteApiEndpoint": "true",
    "DispatchAgeAlarmSeconds": "7200",
    "FunctionErrorsAlarm": "3",
    "ServerErrorsAlarm": "9",
}

DEPLOYED: dict[str, Parameters] = {
    "jwt": JWT,
    "iam": IAM,
    "lambda": LAMBDA,
    "none": NONE,
    "everything": EVERYTHING,
}

_NOT_TARGETS = "TargetFunctionArns must be"
_VPC: Parameters = {"SubnetIds": "subnet-0a1b2c3d", "SecurityGroupIds": "sg-0a1b2c3d"}
# Parameters to refuse, each with the beginning of the error.
REFUSED: dict[str, tuple[Parameters, str]] = {
    "no authorizer chosen": (_REQUIRED, "Authorizer is missing"),
    "no authorizer, by a shorter name": (
        _REQUIRED | {"Authorizer": "none"},
        "Authorizer must be one of",
    ),
    "jwt without an issuer": (JWT | {"JwtIssuer": ""}, "Authorizer=jwt needs JwtIssuer"),
    "jwt without an audience": (JWT | {"JwtAudience": ""}, "Authorizer=jwt needs JwtAudience"),
    "jwt with half an audience": (JWT | {"JwtAudience": "ferry,"}, "JwtAudience must be"),
    "jwt from an issuer without TLS": (
        JWT | {"JwtIssuer": "http://issuer.example.com"},
        "JwtIssuer must be",
    ),
    "an owner that is an audience": (JWT | {"OwnerClaim": "aud"}, "OwnerClaim must be"),
    "an owner that is a list of groups": (
        JWT | {"OwnerClaim": "cognito:groups"},
        "OwnerClaim must be",
    ),
    "an owner by an email address, which can pass to another person": (
        JWT | {"OwnerClaim": "email"},
        "OwnerClaim must be",
    ),
    "an API without an address": (
        JWT | {"DisableExecuteApiEndpoint": "true"},
        "DisableExecuteApiEndpoint=true needs PublicUrl",
    ),
    "scopes without tokens": (IAM | {"JwtScopes": "operations"}, "JwtScopes needs Authorizer=jwt"),
    "lambda without a function": (
        LAMBDA | {"AuthorizerFunctionArn": ""},
        "Authorizer=lambda needs AuthorizerFunctionArn",
    ),
    "a short webhook secret": (
        JWT | {"WebhookSecrets": "whsec_c2hvcnQ="},
        "WebhookSecrets must be",
    ),
    "a permissions boundary that is no policy": (
        JWT | {"PermissionsBoundaryArn": f"arn:aws:iam::{_ACCOUNT}:role/boundary"},
        "PermissionsBoundaryArn must be",
    ),
    "a role path that does not end": (JWT | {"RolePath": "/ferry"}, "RolePath must"),
    "a wait that is too long": (
        JWT | {"CallbackRetrySeconds": "5,3601"},
        "CallbackRetrySeconds must be",
    ),
    "a malformed network": (
        JWT | {"CallbackAllowedNetworks": "10.20.0.0"},
        "CallbackAllowedNetworks must be",
    ),
    "every address": (
        JWT | {"CallbackAllowedNetworks": "0.0.0.0/0"},
        "CallbackAllowedNetworks must be",
    ),
    "a private network without a VPC": (
        JWT | {"CallbackAllowedNetworks": "10.20.0.0/16"},
        "CallbackAllowedNetworks needs SubnetIds",
    ),
    "subnets without security groups": (
        JWT | _VPC | {"SecurityGroupIds": ""},
        "SubnetIds needs SecurityGroupIds",
    ),
    "security groups without subnets": (
        JWT | _VPC | {"SubnetIds": ""},
        "SecurityGroupIds needs SubnetIds",
    ),
    "a VPC's id as a subnet": (JWT | _VPC | {"SubnetIds": "vpc-0a1b2c3d"}, "SubnetIds must be"),
    "any target": (JWT | {"TargetFunctionArns": "*"}, _NOT_TARGETS),
    "any function as a target": (
        JWT | {"TargetFunctionArns": f"arn:aws:lambda:eu-central-1:{_ACCOUNT}:function:*:live"},
        _NOT_TARGETS,
    ),
    "any version of a target": (
        JWT | {"TargetFunctionArns": TARGET_ARN.replace(":live", ":*")},
        _NOT_TARGETS,
    ),
    "a target without an alias or version": (
        JWT | {"TargetFunctionArns": TARGET_ARN.removesuffix(":live")},
        _NOT_TARGETS,
    ),
    "a target's latest code": (
        JWT | {"TargetFunctionArns": TARGET_ARN.replace(":live", ":$LATEST")},
        _NOT_TARGETS,
    ),
    "a target by its name": (JWT | {"TargetFunctionArns": "image-resize:live"}, _NOT_TARGETS),
    "one of two targets is any function": (
        JWT | {"TargetFunctionArns": f"{TARGET_ARN},*"},
        _NOT_TARGETS,
    ),
    "targets without a comma": (
        JWT | {"TargetFunctionArns": f"{TARGET_ARN}{TARGET_ARN}"},
        _NOT_TARGETS,
    ),
    "a list of targets that ends with a comma": (
        JWT | {"TargetFunctionArns": f"{TARGET_ARN},"},
        _NOT_TARGETS,
    ),
    "a worker without time for an attempt": (
        JWT | {"WorkerTimeoutSeconds": "59"},
        "WorkerTimeoutSeconds is too small",
    ),
    "a worker that runs for longer than Lambda allows": (
        JWT | {"WorkerTimeoutSeconds": "1801"},
        "WorkerTimeoutSeconds is too large",
    ),
    "a rollback without any failure": (
        JWT | {"RollbackErrorPercent": "0"},
        "RollbackErrorPercent is too small",
    ),
    "no release": (_JWT | {"WebhookSecrets": _SECRET}, "Release is missing"),
    "a malformed release": (JWT | {"Release": "2026-11-24T01"}, "Release must be"),
    "a malformed origin": (
        JWT | {"CorsAllowedOrigins": "app.example.com"},
        "CorsAllowedOrigins must be",
    ),
}
