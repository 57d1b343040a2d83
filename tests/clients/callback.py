"""Replaces the function `callback`: accepts every message and sends nothing.

Generated requests have callback URLs with random hosts.
"""

import json
import os
import urllib.request

INVOCATION = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

while True:
    with urllib.request.urlopen(f"{INVOCATION}/next") as invocation:
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = json.dumps({"batchItemFailures": []}).encode()
    urllib.request.urlopen(f"{INVOCATION}/{request_id}/response", data=answer).close()
