"""A handler that does what its arguments say."""

import os
import time


class Broken(Exception):
    pass


def handler(attempt, context):
    data = attempt["data"]
    what = data["arguments"]["do"]
    if what == "result":
        return {"attempt": data["attempt"], "owner": data.get("owner")}
    if what == "null":
        return None
    if what == "permanent":
        raise ValueError("no such thing")
    if what == "again":
        if data["attempt"] == 1:
            raise Broken("not yet")
        return data["attempt"]
    if what == "error":
        return {"$error": {"code": "SOLD_OUT", "message": "none left", "retryable": False}}
    if what == "continue":
        legs = data.get("state", 0) + 1
        return legs if legs == 3 else {"$continue": {"state": legs, "after_seconds": 1}}
    if what == "reserved":
        return {"$later": 1}
    if what == "exit":
        os._exit(3)
    if what == "memory":
        return len(bytearray(1 << 40))
    if what == "sleep":
        time.sleep(data["arguments"]["seconds"])
        return data["attempt"]
    if what == "large":
        return "x" * (256 * 1024)
    if what == "deep":
        value = []
        for _ in range(70):
            value = [value]
        return value
    if what == "no json":
        return object()
    raise KeyError(what)
