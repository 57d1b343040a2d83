//! A function behind another program: `cargo lambda watch`, or the Runtime Interface Emulator.
//!
//! Both serve Lambda's `Invoke` API
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>) without authentication, so
//! this client needs no SDK and uses plain HTTP.

use axum::body::Bytes;

use crate::client::http_client;
use crate::function::{FunctionError, PAYLOAD_MAX_BYTES};

/// Where the `Invoke` API at `endpoint` accepts invocations of a function.
pub(crate) fn invocations_url(endpoint: &str, name: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    format!("{endpoint}/2015-03-31/functions/{name}/invocations")
}

#[derive(Debug)]
pub(super) struct RemoteFunction {
    url: String,
    client: reqwest::Client,
}

impl RemoteFunction {
    pub(super) fn new(endpoint: &str, name: &str) -> Self {
        Self {
            url: invocations_url(endpoint, name),
            client: http_client(),
        }
    }

    /// The other program enforces the function's timeout.
    pub(super) async fn invoke(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        let response = self
            .client
            .post(&self.url)
            .body(event)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(FunctionError::Unreachable)?;
        let failed = response.headers().get("x-amz-function-error").cloned();
        let body = response.bytes().await.map_err(FunctionError::Unreachable)?;
        if let Some(kind) = failed {
            return Err(FunctionError::reported(body, kind == "Handled"));
        }
        if body.len() > PAYLOAD_MAX_BYTES {
            let reason = format!("{} bytes", body.len());
            return Err(FunctionError::Response { reason });
        }
        Ok(body)
    }
}
