//! `GET /operations/{id}`.

use shared::domain::precondition::Version;
use shared::http::{
    ETag, Problem, Request, RequestError, Response, includes_arguments, none_match, show,
};

use crate::Handler;

impl Handler {
    /// One read, of the head alone, until there is a result that does not fit in it, and one more
    /// for arguments that are asked for and do not. More reads for a caller who prefers to wait for
    /// the operation's end.
    pub(crate) async fn read(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let with_arguments = includes_arguments(&request.query)?;
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
        } else if with_arguments {
            let payloads = self.operations.payloads_with_arguments(&operation).await?;
            let payloads = payloads.ok_or_else(Problem::no_such_operation)?;
            show(&operation, &payloads, 200, self.clock.now())
        } else {
            self.show(&operation, 200).await?
        };
        Ok(match wait {
            Some(wait) => response.with("preference-applied", wait.to_string()),
            None => response,
        })
    }
}
