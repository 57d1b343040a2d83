//! An owner's operations, newest first.
//!
//! The index projects keys only, so transitions do not write to it: a page is a query for keys and
//! a batch read of the heads. The index follows the table with a delay. By the time a head is read
//! it may be gone, or belong to a later incarnation; the list skips such keys.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::expression::Expression;
use super::item::{self, Item, name, text, time};
use super::table::BY_OWNER;
use super::{Store, StoreError, outcome};
use crate::clock::Clock;
use crate::domain::callback::CallbackStatus;
use crate::domain::id::OperationId;
use crate::domain::limits::{BATCH_RETRIES_MAX, BATCH_RETRY, LIST_EXAMINED_MAX};
use crate::domain::operation::{Operation, Owner};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;
use crate::random::Random;

/// Keys on a page of [`Store::owned_keys`].
const OWNED_MAX: usize = 100;
/// Before every time that can be stored or asked for.
const EARLIEST: Timestamp = Timestamp::from_millis(i64::MIN / 2);
/// After every time that can be stored or asked for.
const LATEST: Timestamp = Timestamp::from_millis(i64::MAX / 2);

/// Which operations a list shows. A filter that is `None` or empty excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    pub statuses: Vec<Status>,
    /// Excludes operations without a callback.
    pub callback_status: Option<CallbackStatus>,
    pub function: Option<String>,
    /// Exclusive.
    pub created_after: Option<Timestamp>,
    /// Exclusive.
    pub created_before: Option<Timestamp>,
}

impl ListFilter {
    /// Whether it excludes operations of the time that it spans.
    fn is_narrow(&self) -> bool {
        !self.statuses.is_empty() || self.callback_status.is_some() || self.function.is_some()
    }

    /// Whether an operation created at this time can be in the list.
    #[must_use]
    pub fn spans(&self, created_at: Timestamp) -> bool {
        let (first, last) = self.bounds();
        (first..=last).contains(&created_at)
    }

    /// The first and the last creation time in the list, both included. Times are whole
    /// milliseconds, and the filter's own bounds are exclusive.
    fn bounds(&self) -> (Timestamp, Timestamp) {
        let millisecond = Duration::from_millis(1);
        (
            self.created_after
                .map_or(EARLIEST, |after| after + millisecond),
            self.created_before
                .map_or(LATEST, |before| before - millisecond),
        )
    }
}

/// A position in a list: the last operation before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub id: OperationId,
    pub created_at: Timestamp,
}

#[derive(Debug)]
pub struct ListPage {
    /// Without external payloads.
    pub operations: Vec<Operation>,
    /// How many operations were examined for the page, at most [`LIST_EXAMINED_MAX`]. Those that
    /// the filter excludes are among them, and for a short time some that are gone.
    pub examined: usize,
    /// Where the list continues; `None` at its end.
    pub next: Option<Position>,
}

/// A page of the operations that an owner has in the table.
#[derive(Debug)]
pub struct OwnedKeysPage {
    pub keys: Vec<Position>,
    /// Where it continues; `None` at its end.
    pub next: Option<Position>,
}

impl Store {
    /// Returns up to `limit` of an owner's operations, starting at `from`. It examines at most
    /// [`LIST_EXAMINED_MAX`] keys, so a page may hold fewer operations although the list continues.
    /// Costs a query and a batch read, and once more each when some of the page's first keys were
    /// skipped.
    ///
    /// Before it retries keys that DynamoDB left unprocessed, it pauses, timed by `clock` and
    /// `random`. A key that stays unprocessed ends the page before it.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached or leaves the first key unprocessed, or a record cannot be
    /// read.
    pub async fn list(
        &self,
        owner: &Owner,
        filter: &ListFilter,
        limit: usize,
        from: Option<Position>,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<ListPage, StoreError> {
        let now = clock.now();
        let is_narrow = filter.is_narrow();
        let mut batches = Batches::new(self, clock, random);
        let mut operations = Vec::new();
        let mut next = from;
        let mut examined = 0;
        while operations.len() < limit && examined < LIST_EXAMINED_MAX {
            // Without a filter nearly every key is shown, so the first query asks for as many keys
            // as the page has room for. The second asks for all that are left to examine: otherwise
            // a page that begins with expired operations would take one query for each of them.
            let keys_max = if is_narrow || examined > 0 {
                LIST_EXAMINED_MAX - examined
            } else {
                limit.min(LIST_EXAMINED_MAX)
            };
            let (keys, ended) = self
                .list_keys(owner, filter, keys_max, next.as_ref())
                .await?;
            let Batch {
                mut heads,
                unprocessed,
            } = batches.get(&keys).await?;
            for (index, key) in keys.iter().enumerate() {
                if unprocessed.contains(key.id.as_str()) {
                    // The request for the next page reads this key and those after it again. Before
                    // the first key there is no position that a cursor could name.
                    return if examined > 0 {
                        Ok(ListPage {
                            operations,
                            examined,
                            next,
                        })
                    } else {
                        Err(StoreError::Throttled)
                    };
                }
                examined += 1;
                next = Some(key.clone());
                let Some(head) = heads.remove(key.id.as_str()) else {
                    continue;
                };
                let operation = match outcome::visible(Some(&head), now) {
                    Ok(Some(operation)) => operation,
                    // A release that writes newer formats replaces this one, or is rolled back:
                    // until then the list shows what this one can read.
                    Ok(None) | Err(StoreError::NewerFormat { .. }) => continue,
                    // A corrupt head fails the page: a list without it would hide an operation.
                    Err(error) => return Err(error),
                };
                if !shows(filter, owner, key, &operation) {
                    continue;
                }
                operations.push(operation);
                if operations.len() == limit && index + 1 < keys.len() {
                    return Ok(ListPage {
                        operations,
                        examined,
                        next,
                    });
                }
            }
            if ended {
                return Ok(ListPage {
                    operations,
                    examined,
                    next: None,
                });
            }
        }
        Ok(ListPage {
            operations,
            examined,
            next,
        })
    }

    /// A page of all keys that the index has under an owner's name, newest first: those of expired,
    /// erased and unreadable operations as well, and for a short time some that the table has no
    /// longer. One query.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or a key cannot be read.
    pub async fn owned_keys(
        &self,
        owner: &Owner,
        from: Option<&Position>,
    ) -> Result<OwnedKeysPage, StoreError> {
        let filter = ListFilter::default();
        let (keys, ended) = self.list_keys(owner, &filter, OWNED_MAX, from).await?;
        let next = keys.last().filter(|_| !ended).cloned();
        Ok(OwnedKeysPage { keys, next })
    }

    async fn list_keys(
        &self,
        owner: &Owner,
        filter: &ListFilter,
        keys_max: usize,
        from: Option<&Position>,
    ) -> Result<(Vec<Position>, bool), StoreError> {
        let mut query = Expression::default();
        let (owner_name, created_at) = (query.name(name::OWNER), query.name(name::CREATED_AT));
        let owner_value = query.value("owner", text(owner.as_str()));
        let (first, last) = filter.bounds();
        if first > last {
            return Ok((Vec::new(), true));
        }
        let (first, last) = (
            query.value("first", time(first)),
            query.value("last", time(last)),
        );
        let query = query.render();
        let start_key = from.map(|position| {
            let mut key = item::head_key(&position.id);
            key.insert(name::OWNER.to_owned(), text(owner.as_str()));
            key.insert(name::CREATED_AT.to_owned(), time(position.created_at));
            key
        });
        let sent = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_OWNER)
            .key_condition_expression(format!(
                "{owner_name} = {owner_value} AND {created_at} BETWEEN {first} AND {last}"
            ))
            .set_expression_attribute_names(Some(query.names))
            .set_expression_attribute_values(Some(query.values))
            .set_exclusive_start_key(start_key)
            .scan_index_forward(false)
            .limit(i32::try_from(keys_max).unwrap_or(i32::MAX))
            .send();
        let page = Box::pin(sent)
            .await
            .map_err(|error| StoreError::unreachable("Query", error))?;
        let ended = page.last_evaluated_key.is_none();
        let keys = page.items.unwrap_or_default();
        let positions: Result<Vec<_>, _> = keys.iter().map(item::position).collect();
        Ok((positions?, ended))
    }

    /// One batch read. Returns the items that exist, and the keys that were left unprocessed.
    async fn batch_get(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), StoreError> {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build();
        let request = request.map_err(|error| StoreError::of("BatchGetItem", error.into()))?;
        let sent = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .send();
        let page = Box::pin(sent)
            .await
            .map_err(|error| StoreError::unreachable("BatchGetItem", error))?;
        let items = page.responses.unwrap_or_default().into_values().flatten();
        let unprocessed = page.unprocessed_keys.unwrap_or_default().into_values();
        Ok((
            items.collect(),
            unprocessed.flat_map(|keys| keys.keys).collect(),
        ))
    }
}

struct Batch {
    /// The heads that exist, by operation id.
    heads: HashMap<String, Item>,
    /// The ids of the heads that could not be read.
    unprocessed: HashSet<String>,
}

/// The batch reads of one request, which share its retries.
struct Batches<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
    retries: u32,
}

impl<'a> Batches<'a> {
    const fn new(store: &'a Store, clock: &'a dyn Clock, random: &'a dyn Random) -> Self {
        Self {
            store,
            clock,
            random,
            retries: 0,
        }
    }

    /// Reads the heads of these operations. It pauses before it retries keys that are left
    /// unprocessed, as DynamoDB recommends: an immediate retry would be throttled as well (Amazon
    /// DynamoDB API Reference, `BatchGetItem`).
    async fn get(&mut self, keys: &[Position]) -> Result<Batch, StoreError> {
        let mut heads = HashMap::new();
        // For a short time the index may have one id twice, in two incarnations, and a batch may
        // not name a key twice.
        let ids: BTreeSet<_> = keys.iter().map(|key| &key.id).collect();
        let mut pending: Vec<_> = ids.into_iter().map(item::head_key).collect();
        while !pending.is_empty() {
            let (read, unprocessed) = self.store.batch_get(pending).await?;
            for head in read {
                if let Some(pk) = id_of(&head) {
                    heads.insert(pk.to_owned(), head);
                }
            }
            pending = unprocessed;
            if pending.is_empty() || self.retries == BATCH_RETRIES_MAX {
                break;
            }
            self.retries += 1;
            let pause = BATCH_RETRY.delay(self.retries, self.random.fraction());
            self.clock.sleep_until(self.clock.now() + pause).await;
        }
        let unprocessed = pending
            .iter()
            .filter_map(id_of)
            .map(str::to_owned)
            .collect();
        Ok(Batch { heads, unprocessed })
    }
}

fn id_of(item: &Item) -> Option<&str> {
    let pk = item.get(name::PK)?.as_s().ok()?;
    Some(pk)
}

fn shows(filter: &ListFilter, owner: &Owner, key: &Position, operation: &Operation) -> bool {
    let status = operation.status();
    // The index may still hold the key of an earlier incarnation.
    operation.owner == *owner
        && operation.created_at == key.created_at
        && (filter.statuses.is_empty() || filter.statuses.contains(&status))
        && filter.callback_status.is_none_or(|wanted| {
            let callback = operation.callback.as_ref();
            callback.is_some_and(|callback| callback.status(status) == wanted)
        })
        && filter
            .function
            .as_ref()
            .is_none_or(|function| operation.function == *function)
}
