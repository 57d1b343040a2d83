//! `GET /operations`.

use shared::http::{Answer, ListRequest, Problem, Request, list_body};

use crate::Status;

impl Status {
    /// See [`shared::store::Store::list`].
    pub(crate) async fn list(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let list = ListRequest::parse(&request.query, owner)?;

        let page = self
            .operations
            .list(owner, &list.filter, list.limit, list.from.clone())
            .await?;

        let body = list_body(&page, &list, owner, self.clock.now());
        Ok(Answer::json(200, body).with("cache-control", "private, no-cache"))
    }
}
