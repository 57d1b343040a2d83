"""A proxy between the script and the bundle's API. A fault changes requests or responses."""

import contextlib
import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Exchange:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    response: bytes = b""


Change = Callable[[Exchange], None]


def unchanged(_: Exchange) -> None:
    pass


class Proxy:
    def __init__(self) -> None:
        self.before: Change = unchanged
        self.after: Change = unchanged
        self.port = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return lambda: proxy._pass_on(self)
                raise AttributeError(name)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _pass_on(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        # The gateway refuses other hosts' names, and signatures are of the original one.
        headers["x-original-host"] = headers["host"]
        headers["host"] = f"127.0.0.1:{self.port}"
        body = request.rfile.read(length)
        exchange = Exchange(request.command, request.path, headers, body)
        self.before(exchange)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(exchange.method, exchange.path, exchange.body, exchange.headers)
        except (BrokenPipeError, ConnectionResetError):
            # The gateway responds to a body that is too large without reading it.
            pass
        response = connection.getresponse()
        exchange.status = response.status
        exchange.response_headers = {name.lower(): value for name, value in response.getheaders()}
        exchange.response = response.read()
        connection.close()
        self.after(exchange)
        if exchange.method != "HEAD" and exchange.status != 304:
            exchange.response_headers["content-length"] = str(len(exchange.response))
        request.send_response_only(exchange.status)
        for name, value in exchange.response_headers.items():
            request.send_header(name, value)
        # A client that was interrupted has gone.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            request.end_headers()
            request.wfile.write(exchange.response)
