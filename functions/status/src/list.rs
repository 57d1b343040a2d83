//! `GET /operations`.

use shared::http::{Request, RequestError, Response, list_body, list_request};

use crate::Handler;

impl Handler {
    pub(crate) async fn list(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let list = list_request(&request.query, owner)?;

        let page = self.operations.list(owner, &list).await?;

        let body = list_body(&page, &list, owner, self.clock.now());
        Ok(Response::json(200, body).with("cache-control", "private, no-cache"))
    }
}
