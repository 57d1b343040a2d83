//! `GET /operations/{id}`.

use shared::domain::precondition::Version;
use shared::http::{ETag, Problem, Request, RequestError, Response, none_match};

use crate::Handler;

impl Handler {
    /// One read, of the head alone, until there is a result that does not fit in it. More reads for
    /// a caller who prefers to wait for the operation's end.
    pub(crate) async fn read(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let wait = request.wait();
        let now = self.clock.now();

        let operation = self.operations.read(&id, owner).await?;

        let operation = operation.ok_or_else(Problem::no_such_operation)?;
        let operation = match wait {
            Some(wait) => self.operations.wait(operation, now + wait.time()).await,
            None => operation,
        };
        let is_known = request
            .header("if-none-match")
            .is_some_and(|header| none_match(header, Version::of(&operation)));
        let response = if is_known {
            Response::empty(304)
                .with("etag", ETag::of(&operation).to_string())
                .with("cache-control", "private, no-cache")
        } else {
            self.show(&operation, 200).await?
        };
        Ok(match wait {
            Some(wait) => response.with("preference-applied", wait.to_string()),
            None => response,
        })
    }
}
