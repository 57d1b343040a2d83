"""Checks `infra/template.yaml` without an AWS account.

AWS's SAM translator translates the template for several choices of its parameters, and its
conditions are evaluated, so that every check sees what CloudFormation would create. The checks
cannot show what AWS does with it: nothing is deployed there. `tests/tests/template` compares the
numbers, names, routes and variables of the template with those of the code.

It also checks the OpenAPI document against OpenAPI's schema.
"""
