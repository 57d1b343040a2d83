//! The routes: by the emulator's router, and by the local gateway in front of the emulator.

use local::bundle::Bundle;
use local::client::http_client;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use shared::http::{ROUTES, Route};
use tests::bundle::settings;
use tests::wait::until;

use crate::watch::Watch;

/// The id of no operation.
const ID: &str = "op_000000000000000000000000";

/// The emulator with all functions, and the local gateway in front of it.
struct Emulated {
    watch: Watch,
    bundle: Bundle,
    client: reqwest::Client,
}

impl Emulated {
    async fn start() -> Self {
        let port = Watch::free_port();
        let mut settings = settings(vec![]);
        settings.lambda = Some(format!("http://127.0.0.1:{port}"));
        let bundle = Bundle::start(settings).await.unwrap();
        let watch = Watch::start(port, bundle.function_environment()).await;
        Self {
            watch,
            bundle,
            client: http_client(),
        }
    }

    /// Sends a request to the emulator's router.
    async fn routed(&self, method: &Method, path: &str) -> Response {
        let url = format!("{}{path}", self.watch.url());
        let request = self.client.request(method.clone(), url);
        request.body("{}").send().await.unwrap()
    }

    /// Sends a request to the local gateway.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.bundle.url());
        let request = self.client.request(method, url);
        let response = request.body(body.to_string()).send().await.unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    async fn stop(self) {
        self.bundle.stop().await;
        self.watch.stop().await;
    }
}

/// Status, and a member of the body with its value, of the response to a request with the body
/// `{}`. The emulator has no authorizer, so the request has no owner; `/forrst` reads the body
/// first.
fn expected(route: Route) -> (u16, &'static str, &'static str) {
    match route {
        Route::CallForrst => (400, "/errors/0/code", "INVALID_REQUEST"),
        Route::Health => (200, "/status", "ok"),
        // Without an issuer.
        Route::ProtectedResource | Route::ProtectedMcp => {
            (404, "/code", "ASYNC_OPERATION_NOT_FOUND")
        }
        _ => (401, "/code", "UNAUTHORIZED"),
    }
}

#[tokio::test]
async fn the_emulators_router_reaches_the_function_of_each_route() {
    let emulated = Emulated::start().await;
    for route in ROUTES {
        let (status, pointer, value) = expected(route);
        let method = Method::from_bytes(route.method().as_bytes()).unwrap();
        let response = emulated.routed(&method, &route.path_of(ID)).await;
        let answered = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(answered, status, "{route:?}: {text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body.pointer(pointer), Some(&json!(value)), "{body}");
    }
    for (method, path, status, allow) in [
        (Method::PUT, "/operations", 405, Some("GET, HEAD, POST")),
        (Method::OPTIONS, "/operations", 405, Some("GET, HEAD, POST")),
        (Method::PATCH, "/forrst", 405, Some("POST")),
        (Method::POST, "/health", 405, Some("GET, HEAD")),
        (Method::GET, "/operations/", 404, None),
        (Method::GET, "/other", 404, None),
    ] {
        let response = emulated.routed(&method, path).await;
        let allowed = response.headers().get("allow").map(|value| value.to_str());
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(allowed.transpose().unwrap(), allow, "{method} {path}");
    }
    emulated.stop().await;
}

#[tokio::test]
async fn the_local_gateway_runs_operations_on_the_emulators_functions() {
    let emulated = Emulated::start().await;
    let body = json!({"function": "demo.echo", "arguments": {"ripe": true}});
    let submitted = emulated.call(Method::POST, "/operations", &body).await;
    let path = format!("/operations/{}", submitted["id"].as_str().unwrap());
    let result = until("the result", async || {
        let operation = emulated.call(Method::GET, &path, &Value::Null).await;
        operation.get("result").cloned()
    })
    .await;
    assert_eq!(result, json!({"ripe": true}));
    emulated.stop().await;
}
