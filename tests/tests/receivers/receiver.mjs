// A receiver of callbacks, for tests: receiver.mjs IDENTITY KEY
//
// Serves HTTPS on a free port of the loopback interface until its standard input ends. IDENTITY is
// a file with certificate and private key. Prints its port, and then for every request a line of
// JSON: whether KEY verifies it, and the event. Verifies with the reference library, or with Node's
// `crypto` where the library cannot, as the author of a receiver would.

import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

/** Verifies `v1a`, which the reference library does not support. */
class PublicKey {
  constructor(key) {
    // The DER prefix of every Ed25519 public key, before its 32 bytes (RFC 8410, 4 and 10.1).
    const head = Buffer.from("302a300506032b6570032100", "hex");
    const bytes = Buffer.from(key.slice("whpk_".length), "base64");
    this.key = createPublicKey({ key: Buffer.concat([head, bytes]), format: "der", type: "spki" });
  }

  verify(body, headers) {
    const prefix = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
    const signed = Buffer.concat([Buffer.from(prefix), body]);
    for (const signature of headers["webhook-signature"].split(" ")) {
      const [version, encoded] = signature.split(",");
      if (version === "v1a" && verify(null, signed, this.key, Buffer.from(encoded, "base64"))) {
        return JSON.parse(body);
      }
    }
    throw new WebhookVerificationError("no matching signature");
  }
}

const [identityFile, key] = process.argv.slice(-2);
const verifier = key.startsWith("whpk_") ? new PublicKey(key) : new Webhook(key);
const identity = readFileSync(identityFile);

const server = createServer({ cert: identity, key: identity }, async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let report;
  try {
    report = { verified: true, event: verifier.verify(Buffer.concat(chunks), request.headers) };
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    report = { verified: false };
  }
  console.log(JSON.stringify(report));
  response.writeHead(report.verified ? 204 : 400).end();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
