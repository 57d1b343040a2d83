// Includes the template that the argument names in a stack, as infra/cdk/example.ts does not.
const { App, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");

try {
  new CfnInclude(new Stack(new App(), "including"), "Ferry", { templateFile: process.argv[2] });
} catch (error) {
  console.log(error.message);
  process.exit(1);
}
