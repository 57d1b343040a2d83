//! The API Gateway HTTP API: which requests reach which function, and what comes of it.
//!
//! It may add nothing that API Gateway does not do, and takes no part in the API: a path or a method that only works here
//! would be found out on AWS. Its own refusals have API Gateway's own bodies, `{"message": …}`.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html>

mod authorizer;
mod cors;
mod event;
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
use tokio::net::TcpListener;

pub use crate::gateway::cors::CORS;
pub use crate::gateway::route::{Handler, ROUTES, Route};

use crate::function::{Function, FunctionError};
use crate::gateway::authorizer::owner;
use crate::gateway::event::Call;
use crate::guard::{Allowed, guarded};

/// How long an integration may take: the HTTP API's maximum.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest request body: the HTTP API's payload limit, 10 MB, which it counts as 10 MiB.
pub const BODY_MAX_BYTES: usize = 10 * 1024 * 1024;

/// The gateway in front of the two functions that answer HTTP.
#[derive(Clone)]
pub struct Gateway {
    /// Answers [`Handler::Submit`].
    pub submit: Arc<Function>,
    /// Answers [`Handler::Status`].
    pub status: Arc<Function>,
    /// Whether a request without `Authorization` is refused; otherwise its owner is `anonymous`.
    pub require_token: bool,
    /// Further hosts that it is called by, and origins whose pages may call it.
    pub allowed: Allowed,
    /// Tells the time of requests.
    pub clock: Arc<dyn Clock>,
    /// How long a function may take to answer; [`INTEGRATION_TIMEOUT`] but for tests.
    pub integration_timeout: Duration,
}

impl Gateway {
    /// Serves on `listener` until `shutdown` completes and every request under way is answered.
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
        let found = route::find(&request.method, request.uri.path()).ok_or(Refusal::NotFound)?;
        let owner = if found.route.authorized {
            let owner = owner(&request.headers, self.gateway.require_token);
            Some(owner.ok_or(Refusal::Unauthorized)?)
        } else {
            None
        };
        if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
            return Err(Refusal::TooLarge);
        }
        // A body that breaks off in the middle has nobody left to answer to, so the one reason that is told is the size.
        let body = axum::body::to_bytes(body, BODY_MAX_BYTES)
            .await
            .map_err(|_| Refusal::TooLarge)?;
        let call = Call {
            request: &request,
            body,
            route_key: found.route.key,
            path_parameters: found.parameters,
            owner,
            peer: peer.ip(),
            port: self.port,
            request_id,
            now: self.gateway.clock.now(),
        };
        self.invoke(found.route, call.event()).await
    }

    async fn invoke(&self, route: &Route, event: Bytes) -> Result<Response, Refusal> {
        let function = match route.handler {
            Handler::Submit => &self.gateway.submit,
            Handler::Status => &self.gateway.status,
        };
        let outcome =
            tokio::time::timeout(self.gateway.integration_timeout, function.invoke(event)).await;
        match outcome {
            Err(_) => {
                tracing::error!(route = route.key, "the function did not answer in time");
                Err(Refusal::Unavailable)
            }
            Ok(Err(FunctionError::EventTooLarge { .. })) => Err(Refusal::TooLarge),
            Ok(Err(error)) => {
                tracing::error!(route = route.key, %error, "the function failed");
                Err(Refusal::Failed)
            }
            Ok(Ok(answer)) => response::read(&answer).map_err(|error| {
                tracing::error!(route = route.key, %error, "the function's answer is not a response");
                Refusal::Failed
            }),
        }
    }

    /// In the form of API Gateway's own: sixteen characters that mean nothing. The time keeps one run's from another's.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:010x}{number:05x}=", self.gateway.clock.now().as_millis())
    }
}

/// What the gateway itself answers, in API Gateway's words.
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
