//! The table: every step of an operation as one conditional write.
//!
//! No write here reads first, but for an erase. Each carries its whole condition, asks for the old item when that fails, and tells from it what
//! happened instead: a lost race is an outcome, not an error. An answer that was lost on the way is not a lost race either: the
//! SDK sends the request again, the second meets what the first wrote, and the tokens in it say that it was ours.
//!
//! If a condition here is wrong, a late worker overwrites a terminal state; nothing above this layer would notice.

mod callback;
mod erase;
mod error;
mod expression;
mod inspect;
mod item;
mod list;
mod outcome;
mod payload;
mod read;
mod scan;
mod step;
pub mod table;
mod write;

pub use callback::{AttemptRecord, Recorded, Settlement};
pub use error::StoreError;
pub use inspect::{Inspected, InspectedHead, PayloadItem, Record};
pub use list::{ListFilter, ListPage, OwnedPage, Position};
pub use outcome::{
    CancelOutcome, Claimed, Created, EraseOutcome, Finished, Found, GivenUp, Held, Renewed,
};
pub use payload::Draft;
pub use read::Payloads;
pub use scan::{HeadsPage, ScanPosition};

/// The table that holds all operations. One for a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Store {
    /// The table of this name, reached through `client`, which sets the timeouts and retries of every call.
    #[must_use]
    pub const fn new(client: aws_sdk_dynamodb::Client, table: String) -> Self {
        Self { client, table }
    }
}
