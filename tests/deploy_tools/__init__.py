"""What deploys the template with other tools than SAM: the Terraform module, the CDK example, and
the files for GitHub Actions.

`tests/deploy_tools.sh` runs it.
"""
