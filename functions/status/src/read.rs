//! `GET /operations/{id}`.

use shared::http::{Answer, ETag, IfNoneMatch, Problem, Request, show};

use crate::Status;

impl Status {
    /// One read, of the head alone until there is a result that does not fit there.
    pub(crate) async fn read(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let now = self.clock.now();

        let operation = self.store.get_for(&id, owner, now).await?;

        let operation = operation.ok_or_else(Problem::no_such_operation)?;
        let tag = ETag::of(&operation);
        let seen = request
            .header("if-none-match")
            .is_some_and(|header| IfNoneMatch::parse(header).matches(&tag));
        if seen {
            let answer = Answer::empty(304).with("etag", tag.to_string());
            return Ok(answer.with("cache-control", "private, no-cache"));
        }
        Ok(show(&self.store, &operation, 200, now).await?)
    }
}
