"""Runs infra/smoke.sh on this machine: the bundle is the stack, moto is the account, and what
neither serves gets responses that are written from AWS's API models (`responses`)."""
