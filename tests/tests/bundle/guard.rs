//! The guard of each of the program's listeners: only programs, this machine's pages and allowed
//! pages pass.

use std::collections::HashSet;
use std::path::Path;

use aws_sdk_sqs::types::QueueAttributeName;
use local::client::{http_client, sdk_config};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use shared::config::Environment;
use tests::wait::soon;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::local_program::LocalProgram;

const EVIL: &str = "https://evil.example";
const LOCAL_PAGE: &str = "http://localhost:5173";
const ALLOW_ORIGIN: &str = "access-control-allow-origin";

/// The program, with the variables of its functions.
struct Local {
    program: LocalProgram,
    environment: Environment,
}

impl Local {
    async fn start(name: &str, options: &[&str]) -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.env"));
        let file = file.display().to_string();
        // The console has another guard, which its own tests hold.
        let options = [&["--environment", &file, "--no-console"], options].concat();
        let program = LocalProgram::start(&options, &[]).await;
        let variables = std::fs::read_to_string(&file).unwrap();
        let variables = variables.lines().map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name, value.trim_matches('"'))
        });
        Self {
            program,
            environment: variables.collect(),
        }
    }

    fn setting(&self, name: &'static str) -> &str {
        self.environment.required(name).unwrap()
    }

    /// The number of items in the table, and of delayed messages in the callback queue.
    async fn counts(&self) -> (i32, String) {
        let store = sdk_config(self.setting("AWS_ENDPOINT_URL_DYNAMODB"));
        let scan = aws_sdk_dynamodb::Client::new(&store).scan();
        let scanned = scan.table_name(self.setting("TABLE_NAME")).send().await;
        let queues = sdk_config(self.setting("AWS_ENDPOINT_URL_SQS"));
        let delayed = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
        let attributes = aws_sdk_sqs::Client::new(&queues)
            .get_queue_attributes()
            .queue_url(self.setting("CALLBACK_QUEUE_URL"))
            .attribute_names(delayed.clone())
            .send()
            .await
            .unwrap();
        let messages = attributes.attributes.unwrap()[&delayed].clone();
        (scanned.unwrap().count(), messages)
    }
}

/// The ports that the process listens on, which must be on 127.0.0.1.
fn ports(process_id: u32) -> Vec<u16> {
    let files = std::fs::read_dir(format!("/proc/{process_id}/fd")).unwrap();
    let files = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let sockets: HashSet<String> = files
        .filter_map(|file| {
            let inode = file.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = |name| std::fs::read_to_string(format!("/proc/{process_id}/net/{name}")).unwrap();
    let listening = |table: &str| -> Vec<(String, u16)> {
        let rows = table
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row[3] == "0A" && sockets.contains(row[9]))
            .map(|row| {
                let (address, port) = row[1].split_once(':').unwrap();
                (address.to_owned(), u16::from_str_radix(port, 16).unwrap())
            })
            .collect()
    };
    assert_eq!(listening(&table("tcp6")), []);
    let (addresses, ports): (Vec<_>, Vec<_>) = listening(&table("tcp")).into_iter().unzip();
    assert!(
        addresses.iter().all(|address| address == "0100007F"),
        "{addresses:?}"
    );
    ports
}

fn request(method: Method, url: &str, headers: &[(&str, &str)]) -> RequestBuilder {
    let request = http_client().request(method, url);
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

async fn send(request: RequestBuilder) -> Response {
    soon("a response", request.send()).await.unwrap()
}

async fn refused(request: RequestBuilder, words: &str) {
    let response = send(request).await;
    assert_eq!(response.status(), 403);
    assert!(!response.headers().contains_key(ALLOW_ORIGIN));
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    assert!(body["message"].as_str().unwrap().contains(words), "{text}");
}

#[tokio::test]
async fn every_listener_refuses_other_hosts_and_pages_of_other_sites() {
    let local = Local::start("guard", &[]).await;
    let ports = ports(local.program.child.id().unwrap());
    // Gateway, store, queues, and the Runtime API of each function's process.
    assert!(ports.len() >= 7, "{ports:?}");
    for port in ports {
        let url = format!("http://127.0.0.1:{port}/");
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let request =
                |headers: &[(&str, &str)]| request(method.clone(), &url, headers).body("{}");
            let host = format!("evil.example:{port}");
            refused(request(&[("host", &host)]), "--allowed-host").await;
            refused(request(&[("host", "127.0.0.1")]), "--allowed-host").await;
            for origin in [EVIL, "null"] {
                refused(request(&[("origin", origin)]), "--cors-origin").await;
            }
            let cross_site = [
                ("content-type", "text/plain"),
                ("sec-fetch-site", "cross-site"),
            ];
            refused(request(&cross_site), "--cors-origin").await;
            for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
                let passed = request(&[("host", &host), ("origin", LOCAL_PAGE)]);
                let passed = send(passed).await;
                assert_ne!(passed.status(), 403, "{method} {port}");
                assert!(
                    !passed.headers().contains_key(ALLOW_ORIGIN),
                    "{method} {port}"
                );
            }
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        soon("a response", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.0 403"), "{answer}");
    }
}

/// The same requests take effect when a page of this machine sends them.
#[tokio::test]
async fn requests_from_pages_of_other_sites_have_no_effect() {
    let local = Local::start("pages", &[]).await;
    let store = format!("{}/", local.setting("AWS_ENDPOINT_URL_DYNAMODB"));
    let queues = format!("{}/", local.setting("AWS_ENDPOINT_URL_SQS"));
    let item = json!({"pk": {"S": "op_1"}, "sk": {"S": "head"}});
    let put = json!({"TableName": local.setting("TABLE_NAME"), "Item": item});
    let message = json!({
        "QueueUrl": local.setting("CALLBACK_QUEUE_URL"), "MessageBody": "{}", "DelaySeconds": 900,
    });
    let signed = [
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=k/20270115/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=0",
        ),
        ("x-amz-date", "20270115T080000Z"),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    let target = |name| [&signed[..], &[("x-amz-target", name)]].concat();
    let operations = format!("{}/operations", local.program.url);
    let submit = json!({"function": "demo.echo"});
    let plain = vec![("content-type", "text/plain")];
    let requests = [
        (&store, target("DynamoDB_20120810.PutItem"), &put),
        (&queues, target("AmazonSQS.SendMessage"), &message),
        (&operations, plain, &submit),
    ];
    for page in [
        [("host", "evil.example")],
        [("origin", EVIL)],
        [("sec-fetch-site", "cross-site")],
    ] {
        for (url, headers, body) in &requests {
            let headers = [&headers[..], &page].concat();
            refused(
                request(Method::POST, url, &headers).body(body.to_string()),
                "",
            )
            .await;
        }
    }
    assert_eq!(local.counts().await, (0, "0".to_owned()));

    for (url, headers, body) in [
        (&store, target("DynamoDB_20120810.PutItem"), &put),
        (&queues, target("AmazonSQS.SendMessage"), &message),
        (
            &operations,
            vec![("content-type", "application/json")],
            &submit,
        ),
    ] {
        let headers = [&headers[..], &[("origin", LOCAL_PAGE)]].concat();
        let done = send(request(Method::POST, url, &headers).body(body.to_string())).await;
        assert!(done.status().is_success(), "{url}: {}", done.status());
    }
    let (items, messages) = local.counts().await;
    assert!(items >= 2, "{items}");
    assert_eq!(messages, "1");
}

#[tokio::test]
async fn an_allowed_host_is_for_every_listener_and_an_allowed_origin_for_the_gateway() {
    let origin = "https://app.example.com";
    let options = [
        "--allowed-host",
        "host.docker.internal",
        "--cors-origin",
        origin,
    ];
    let local = Local::start("allowed", &options).await;
    let store = local.setting("AWS_ENDPOINT_URL_DYNAMODB");
    let queues = local.setting("AWS_ENDPOINT_URL_SQS");
    for url in [&local.program.url, store, queues] {
        for host in ["host.docker.internal:8080", "Host.Docker.Internal"] {
            let passed = send(request(Method::GET, url, &[("host", host)])).await;
            assert_ne!(passed.status(), 403, "{url}");
        }
        let another = [("host", "evil.example"), ("origin", origin)];
        refused(request(Method::GET, url, &another), "evil.example").await;
    }
    let page = [("origin", origin), ("sec-fetch-site", "cross-site")];
    for url in [store, queues] {
        refused(request(Method::POST, url, &page), "--cors-origin").await;
    }
    let operations = format!("{}/operations", local.program.url);
    let submit = request(Method::POST, &operations, &page).body(r#"{"function":"demo.echo"}"#);
    let submitted = send(submit).await;
    assert_eq!(submitted.status(), 202);
    assert_eq!(submitted.headers()[ALLOW_ORIGIN], origin);
}
