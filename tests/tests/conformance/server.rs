//! The server under test, and its client.

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

/// The prefix of extension names with the vendor.
pub(crate) const CANONICAL: &str = "urn:cline:forrst:ext:";
/// The prefix without the vendor, which the pages of extensions use.
pub(crate) const SHORT: &str = "urn:forrst:ext:";

static BUNDLE: SharedBundle = SharedBundle::new(|| {
    let environment = [
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        // On a busy machine, even a quick function may take long.
        ("FORRST_WAIT_SECONDS", "10"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    environment
        .map(|(name, value)| (name, value.to_owned()))
        .into()
});

/// A function and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) arguments: Value,
}

/// The server under test, and what the suite calls on it.
pub(crate) struct Server {
    /// Completes at once.
    pub(crate) quick: Call,
    /// The same function with other arguments.
    pub(crate) other: Call,
    /// Runs long enough to be cancelled.
    pub(crate) slow: Call,
    /// Fails at once and permanently.
    pub(crate) failing: Call,
    url: String,
    authorization: Option<String>,
    callback_url: Option<String>,
    client: reqwest::Client,
    /// Our bundle, kept running while it is called. Its responses are also checked against its
    /// `OpenAPI` document.
    bundle: Option<Arc<RunningBundle>>,
}

/// Where callbacks are sent.
pub(crate) struct Callbacks {
    pub(crate) url: String,
    /// `None` if `FORRST_CALLBACK_URL` names another receiver.
    pub(crate) receiver: Option<Receiver>,
}

impl Server {
    /// The server that `FORRST_URL` names, else our bundle, which the tests share.
    pub(crate) fn start() -> Self {
        let environment = Environment::from_process();
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

    /// The receiver that `FORRST_CALLBACK_URL` names, else a receiver of ours, which only a server
    /// on this machine can reach.
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

    /// Sends a body unchanged.
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

    /// Sends a request and expects a well-formed response to it, whatever the request contains.
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

    /// Calls one of the protocol's system functions.
    pub(crate) async fn system(&self, function: &str, arguments: &Value) -> Exchange {
        self.send(&request(function, arguments)).await
    }

    /// Calls with a preference for a deferred response. A server may still answer a quick call at
    /// once, so use this for slow calls, or where the call may have ended.
    pub(crate) async fn begin(&self, call: &Call) -> Exchange {
        self.call(call, json!([prefer_async()])).await
    }

    /// Polls an operation with the call that the server's response names.
    pub(crate) async fn poll(&self, begun: &Exchange) -> Exchange {
        let poll = &begun.data("async")["poll"];
        let mut request = request("", &poll["arguments"]);
        request["call"] = poll.clone();
        self.send(&request).await
    }

    /// Polls until the operation has this status, and returns that response.
    pub(crate) async fn wait_for_status(&self, begun: &Exchange, status: &str) -> Exchange {
        until(status, async || {
            let polled = self.poll(begun).await;
            let current = polled.result()["status"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let is_active = ["pending", "processing"].contains(&current.as_str());
            assert!(is_active || current == status, "not {status}\n{polled}");
            (current == status).then_some(polled)
        })
        .await
    }

    /// The result of a call that does not fail, which the server may have deferred.
    pub(crate) async fn result_of(&self, called: &Exchange) -> Value {
        if !called.result().is_null() {
            return called.result().clone();
        }
        let completed = self.wait_for_status(called, "completed").await;
        completed.result()["result"].clone()
    }

    pub(crate) async fn cancel(&self, begun: &Exchange) -> Exchange {
        let id = &begun.data("async")["operation_id"];
        self.system(CANCEL, &json!({"operation_id": id})).await
    }
}

/// The shape of `ping`'s result.
pub(crate) fn pong() -> Value {
    json!({"status": "<text>", "timestamp": "<time>"})
}

/// A request with a unique id.
pub(crate) fn request(function: &str, arguments: &Value) -> Value {
    json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": unique("req"),
        "call": {"function": function, "arguments": arguments},
    })
}

pub(crate) fn extension(name: &str, options: &Value) -> Value {
    json!({"urn": format!("{CANONICAL}{name}"), "options": options})
}

pub(crate) fn prefer_async() -> Value {
    extension("async", &json!({"preferred": true}))
}

/// A name that no test has used, in this run or in an earlier one: the server may still have it.
pub(crate) fn unique(word: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{word}_{}_{number}", SystemClock.now().as_millis())
}
