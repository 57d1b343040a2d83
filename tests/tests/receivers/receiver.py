"""A receiver of callbacks, for tests: receiver.py IDENTITY KEY

Serves HTTPS on a free port of the loopback interface until its standard input ends. IDENTITY is a
file with certificate and private key. Prints its port, and then for every request a line of JSON:
whether KEY verifies it, and the event. Verifies with libraries only, as the author of a receiver
would.
"""

import json
import ssl
import sys
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError


class PublicKey:
    """Verifies `v1a`, which the reference library does not support."""

    def __init__(self, key):
        self.key = Ed25519PublicKey.from_public_bytes(b64decode(key.removeprefix("whpk_")))

    def verify(self, body, headers):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        for signature in headers["webhook-signature"].split(" "):
            version, encoded = signature.split(",")
            if version == "v1a":
                self.key.verify(b64decode(encoded), signed)
                return json.loads(body)
        raise InvalidSignature


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            report = {"verified": True, "event": key.verify(body, dict(self.headers))}
        except (WebhookVerificationError, InvalidSignature):
            report = {"verified": False}
        # One write, so that lines of two requests do not mix.
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        self.send_response(204 if report["verified"] else 400)
        self.end_headers()

    def log_request(self, *_):
        pass


identity, key = sys.argv[1:]
key = PublicKey(key) if key.startswith("whpk_") else Webhook(key)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(identity)
server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.socket = context.wrap_socket(server.socket, server_side=True)
Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
