//! The server that is held to the protocol, and how it is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use local::client::http_client;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use tests::bundle::{RunningBundle, SharedBundle};
use tests::openapi;
use tests::receiver::{Receiver, SECRET};
use tests::wait::until;

use super::exchange::Exchange;

pub(crate) const STATUS: &str = "urn:cline:forrst:ext:async:fn:status";
pub(crate) const CANCEL: &str = "urn:cline:forrst:ext:async:fn:cancel";
pub(crate) const LIST: &str = "urn:cline:forrst:ext:async:fn:list";
pub(crate) const PING: &str = "urn:cline:forrst:fn:ping";
pub(crate) const CAPABILITIES: &str = "urn:cline:forrst:fn:capabilities";
pub(crate) const DESCRIBE: &str = "urn:cline:forrst:fn:describe";
pub(crate) const HEALTH: &str = "urn:cline:forrst:fn:health";

/// An extension in the spelling with the vendor; the pages of extensions spell the same names without.
pub(crate) const CANONICAL: &str = "urn:cline:forrst:ext:";
/// The other spelling.
pub(crate) const SHORT: &str = "urn:forrst:ext:";

static BUNDLE: SharedBundle = SharedBundle::new(|| {
    let environment = [
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        // A machine that is busy may take long over what completes at once.
        ("FORRST_WAIT_SECONDS", "10"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    environment
        .map(|(name, value)| (name, value.to_owned()))
        .into()
});

/// What to call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) arguments: Value,
}

/// See the module.
pub(crate) struct Server {
    /// Completes at once.
    pub(crate) quick: Call,
    /// The same function with other arguments.
    pub(crate) other: Call,
    /// Takes long enough for it to be cancelled.
    pub(crate) slow: Call,
    /// Fails at once, for good.
    pub(crate) failing: Call,
    url: String,
    authorization: Option<String>,
    callback_url: Option<String>,
    client: reqwest::Client,
    /// Ours, for as long as it is called; it is held to its own document besides.
    bundle: Option<Arc<RunningBundle>>,
}

/// Where callbacks go.
pub(crate) struct Callbacks {
    pub(crate) url: String,
    /// Whoever receives them, when that is us.
    pub(crate) receiver: Option<Receiver>,
}

impl Server {
    /// The one that is named; a new bundle of ours, or the one that another test has started, when none is.
    pub(crate) fn start() -> Self {
        let environment = Environment::of_process();
        let text = |name, default: &str| environment.optional(name).unwrap_or(default).to_owned();
        let arguments = |name, default| {
            serde_json::from_str(&text(name, default))
                .unwrap_or_else(|error| panic!("{name} is not JSON: {error}"))
        };
        let bundle = match environment.optional("FORRST_URL") {
            Some(_) => None,
            None => Some(BUNDLE.running()),
        };
        let own_url = bundle
            .as_ref()
            .map(|bundle| format!("{}/forrst", bundle.url));
        let quick = text("FORRST_FUNCTION", "demo.echo");
        Self {
            quick: Call {
                function: quick.clone(),
                arguments: arguments("FORRST_ARGUMENTS", r#"{"ripe": true}"#),
            },
            other: Call {
                function: quick,
                arguments: arguments("FORRST_OTHER_ARGUMENTS", r#"{"ripe": false}"#),
            },
            slow: Call {
                function: text("FORRST_SLOW_FUNCTION", "demo.countdown"),
                arguments: arguments("FORRST_SLOW_ARGUMENTS", r#"{"steps": 15, "step_ms": 200}"#),
            },
            failing: Call {
                function: text("FORRST_FAILING_FUNCTION", "demo.fail"),
                arguments: arguments("FORRST_FAILING_ARGUMENTS", "{}"),
            },
            url: text("FORRST_URL", own_url.as_deref().unwrap_or_default()),
            authorization: match &bundle {
                Some(_) => Some("Bearer conformance".to_owned()),
                None => environment
                    .optional("FORRST_AUTHORIZATION")
                    .map(str::to_owned),
            },
            callback_url: environment
                .optional("FORRST_CALLBACK_URL")
                .map(str::to_owned),
            client: http_client(),
            bundle,
        }
    }

    /// A receiver of ours, which only a server on this machine can reach, unless another is named.
    pub(crate) async fn callbacks(&self) -> Callbacks {
        if let Some(url) = &self.callback_url {
            return Callbacks {
                url: url.clone(),
                receiver: None,
            };
        }
        let receiver = Receiver::start().await;
        Callbacks {
            url: receiver.url.clone(),
            receiver: Some(receiver),
        }
    }

    /// Sends a body as it is.
    pub(crate) async fn send_raw(
        &self,
        method: Method,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Exchange {
        let body = body.into();
        let sent = String::from_utf8_lossy(&body).into_owned();
        let mut request = self
            .client
            .request(method, &self.url)
            .header("content-type", content_type)
            .body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if self.bundle.is_some() {
            let (status, headers, text) = openapi::sent(&self.client, request).await;
            return Exchange::new(sent, status, headers, text);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Exchange::new(sent, status, headers, response.text().await.unwrap())
    }

    /// Sends a request. Whatever is in it, the answer is a well-formed response to it.
    pub(crate) async fn send(&self, request: &Value) -> Exchange {
        let exchange = self
            .send_raw(Method::POST, "application/json", request.to_string())
            .await;
        exchange.is_response();
        let id = request["id"].as_str().filter(|id| !id.is_empty());
        exchange.is_for(id);
        exchange
    }

    /// Calls a function with some extensions.
    pub(crate) async fn call(&self, call: &Call, extensions: Value) -> Exchange {
        let mut request = request(&call.function, &call.arguments);
        request["extensions"] = extensions;
        self.send(&request).await
    }

    /// Calls one of the protocol's own functions.
    pub(crate) async fn system(&self, function: &str, arguments: &Value) -> Exchange {
        self.send(&request(function, arguments)).await
    }

    /// Calls and does not wait. A server may answer at once all the same when it is quick, so this is for what is slow, or
    /// what may as well have ended.
    pub(crate) async fn begin(&self, call: &Call) -> Exchange {
        self.call(call, json!([prefer_async()])).await
    }

    /// How an operation stands, by the call that its server told.
    pub(crate) async fn poll(&self, begun: &Exchange) -> Exchange {
        let poll = &begun.data("async")["poll"];
        let mut request = request("", &poll["arguments"]);
        request["call"] = poll.clone();
        self.send(&request).await
    }

    /// How an operation stands once it is `status`.
    pub(crate) async fn reaches(&self, begun: &Exchange, status: &str) -> Exchange {
        until(status, async || {
            let polled = self.poll(begun).await;
            let stands = polled.result()["status"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let goes_on = ["pending", "processing"].contains(&stands.as_str());
            assert!(goes_on || stands == status, "not {status}\n{polled}");
            (stands == status).then_some(polled)
        })
        .await
    }

    pub(crate) async fn cancel(&self, begun: &Exchange) -> Exchange {
        let id = &begun.data("async")["operation_id"];
        self.system(CANCEL, &json!({"operation_id": id})).await
    }
}

/// The shape of what `ping` answers.
pub(crate) fn pong() -> Value {
    json!({"status": "<text>", "timestamp": "<time>"})
}

/// A request with an id that no other has.
pub(crate) fn request(function: &str, arguments: &Value) -> Value {
    json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": unique("req"),
        "call": {"function": function, "arguments": arguments},
    })
}

/// An extension with options.
pub(crate) fn extension(name: &str, options: &Value) -> Value {
    json!({"urn": format!("{CANONICAL}{name}"), "options": options})
}

pub(crate) fn prefer_async() -> Value {
    extension("async", &json!({"preferred": true}))
}

/// A name that has not been used before, in an earlier run neither: the server may remember.
pub(crate) fn unique(word: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{word}_{}_{number}", SystemClock.now().as_millis())
}
