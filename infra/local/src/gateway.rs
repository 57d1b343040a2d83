//! The API Gateway HTTP API: routes each request to its function and turns the function's response
//! into a response. <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html>
//!
//! It does nothing that API Gateway does not do: a path or a method that only works here would fail
//! on AWS. Its own errors have API Gateway's bodies, `{"message": …}`.

mod authorizer;
mod cors;
mod event;
mod owners;
mod response;
mod route;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use shared::clock::Clock;
use shared::http::HttpFunction;
use tokio::net::TcpListener;

pub use crate::gateway::cors::CORS;
pub use crate::gateway::owners::Owners;
pub use crate::gateway::route::{GatewayRoute, MatchedRoute, find_route, gateway_routes};

use crate::function::{Function, FunctionError};
use crate::gateway::authorizer::owner;
use crate::gateway::event::Call;
use crate::guard::{Allowed, guarded};

/// The HTTP API's limit for an integration.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP API's limit for a request body: 10 MB, which it counts as 10 MiB.
pub const BODY_MAX_BYTES: usize = 10 * 1024 * 1024;

#[derive(Clone)]
pub struct Gateway {
    pub submit: Arc<Function>,
    pub status: Arc<Function>,
    /// Whether a request without `Authorization` is refused; otherwise its owner is `anonymous`.
    pub require_token: bool,
    pub allowed: Allowed,
    /// Remembers who calls.
    pub owners: Arc<Owners>,
    pub clock: Arc<dyn Clock>,
    /// [`INTEGRATION_TIMEOUT`] except in tests.
    pub integration_timeout: Duration,
}

impl Gateway {
    /// Serves until `shutdown` completes and every request in progress is answered.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let allowed = self.allowed.clone();
        let serving = Arc::new(Serving {
            port: listener.local_addr()?.port(),
            gateway: self,
            requests: AtomicU64::new(0),
        });
        let router = Router::new().fallback(answer).with_state(serving);
        let service = guarded(router, &listener, allowed)?
            .into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(shutdown)
            .await
    }
}

struct Serving {
    gateway: Gateway,
    port: u16,
    requests: AtomicU64,
}

async fn answer(
    State(serving): State<Arc<Serving>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let request_id = serving.request_id();
    let origin = cors::origin(request.headers(), &serving.gateway.allowed.origins);
    let answered = match &origin {
        Some(_) if cors::is_preflight(&request) => Ok(cors::preflight()),
        _ => serving.call(peer, request, request_id.clone()).await,
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    if let Some(origin) = origin {
        cors::allow(origin, response.headers_mut());
    }
    if let Ok(request_id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert("apigw-requestid", request_id);
    }
    response
}

impl Serving {
    async fn call(
        &self,
        peer: SocketAddr,
        request: Request,
        request_id: String,
    ) -> Result<Response, Refusal> {
        let (request, body) = request.into_parts();
        let MatchedRoute { route, parameters } =
            find_route(request.method.as_str(), request.uri.path()).ok_or(Refusal::NotFound)?;
        let owner = if route.is_public {
            None
        } else {
            let owner = owner(&request.headers, self.gateway.require_token);
            let owner = owner.ok_or(Refusal::Unauthorized)?;
            self.gateway.owners.record(&owner);
            Some(owner)
        };
        if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
            return Err(Refusal::TooLarge);
        }
        // Reading fails at the limit, or because the caller hung up, which then gets no response.
        let body = axum::body::to_bytes(body, BODY_MAX_BYTES)
            .await
            .map_err(|_| Refusal::TooLarge)?;
        let call = Call {
            request: &request,
            body,
            route_key: &route.key,
            path_parameters: parameters,
            owner,
            peer: peer.ip(),
            port: self.port,
            request_id,
            now: self.gateway.clock.now(),
        };
        self.invoke(route, call.event()).await
    }

    async fn invoke(&self, route: &GatewayRoute, event: Bytes) -> Result<Response, Refusal> {
        let function = match route.function {
            HttpFunction::Submit => &self.gateway.submit,
            HttpFunction::Status => &self.gateway.status,
        };
        let outcome =
            tokio::time::timeout(self.gateway.integration_timeout, function.invoke(event)).await;
        match outcome {
            Err(_) => {
                let timeout_secs = self.gateway.integration_timeout.as_secs_f64();
                tracing::error!(
                    route = route.key,
                    timeout_secs,
                    "the function did not answer in time; the caller gets 503"
                );
                Err(Refusal::Unavailable)
            }
            Ok(Err(FunctionError::EventTooLarge { .. })) => Err(Refusal::TooLarge),
            Ok(Err(error)) => {
                tracing::error!(
                    route = route.key,
                    %error,
                    "the function failed; the caller gets 500"
                );
                Err(Refusal::Failed)
            }
            Ok(Ok(answer)) => response::read(&answer).map_err(|error| {
                tracing::error!(
                    route = route.key,
                    %error,
                    "the function returned no valid HTTP response; the caller gets 500"
                );
                Refusal::Failed
            }),
        }
    }

    /// Sixteen opaque characters, as API Gateway's ids have. The time makes the ids of two runs
    /// differ.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:010x}{number:05x}=", self.gateway.clock.now().as_millis())
    }
}

/// An error that the gateway itself answers with.
enum Refusal {
    Unauthorized,
    NotFound,
    TooLarge,
    Failed,
    Unavailable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, r#"{"message":"Unauthorized"}"#),
            Self::NotFound => (StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                r#"{"message":"Request Entity Too Large"}"#,
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                r#"{"message":"Internal Server Error"}"#,
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                r#"{"message":"Service Unavailable"}"#,
            ),
        };
        (status, [("content-type", "application/json")], body).into_response()
    }
}
