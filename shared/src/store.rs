//! The table: every step of an operation as one conditional write.
//!
//! Of this module's methods, only an erase reads before it writes. Every write to a head carries
//! its whole condition and asks for the old item when the condition fails. The old item shows what
//! happened instead: a lost race is an outcome, not an error. A lost response is not a lost race
//! either: the SDK retries the request, the retry finds what the first request wrote, and the
//! tokens in it show that the write was ours. Payload items are put once, under a random key; only
//! their expiry is ever updated. They are deleted without a condition.
//!
//! If a condition here is wrong, a late worker overwrites a terminal state, and no layer above this
//! one would notice.
//!
//! - `step`: the steps of the state machine: create, claim, renew, outcome, give up, cancel
//! - `callback`: records a callback's attempts and starts its rounds
//! - `erase`: marks the head, deletes the payload items, leaves the tombstone
//! - `read`, `list`, `scan`, `inspect`: one operation, an owner's operations, every operation, and
//!   all that is stored under an id
//! - `outcome`: what became of a write, derived from the item that refused it
//! - `expression`: the conditions and updates, built from the transition table
//! - `item`: an operation as an item; the attributes' names are spelled here only
//! - `payload`: arguments, metadata, states and results, in the head or in items
//! - `history`: the attempts on record, within the head's room
//! - `write`: sends an update
//! - `table`: keys, index and TTL

mod callback;
mod erase;
mod error;
mod expression;
mod history;
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

pub use callback::{AttemptRecord, RecordOutcome};
pub use error::StoreError;
pub use inspect::{Inspected, InspectedHead, PayloadItem, Record};
pub use list::{ListFilter, ListPage, OwnedKeysPage, Position};
pub use outcome::{
    CancelOutcome, ClaimOutcome, CreateOutcome, EraseOutcome, FinishOutcome, GiveUpOutcome, Held,
    Lookup, RenewOutcome,
};
pub use payload::Draft;
pub use read::Payloads;
pub(crate) use read::parsed_version;
pub use scan::{ScanPage, ScanPosition};

/// The table that holds all operations. One for each process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Store {
    /// `client` sets the timeouts and retries of every call.
    #[must_use]
    pub const fn new(client: aws_sdk_dynamodb::Client, table: String) -> Self {
        Self { client, table }
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}
