//! Secrets Manager: the server that `SECRETS_MANAGER_ENDPOINT` names, else an emulation on the
//! loopback interface that supports the calls these tests make.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_secretsmanager::Client;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use local::client::sdk_config;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A connection to Secrets Manager. An emulation that it started stops when it is dropped.
pub struct SecretsManager {
    pub endpoint: String,
    client: Client,
    _server: JoinSet<()>,
}

const ARN_HEAD: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:";
const ARN_TAIL: &str = "-AbCdEf";

/// The text of each secret, by name.
type Secrets = Arc<Mutex<HashMap<String, String>>>;

impl SecretsManager {
    /// Connects to the named server, or starts an emulation.
    pub async fn start() -> Self {
        let mut server = JoinSet::new();
        #[expect(clippy::disallowed_methods, reason = "where to find the server")]
        let named = std::env::var("SECRETS_MANAGER_ENDPOINT").ok();
        let endpoint = if let Some(endpoint) = named {
            endpoint
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let router = Router::new()
                .fallback(answer)
                .with_state(Secrets::default());
            server.spawn(async move { axum::serve(listener, router).await.unwrap() });
            endpoint
        };
        Self {
            client: Client::new(&sdk_config(&endpoint)),
            endpoint,
            _server: server,
        }
    }

    /// Creates a secret and returns its ARN. No other test may use the name.
    pub async fn create(&self, name: &str, text: &str) -> String {
        let secret = self.client.create_secret().name(name).secret_string(text);
        secret.send().await.unwrap().arn.unwrap()
    }

    /// Replaces a secret's text.
    pub async fn put(&self, arn: &str, text: &str) {
        let version = self
            .client
            .put_secret_value()
            .secret_id(arn)
            .secret_string(text);
        version.send().await.unwrap();
    }

    /// Deletes a secret without a recovery window.
    pub async fn delete(&self, arn: &str) {
        let secret = self.client.delete_secret().secret_id(arn);
        let deleted = secret.force_delete_without_recovery(true).send();
        deleted.await.unwrap();
    }
}

async fn answer(
    State(secrets): State<Secrets>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let mut secrets = secrets.lock().unwrap();
    let id = [&request["SecretId"], &request["Name"]]
        .into_iter()
        .find_map(Value::as_str);
    let name = name_of(id.unwrap()).to_owned();
    let arn = json!({ "ARN": format!("{ARN_HEAD}{name}{ARN_TAIL}") });
    let text = request["SecretString"].as_str().map(str::to_owned);
    let target = headers["x-amz-target"].to_str().unwrap();
    let answered = match target.strip_prefix("secretsmanager.").unwrap() {
        "CreateSecret" => {
            secrets.insert(name, text.unwrap());
            Some(arn)
        }
        "PutSecretValue" => secrets.get_mut(&name).map(|kept| {
            *kept = text.unwrap();
            arn
        }),
        "DeleteSecret" => secrets.remove(&name).map(|_| arn),
        "GetSecretValue" => secrets
            .get(&name)
            .map(|kept| json!({ "ARN": arn["ARN"], "SecretString": kept })),
        other => panic!("the emulation does not support {other}"),
    };
    let missing = json!({ "__type": "ResourceNotFoundException" });
    answered.map_or_else(
        || (StatusCode::BAD_REQUEST, missing.to_string()),
        |answer| (StatusCode::OK, answer.to_string()),
    )
}

/// The name of a secret that is given by its name or its ARN.
fn name_of(id: &str) -> &str {
    id.strip_prefix(ARN_HEAD)
        .and_then(|id| id.strip_suffix(ARN_TAIL))
        .unwrap_or(id)
}
