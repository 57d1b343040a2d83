"""Holds `infra/template.yaml` to what it must be, without an AWS account.

The template is translated by AWS's own SAM translator, for several choices of its parameters, and its conditions are worked out, so
that everything here looks at what CloudFormation would make. It cannot tell what AWS makes of it: nothing is deployed there. The
numbers, names, routes and variables that the template shares with the code are held to the code by `tests/tests/template`.

Beside it, the description of the API is held to OpenAPI's own schema.
"""
