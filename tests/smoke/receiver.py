"""The receiver of infra/smoke.yaml on this machine, behind the HTTP interface of a function URL.
Its environment is that of the function that moto deployed, and its table and secret are moto's."""

import os
import threading
import types
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

from .template import second_stack


class Receiver:
    def __init__(self) -> None:
        self.alter: Callable[[dict[str, Any]], dict[str, Any]] = lambda event: event
        self._handler: Any = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                receiver._serve(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length", 0))
        event = {
            "rawPath": request.path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "requestContext": {
                "http": {"method": request.command},
                "domainName": request.headers["host"],
            },
            "body": request.rfile.read(length).decode(),
            "isBase64Encoded": False,
        }
        response = self._handle(self.alter(event))
        body = response.get("body", "").encode()
        request.send_response(response["statusCode"])
        for name, value in response.get("headers", {}).items():
            # Function URLs have TLS, and this receiver has none.
            request.send_header(name, value.replace("https://127.", "http://127."))
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _handle(self, event: dict[str, Any]) -> Any:
        deployed = [
            function["Environment"]["Variables"]
            for function in boto3.client("lambda").list_functions()["Functions"]
            if "RECEIVER_KEY" in function.get("Environment", {}).get("Variables", {})
        ]
        if not deployed:
            return {"statusCode": 403}
        os.environ.update(deployed[0])
        module = types.ModuleType("index")
        properties = second_stack()["Resources"]["Receiver"]["Properties"]
        exec(properties["Code"]["ZipFile"], module.__dict__)  # noqa: S102
        return module.handler(event, None)
