"""The names of the template's resources, and references to them."""

from .stack import Json

TABLE = "AWS::DynamoDB::Table"
QUEUE = "AWS::SQS::Queue"
FUNCTION = "AWS::Lambda::Function"
LAYER = "AWS::Lambda::LayerVersion"
EVENT_SOURCE = "AWS::Lambda::EventSourceMapping"
PERMISSION = "AWS::Lambda::Permission"
ROLE = "AWS::IAM::Role"
LOG_GROUP = "AWS::Logs::LogGroup"
SECRET = "AWS::SecretsManager::Secret"
ALARM = "AWS::CloudWatch::Alarm"
DASHBOARD = "AWS::CloudWatch::Dashboard"
API = "AWS::ApiGatewayV2::Api"
AUTHORIZER = "AWS::ApiGatewayV2::Authorizer"
ROUTE = "AWS::ApiGatewayV2::Route"
INTEGRATION = "AWS::ApiGatewayV2::Integration"
DEPLOYMENT_APPLICATION = "AWS::CodeDeploy::Application"
DEPLOYMENT_GROUP = "AWS::CodeDeploy::DeploymentGroup"

# Every function. `Submit` is the resource `SubmitFunction`, with `SubmitRole` and so on.
FUNCTIONS = ("Submit", "Status", "Worker", "Callback")

# Each queue with its dead-letter queue and the function that reads both.
QUEUES = {
    "DispatchQueue": ("DispatchDeadLetterQueue", "Worker"),
    "CallbackQueue": ("CallbackDeadLetterQueue", "Callback"),
}

# The functions' variables that refer to the stack or its resources.
VARIABLES = {
    "SERVICE_NAME": "AWS::StackName",
    "ID_SALT": "AWS::StackId",
    "TABLE_NAME": "Table",
    "DISPATCH_QUEUE_URL": "DispatchQueue",
    "DISPATCH_DEAD_LETTER_QUEUE_URL": "DispatchDeadLetterQueue",
    "CALLBACK_QUEUE_URL": "CallbackQueue",
    "CALLBACK_DEAD_LETTER_QUEUE_URL": "CallbackDeadLetterQueue",
    "WEBHOOK_SECRETS_ARN": "WebhookSecret",
}


def attribute(name: str, of: str = "Arn") -> Json:
    return {"Fn::GetAtt": [name, of]}


def alias(function: str) -> Json:
    return {"Ref": f"{function}FunctionAliaslive"}


def each(value: Json) -> list[Json]:
    """A list of the value, or of the values in it."""
    return value if isinstance(value, list) else [value]
