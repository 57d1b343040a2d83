//! `GET /operations`.

use shared::http::{Answer, ListRequest, Problem, Request, list_body};

use crate::Status;

impl Status {
    /// A query and a batch read for each 100 operations examined.
    pub(crate) async fn list(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let list = ListRequest::parse(&request.query, owner)?;
        let now = self.clock.now();

        let page = self
            .store
            .list(owner, &list.filter, list.limit, list.from.clone(), now)
            .await?;

        let body = list_body(&page, &list, owner, now);
        Ok(Answer::json(200, body).with("cache-control", "private, no-cache"))
    }
}
