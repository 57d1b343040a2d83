"""Runs infra/smoke.sh on this machine: the bundle is the stack, moto is the account, and what
neither has is answered from AWS's API models (`answers`)."""
