//! Operations, newest first: those of one owner, or of all owners of the place.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::future::try_join_all;
use serde::Serialize;
use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, Owner};
use shared::domain::time::Timestamp;
use shared::http::ETag;
use shared::request::{ListParameters, ListRequest};
use shared::store::{ListFilter, ListPage};
use shared::view::OperationView;

use crate::refusal::Refusal;
use crate::{Console, polled};

/// An operation in a list, or alone: what callers see, and what only the record says.
#[derive(Serialize)]
pub(crate) struct Row<'a> {
    owner: &'a str,
    /// For `If-Match`.
    etag: String,
    attempts_max: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<String>,
    #[serde(flatten)]
    operation: OperationView<'a>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(operation: &'a Operation, now: Timestamp) -> Self {
        let mut view = OperationView::summary(operation, now);
        // It would change at every read, so that no page would ever be the same.
        view.retry_after = None;
        Self {
            owner: operation.owner.as_str(),
            etag: ETag::of(operation).to_string(),
            attempts_max: operation.attempts_max,
            webhook_id: operation.callback.is_some().then(|| operation.webhook_id()),
            operation: view,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    operations: Vec<Row<'a>>,
    examined: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// `GET /api/list`, with the parameters of the API's list and `owner`.
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let mut parameters = ListParameters::in_query();
    let (mut owner, mut cursor) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "owner" => owner = Some(owner_of(&value)?),
            // Another one than the API's for a list of several owners.
            "cursor" => cursor = Some(value.into_owned()),
            _ => parameters.set(&name, &value),
        }
    }
    let now = console.0.clock.now();
    let (page, next_cursor) = match owner {
        Some(owner) => {
            if let Some(cursor) = cursor {
                parameters.set("cursor", &cursor);
            }
            let request = parameters.finish(&owner);
            let request = request.map_err(|errors| Refusal::of_parameters(&errors))?;
            let page = console.0.operations.list(&owner, &request).await?;
            let next = request.next_cursor(&page, &owner);
            (page, next)
        }
        None => console.list_all(parameters, cursor.as_deref()).await?,
    };
    let body = Body {
        operations: page
            .operations
            .iter()
            .map(|operation| Row::new(operation, now))
            .collect(),
        examined: page.examined,
        next_cursor,
    };
    Ok(polled(&headers, &body))
}

pub(crate) fn owner_of(text: &str) -> Result<Owner, Refusal> {
    let owner = text.parse().ok().or_else(|| Owner::new("local", text));
    owner.ok_or_else(|| Refusal::invalid("owner is not an owner's name"))
}

/// Where a list of several owners continues: everything that was created later has been shown.
struct Merged {
    at: Timestamp,
    /// The ids already shown of that millisecond. An owner has no more of one than a list examines.
    shown: Vec<OperationId>,
}

impl Merged {
    fn encode(&self) -> String {
        let shown = self.shown.iter().map(|id| format!(".{id}"));
        format!("{}{}", self.at.as_millis(), shown.collect::<String>())
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
        let shown: Result<Vec<OperationId>, _> = parts.map(str::parse).collect();
        let shown = shown.ok()?;
        Some(Self { at, shown })
    }
}

impl Console {
    /// A page of each owner, merged. An owner's page that is not their last one ends at an
    /// operation; what is older than it may be missing from the page, and is left to the next one.
    ///
    /// Of many owners, most have few operations on the page. So it first reads a few of each, and
    /// then a whole page of those who may have more on it: two reads of an owner at most.
    async fn list_all(
        &self,
        parameters: ListParameters,
        cursor: Option<&str>,
    ) -> Result<(ListPage, Option<String>), Refusal> {
        let owners = self.0.place.owners();
        // The cursor of one owner's list is not among the parameters, so any owner will do.
        let anyone = owner_of("anyone")?;
        let request = parameters.finish(&anyone);
        let ListRequest { filter, limit, .. } =
            request.map_err(|errors| Refusal::of_parameters(&errors))?;
        let merged = match cursor {
            Some(text) => Some(
                Merged::decode(text)
                    .ok_or_else(|| Refusal::invalid("cursor is not a cursor of this list"))?,
            ),
            None => None,
        };
        let filter = before(filter, merged.as_ref());
        let (from, shown) = match merged {
            Some(Merged { at, shown }) => (Some(at), shown),
            None => (None, Vec::new()),
        };
        let (store, clock, random) = (&self.0.store, &*self.0.clock, &*self.0.random);
        let few = (2 * limit)
            .div_ceil(owners.len().max(1))
            .clamp(2, limit.max(2));
        let firsts = owners
            .iter()
            .map(|owner| store.list(owner, &filter, few, None, clock, random));
        let mut pages = try_join_all(firsts).await?;
        let oldest = oldest_on_page(&pages, limit, &shown);
        // Those shown of the cursor's millisecond come first, again.
        let listed_max = limit + shown.len();
        let unfinished = pages.iter_mut().zip(&owners).filter_map(|(page, owner)| {
            // A shorter page has ended at what a read examines at most.
            let is_cut = page.operations.len() >= few;
            let next = page
                .next
                .take_if(|next| is_cut && next.created_at > oldest)?;
            Some(async {
                let rest = store.list(owner, &filter, listed_max, Some(next), clock, random);
                let rest = rest.await?;
                page.operations.extend(rest.operations);
                page.examined += rest.examined;
                page.next = rest.next;
                Ok::<_, Refusal>(())
            })
        });
        try_join_all(unfinished).await?;
        let horizon = pages.iter().filter_map(|page| page.next.as_ref());
        let horizon = horizon.map(|next| next.created_at).max();
        let examined = pages.iter().map(|page| page.examined).sum();
        let mut operations: Vec<_> = pages
            .into_iter()
            .flat_map(|page| page.operations)
            .filter(|operation| horizon.is_none_or(|at| operation.created_at >= at))
            .filter(|operation| !shown.contains(&operation.id))
            .collect();
        operations.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        let ends_at = if operations.len() > limit {
            operations.truncate(limit);
            operations.last().map(|last| last.created_at)
        } else {
            horizon
        };
        let next = ends_at.map(|at| {
            let mut shown_then: Vec<_> = operations
                .iter()
                .filter(|operation| operation.created_at == at)
                .map(|operation| operation.id.clone())
                .collect();
            if from == Some(at) {
                shown_then.extend(shown);
            }
            let shown = shown_then;
            Merged { at, shown }.encode()
        });
        let page = ListPage {
            operations,
            examined,
            next: None,
        };
        Ok((page, next))
    }
}

/// When the last operation of a page was created if no owner has more than these: no operation of
/// the page is older.
fn oldest_on_page(pages: &[ListPage], limit: usize, shown: &[OperationId]) -> Timestamp {
    let operations = pages.iter().flat_map(|page| &page.operations);
    let mut times: Vec<_> = operations
        .filter(|operation| !shown.contains(&operation.id))
        .map(|operation| operation.created_at)
        .collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let last = times.get(limit - 1);
    last.copied().unwrap_or(Timestamp::from_secs(0))
}

/// The filter of what is left of a list: what was created before, or at the same time.
fn before(filter: ListFilter, merged: Option<&Merged>) -> ListFilter {
    let Some(merged) = merged else {
        return filter;
    };
    let after = merged.at + std::time::Duration::from_millis(1);
    ListFilter {
        created_before: Some(
            filter
                .created_before
                .map_or(after, |before| before.min(after)),
        ),
        ..filter
    }
}
