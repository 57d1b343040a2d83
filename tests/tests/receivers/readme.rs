//! Runs the receivers in `functions/callback/README.md` as they are written there.

use std::net::TcpListener;
use std::process::Output;

use axum::body::Bytes;
use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callback::signature::Signer;
use local::bundle::DEVELOPMENT_WEBHOOK_SECRET;
use local::client::http_client;
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use tests::api::Api;
use tests::readme::code;
use tests::receiver::{Delivery, Receiver};
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::ChildStdout;

use super::in_process::Verifier;
use super::keys::{PUBLIC_KEY, SIGNING_KEY};
use super::language::Language;
use super::{DEVELOPMENT, ROTATING};

/// The page for authors of receivers.
const PAGE: &str = "functions/callback/README.md";

/// The port on which the page's receivers listen.
const README_PORT: &str = "4000";
/// The API to which they submit, without a token.
const README_API: &str = "http://127.0.0.1:3000";
const README_OWNER: &str = "anonymous";

/// A request, and whether a receiver must accept it.
struct Case {
    name: &'static str,
    delivery: Delivery,
    genuine: bool,
}

#[tokio::test]
async fn the_receivers_accept_genuine_callbacks_and_act_only_on_their_own_operations() {
    let (api, submitter) = (
        DEVELOPMENT.caller("readme"),
        DEVELOPMENT.caller(README_OWNER),
    );
    let cases = cases(&delivery(&api).await, DEVELOPMENT_WEBHOOK_SECRET);
    assert_verdicts(&cases, &Verifier::new(DEVELOPMENT_WEBHOOK_SECRET));
    for language in Language::of_this_run() {
        let (interpreter, program) = match &language {
            // Its verifier is checked above.
            Language::Rust => continue,
            Language::Python(python) => (python, code(PAGE, "receiver.py")),
            Language::Node(node) => (node, code(PAGE, "receiver.mjs")),
        };
        assert_eq!(program.matches(README_PORT).count(), 2);
        assert_eq!(program.matches(README_API).count(), 1);
        let address = free_address();
        let port = address.rsplit(':').next().unwrap();
        let program = program
            .replace(README_API, &DEVELOPMENT.running().url)
            .replace(README_PORT, port);
        let mut receiver = interpreter.start(&program, &[]);
        let mut acted_on = BufReader::new(receiver.stdout.take().unwrap()).lines();
        until("the receiver's start", async || {
            let ended = receiver.try_wait().unwrap();
            assert_eq!(ended, None, "{}, which has written why", language.name());
            TcpStream::connect(&address).await.ok()
        })
        .await;

        let own = next_id(&mut acted_on).await;
        submitter.wait_for_callback_status(&own, "delivered").await;

        let url = format!("http://{address}/hook");
        let references = ["a guess".into(), json!(["a guess"]), Value::Null];
        let others = references.map(|reference| json!({"reference": reference}));
        for metadata in others.into_iter().chain([json!({})]) {
            let id = submit(&api, &url, &metadata).await;
            let callback = api.wait_for_callback_status(&id, "delivered").await;
            assert_eq!(callback["attempts"][0]["status_code"], 204, "{callback}");
        }
        for case in &cases {
            let mut request = http_client().post(&url).body(case.delivery.body.clone());
            for (name, value) in webhook_headers(&case.delivery) {
                request = request.header(name, value);
            }
            let status = request.send().await.unwrap().status().as_u16();
            let expected = if case.genuine { 204 } else { 400 };
            assert_eq!(status, expected, "{}: {}", language.name(), case.name);
        }
        // The receiver has responded to all the others, and prints before it responds.
        let redelivered = submitter
            .post(&format!("/operations/{own}/redeliver"))
            .await;
        assert_eq!(redelivered.status, 202, "{}", redelivered.text);
        assert_eq!(next_id(&mut acted_on).await, own, "{}", language.name());
    }
}

#[tokio::test]
async fn the_recipe_for_public_keys_accepts_exactly_genuine_callbacks() {
    let cases = cases(&delivery(&ROTATING.caller("recipe")).await, SIGNING_KEY);
    assert_verdicts(&cases, &Verifier::new(PUBLIC_KEY));
    for language in Language::of_this_run() {
        let Language::Node(node) = language else {
            continue;
        };
        let program = format!(
            r#"{}
            import {{ readFileSync }} from "node:fs";
            const {{ key, deliveries }} = JSON.parse(readFileSync(0));
            const verdicts = deliveries.map(([body, headers]) =>
                isGenuine(Buffer.from(body, "base64"), headers, key));
            console.log(JSON.stringify(verdicts));"#,
            code(PAGE, "v1a.mjs")
        );
        let deliveries = cases.iter().map(|case| {
            let headers: serde_json::Map<_, _> = webhook_headers(&case.delivery)
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            json!([STANDARD.encode(&case.delivery.body), headers])
        });
        let input = json!({"key": PUBLIC_KEY, "deliveries": deliveries.collect::<Vec<_>>()});
        let mut child = node.start(&program, &[]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        let output: Output = soon("the verdict", child.wait_with_output()).await.unwrap();
        assert!(output.status.success());
        let verdicts: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (case, verdict) in cases.iter().zip(verdicts.as_array().unwrap()) {
            assert_eq!(verdict, case.genuine, "{}", case.name);
        }
    }
}

/// Which operation's callback a receiver of the page acts on next.
async fn next_id(acted_on: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = soon("a callback", acted_on.next_line()).await.unwrap();
    let line = line.expect("a receiver that ends early has written why");
    line.rsplit(' ').next().unwrap().to_owned()
}

/// A real delivery.
async fn delivery(api: &Api) -> Delivery {
    let receiver = Receiver::start().await;
    submit(api, &receiver.url, &json!({})).await;
    until("a callback", async || receiver.received().pop()).await
}

async fn submit(api: &Api, url: &str, metadata: &Value) -> String {
    let arguments = json!({"text": "Žluťoučký kůň"});
    let body = json!({
        "function": "demo.echo", "arguments": arguments, "callback_url": url, "metadata": metadata,
    });
    api.submit(&body).await.id()
}

/// The delivery, others that the same sender would have signed at other times, and forgeries.
fn cases(delivery: &Delivery, key: &str) -> Vec<Case> {
    let signer = key.parse::<Signer>().unwrap();
    let with = |name, genuine, change: &dyn Fn(&mut Delivery)| {
        let mut delivery = delivery.clone();
        change(&mut delivery);
        Case {
            name,
            delivery,
            genuine,
        }
    };
    let header = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).unwrap();
        move |delivery: &mut Delivery| {
            delivery.headers.insert(name, value.clone());
        }
    };
    let at = |from_now_secs: i64| {
        let signer = &signer;
        move |delivery: &mut Delivery| {
            let at_secs = SystemClock.now().as_secs() + from_now_secs;
            let signature = signer.sign(&delivery.header("webhook-id"), at_secs, &delivery.body);
            delivery.headers.insert("webhook-timestamp", at_secs.into());
            delivery
                .headers
                .insert("webhook-signature", signature.parse().unwrap());
        }
    };
    vec![
        with("unchanged", true, &|_| {}),
        with("signed almost five minutes ago", true, &at(-290)),
        with("signed more than five minutes ago", false, &at(-310)),
        with("signed for a later time", false, &at(310)),
        with("another result", false, &|delivery| {
            let body = String::from_utf8(delivery.body.to_vec()).unwrap();
            assert!(body.contains("Žluť"));
            delivery.body = body.replace("Žluť", "žluť").into();
        }),
        with("an additional space", false, &|delivery| {
            delivery.body = [&*delivery.body, b" "].concat().into();
        }),
        with("not UTF-8", false, &|delivery| {
            delivery.body = Bytes::from_static(&[0xff]);
        }),
        with("another id", false, &header("webhook-id", "msg_1")),
        with("another time", false, &header("webhook-timestamp", "1")),
        with("no time", false, &header("webhook-timestamp", "now")),
        with(
            "no base64",
            false,
            &header("webhook-signature", "v1,! v1a,!"),
        ),
        with("no signature", false, &|delivery| {
            delivery.headers.remove("webhook-signature");
        }),
    ]
}

fn assert_verdicts(cases: &[Case], verifier: &Verifier) {
    for Case {
        name,
        delivery,
        genuine,
    } in cases
    {
        let verdict = verifier.verifies(&delivery.headers, &delivery.body);
        assert_eq!(verdict, *genuine, "{name}");
    }
}

fn webhook_headers(delivery: &Delivery) -> impl Iterator<Item = (&str, &str)> {
    let headers = delivery.headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| name.starts_with("webhook-"))
}

/// The system does not assign it again as long as it has other free ports.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
