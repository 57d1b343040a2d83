//! Targets behind a served Invoke API, and the client that a worker is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use local::client::http_client;
use local::guard::Allowed;
use local::targets::{TargetSettings, Targets};
use serde_json::Value;
use shared::catalogue::LocalTarget;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::soon;

/// An empty directory for a test.
pub(crate) fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Targets with a served Invoke API.
pub(crate) struct Api {
    pub(crate) targets: Arc<Targets>,
    endpoint: String,
    _server: JoinSet<()>,
}

/// A response of the API.
#[derive(Debug)]
pub(crate) struct Invoked {
    pub(crate) status: u16,
    /// `X-Amz-Function-Error`.
    pub(crate) failed: Option<String>,
    /// `x-amzn-ErrorType`.
    error_type: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Api {
    /// The directory is that of the functions file and of the runtimes.
    pub(crate) async fn open(directory: PathBuf, targets: Vec<TargetSettings>) -> Self {
        let all = Arc::new(Targets::new(directory.join("functions.json"), directory).unwrap());
        all.replace(targets, Vec::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&all).serve(listener, Allowed::default());
        let mut server = JoinSet::new();
        server.spawn(async move { serving.await.unwrap() });
        Self {
            targets: all,
            endpoint,
            _server: server,
        }
    }

    pub(crate) fn request(
        &self,
        function: &str,
        event: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        let path = format!("2015-03-31/functions/{function}/invocations");
        http_client()
            .post(format!("{}/{path}", self.endpoint))
            .body(event)
    }

    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Invoked {
        invoked(self.request(function, event.to_string())).await
    }

    pub(crate) fn begin(&self, function: &str, event: &Value) -> JoinHandle<Invoked> {
        tokio::spawn(invoked(self.request(function, event.to_string())))
    }
}

pub(crate) async fn invoked(request: reqwest::RequestBuilder) -> Invoked {
    let response = soon("the response", request.send()).await.unwrap();
    let header = |name| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Invoked {
        status: response.status().as_u16(),
        failed: header("x-amz-function-error"),
        error_type: header("x-amzn-errortype"),
        retry_after: header("retry-after"),
        body: serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
    }
}

impl Invoked {
    /// The type of an error of the function.
    pub(crate) fn function_error(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.failed.as_deref(), Some("Unhandled"), "{self:?}");
        self.body["errorType"].as_str().unwrap()
    }

    pub(crate) fn error_message(&self) -> &str {
        self.body["errorMessage"].as_str().unwrap()
    }

    /// An error of the API, as AWS's SDKs read it.
    pub(crate) fn is_error(&self, status: u16, error_type: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.error_type.as_deref(), Some(error_type));
        assert_eq!(self.failed, None);
        assert_eq!(self.body["message"], self.body["Message"]);
    }
}

pub(crate) fn target(
    lambda_function: &str,
    local: impl Into<Option<LocalTarget>>,
) -> TargetSettings {
    TargetSettings {
        name: "image.resize".to_owned(),
        version: "1.2.0".to_owned(),
        lambda_function: lambda_function.parse().unwrap(),
        timeout: Duration::from_secs(20),
        local: local.into(),
    }
}

pub(crate) fn command(command: &[&str]) -> LocalTarget {
    LocalTarget::Command {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        directory: None,
        environment: BTreeMap::from([("BUCKET".to_owned(), "dev".to_owned())]),
    }
}
