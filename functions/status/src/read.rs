//! `GET /operations/{id}`.

use shared::domain::precondition::Version;
use shared::http::{Answer, ETag, Problem, Request, none_match, show};

use crate::Status;

impl Status {
    /// One read, of the head alone until there is a result that does not fit there. More for a caller who prefers to wait for the
    /// operation's end.
    pub(crate) async fn read(&self, request: &Request) -> Result<Answer, Problem> {
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
        let tag = ETag::of(&operation);
        let seen = request
            .header("if-none-match")
            .is_some_and(|header| none_match(header, Version::of(&operation)));
        let answer = if seen {
            Answer::empty(304)
                .with("etag", tag.to_string())
                .with("cache-control", "private, no-cache")
        } else {
            show(&self.store, &operation, 200, self.clock.now()).await?
        };
        Ok(match wait {
            Some(wait) => answer.with("preference-applied", wait.to_string()),
            None => answer,
        })
    }
}
