//! Every example on the specification's pages `async.md`, `webhook.md` and `idempotency.md`, with
//! one test for each page.
//!
//! Examples are numbered in the order of their page: every fenced block of JSON or HTTP counts.
//! Requests are sent as the page has them, with our functions; responses are shapes with the page's
//! members and words. Where the pages contradict each other or themselves, the example has a
//! ruling, and its shape follows the ruling.

mod asynchronous;
mod idempotency;
mod webhook;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::shape::assert_shape;
use tests::world::{Response, World};

/// A page, and the examples of it that a test has covered.
struct Page {
    name: &'static str,
    examples: usize,
    covered: BTreeSet<usize>,
}

impl Page {
    const fn new(name: &'static str, examples: usize) -> Self {
        Self {
            name,
            examples,
            covered: BTreeSet::new(),
        }
    }

    fn cover(&mut self, number: usize) {
        assert!((1..=self.examples).contains(&number), "{number}");
        assert!(self.covered.insert(number), "{} {number} twice", self.name);
    }

    /// Sends the request of an example and expects it to be accepted.
    async fn request(&mut self, number: usize, world: &World, request: &Value) -> Response {
        self.cover(number);
        let answer = send(world, request).await;
        assert_eq!(
            answer.status, 200,
            "{} {number}: {}",
            self.name, answer.text
        );
        assert_eq!(answer.json["id"], request["id"]);
        answer
    }

    /// Checks an example of a response: the response has exactly these members, and each of them
    /// has at least what the example has.
    #[track_caller]
    fn response(&mut self, number: usize, shape: &Value, answer: &Response) {
        self.ruled_response(number, "as the page has it", shape, answer);
    }

    /// Checks an example of a response that a ruling changes.
    #[track_caller]
    fn ruled_response(&mut self, number: usize, ruling: &str, shape: &Value, answer: &Response) {
        let context = format!("{} {number}, {ruling}: {}", self.name, answer.text);
        let members =
            |json: &Value| -> Vec<String> { json.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(members(shape), members(&answer.json), "{context}");
        self.ruled(number, ruling, shape, &answer.json);
    }

    /// Checks an example of anything else that a ruling changes.
    #[track_caller]
    fn ruled(&mut self, number: usize, ruling: &str, shape: &Value, json: &Value) {
        self.cover(number);
        let context = format!("{} {number}, {ruling}: {json}", self.name);
        assert_shape(shape, json, &context);
    }

    /// Expects that every example was covered.
    fn is_covered(&self) {
        assert!(
            self.covered.iter().copied().eq(1..=self.examples),
            "{}",
            self.name
        );
    }
}

async fn send(world: &World, request: &Value) -> Response {
    let body = request.to_string();
    world.request("POST", "/forrst", &[], &body).await
}

/// The first member of every document.
fn protocol() -> Value {
    json!({"name": "forrst", "version": "0.1.0"})
}

/// A call of a function that takes an operation's id.
fn about(id: &str, function: &str, operation_id: &Value) -> Value {
    json!({
        "protocol": protocol(),
        "id": id,
        "call": {
            "function": function, "version": "1.0.0", "arguments": {"operation_id": operation_id},
        },
    })
}

/// The id of the operation that a call created.
fn operation_id(answer: &Response) -> Value {
    super::data(answer, "async")["operation_id"].clone()
}
