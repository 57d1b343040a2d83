// Ferry as a nested stack of a CDK app, with a function of the app as the target of a registered
// function. Run this first in an unpacked release; it uploads code and layer, and writes the
// template that the app uses:
//
//     aws cloudformation package --template-file template.yaml --s3-bucket BUCKET \
//         --output-template-file packaged.yaml
//
// `npm install --save-dev aws-cdk tsx` and `npx cdk deploy --app "npx tsx example.ts"` deploy it, in
// a directory with this file, package.json and packaged.yaml.
//
// CfnInclude cannot read the template, which refers to resources that only SAM adds to it.
import { createHash } from "node:crypto";
import { App, CfnOutput, CfnStack, Stack, aws_lambda as lambda } from "aws-cdk-lib";
import { Asset } from "aws-cdk-lib/aws-s3-assets";

const stack = new Stack(new App(), "images");
const resize = new lambda.Function(stack, "Resize", {
  // The release's layer/ferry/functions.json has this name and alias.
  functionName: "image-resize",
  runtime: lambda.Runtime.PYTHON_3_13,
  handler: "index.handler",
  code: lambda.Code.fromInline("def handler(event, context):\n    return event\n"),
});

const template = new Asset(stack, "Template", { path: "packaged.yaml" });
const parameters = {
  Authorizer: "jwt",
  JwtIssuer: "https://issuer.example.com",
  JwtAudience: "ferry",
  TargetFunctionArns: resize.addAlias("live").functionArn,
};
// Only a new name publishes new code and settings, so the name is derived from both.
const release = createHash("sha256")
  .update(template.assetHash + JSON.stringify(stack.resolve(parameters)))
  .digest("hex");
const ferry = new CfnStack(stack, "Ferry", {
  templateUrl: template.httpUrl,
  parameters: { ...parameters, Release: release.slice(0, 10) },
});
new CfnOutput(stack, "FerryUrl", { value: ferry.getAtt("Outputs.ApiUrl").toString() });
