//! Every example on the specification's pages `async.md`, `webhook.md` and `idempotency.md`, told as a story for each page.
//!
//! Examples are numbered in the order of their page: every fenced block of JSON or HTTP counts. Requests are sent as the page has
//! them, with functions of ours; responses are shapes with the page's members and words. Where the pages contradict each other or
//! themselves, the example has a ruling, and its shape is what the ruling makes of it.

mod asynchronous;
mod idempotency;
mod webhook;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::shape::assert_shape;
use tests::world::{Answer, World};

/// A page, and which of its examples have been told.
struct Page {
    name: &'static str,
    examples: usize,
    told: BTreeSet<usize>,
}

impl Page {
    /// A page with so many examples.
    const fn new(name: &'static str, examples: usize) -> Self {
        Self {
            name,
            examples,
            told: BTreeSet::new(),
        }
    }

    fn tell(&mut self, number: usize) {
        assert!((1..=self.examples).contains(&number), "{number}");
        assert!(self.told.insert(number), "{} {number} twice", self.name);
    }

    /// An example of a request, which is accepted.
    async fn request(&mut self, number: usize, world: &World, request: &Value) -> Answer {
        self.tell(number);
        let answer = send(world, request).await;
        assert_eq!(
            answer.status, 200,
            "{} {number}: {}",
            self.name, answer.text
        );
        assert_eq!(answer.json["id"], request["id"]);
        answer
    }

    /// An example of a response: it has just these members, and in each of them at least what the example has.
    #[track_caller]
    fn response(&mut self, number: usize, shape: &Value, answer: &Answer) {
        self.ruled_response(number, "as the page has it", shape, answer);
    }

    /// An example of a response that a ruling changes.
    #[track_caller]
    fn ruled_response(&mut self, number: usize, ruling: &str, shape: &Value, answer: &Answer) {
        let context = format!("{} {number}, {ruling}: {}", self.name, answer.text);
        let members =
            |json: &Value| -> Vec<String> { json.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(members(shape), members(&answer.json), "{context}");
        self.ruled(number, ruling, shape, &answer.json);
    }

    /// An example of anything else that a ruling changes.
    #[track_caller]
    fn ruled(&mut self, number: usize, ruling: &str, shape: &Value, json: &Value) {
        self.tell(number);
        let context = format!("{} {number}, {ruling}: {json}", self.name);
        assert_shape(shape, json, &context);
    }

    /// Expects that none has been forgotten.
    fn is_told(&self) {
        assert!(
            self.told.iter().copied().eq(1..=self.examples),
            "{}",
            self.name
        );
    }
}

async fn send(world: &World, request: &Value) -> Answer {
    let body = request.to_string();
    world.request("POST", "/forrst", &[], &body).await
}

/// The member that every document begins with.
fn protocol() -> Value {
    json!({"name": "forrst", "version": "0.1.0"})
}

/// A request for what the page's examples call with an operation's id.
fn about(id: &str, function: &str, operation_id: &Value) -> Value {
    json!({
        "protocol": protocol(),
        "id": id,
        "call": {"function": function, "version": "1.0.0", "arguments": {"operation_id": operation_id}},
    })
}

/// The operation that a call has become.
fn operation_id(answer: &Answer) -> Value {
    super::data(answer, "async")["operation_id"].clone()
}
