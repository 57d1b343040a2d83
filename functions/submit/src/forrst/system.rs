//! The protocol's own functions: they answer at once and make no operation.

use std::collections::BTreeMap;

use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, Owner};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::store::Cancelled;
use shared::telemetry::{audit, chain, record_operation_id};

use super::Context;
use super::protocol::{
    CancelView, CapabilitiesView, ComponentHealth, DescribeView, ErrorObject, Errors,
    HealthArguments, HealthComponent, HealthStatus, HealthView, ListView, PingView, Response,
    StatusView, SystemCall,
};

use crate::Submit;

impl Submit {
    /// What REST's routes cost; nothing for what stands in the code; a request for each part that is looked at.
    pub(super) async fn system(
        &self,
        context: &Context<'_>,
        owner: &Owner,
        call: SystemCall,
    ) -> Result<Response, Errors> {
        let echo = context.echo.clone();
        let now = self.clock.now();
        Ok(match call {
            SystemCall::Status(id) => {
                record_operation_id(&id);
                let operation = self.operations.read(&id, owner).await?;
                let operation = operation.ok_or_else(ErrorObject::no_such_operation)?;
                let payloads = self.store.payloads(&operation, now).await?;
                let payloads = payloads.ok_or_else(ErrorObject::no_such_operation)?;
                let (metadata, result) = (&payloads.metadata, payloads.result.as_ref());
                let view = StatusView::whole(&operation, metadata, result, now);
                Response::view(echo, &view)
            }
            SystemCall::Cancel(id) => {
                record_operation_id(&id);
                let cancelled = self.cancel(&id, owner, now).await;
                let refused = cancelled.as_ref().err().map(Errors::code);
                audit("cancel", &id, owner, refused);
                Response::view(echo, &CancelView::new(&*cancelled?))
            }
            SystemCall::List(list) => {
                let page = self
                    .operations
                    .list(owner, &list.filter, list.limit, list.from.clone())
                    .await?;
                Response::view(echo, &ListView::new(&page, &list, owner, now))
            }
            SystemCall::Ping => Response::view(echo, &PingView::new(now)),
            SystemCall::Capabilities => {
                Response::view(echo, &CapabilitiesView::new(self.catalogue))
            }
            SystemCall::Describe(arguments) => {
                Response::view(echo, &DescribeView::find(&arguments, self.catalogue)?)
            }
            SystemCall::Health(arguments) => {
                let view = Box::pin(self.health(&arguments)).await;
                Response::view(echo, &view).with_status(view.http_status())
            }
        })
    }

    async fn cancel(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Box<Operation>, Errors> {
        match self
            .operations
            .cancel(id, owner, &Preconditions::NONE, now)
            .await?
        {
            // By this call, though its answer may have been lost and the store asked again: the time is this call's own.
            Cancelled::Cancelled { operation, by_us }
                if by_us || operation.cancelled_at() == Some(now) =>
            {
                Ok(operation)
            }
            Cancelled::Cancelled { operation, .. } | Cancelled::Ended(operation) => {
                let (id, status) = (operation.id.as_str(), operation.status().as_str());
                Err(ErrorObject::cannot_cancel(id, status).into())
            }
            Cancelled::Absent | Cancelled::OtherVersion => {
                Err(ErrorObject::no_such_operation().into())
            }
        }
    }

    /// Looks at the parts; nothing else ever does.
    async fn health(&self, arguments: &HealthArguments) -> HealthView {
        let asked_for = |component| arguments.component.is_none_or(|only| only == component);
        let (database, queue) = futures_util::join!(
            async {
                if asked_for(HealthComponent::Database) {
                    Some(self.look(self.store.check_reachable()).await)
                } else {
                    None
                }
            },
            async {
                if asked_for(HealthComponent::Queue) {
                    Some(self.look(self.dispatch.check_reachable()).await)
                } else {
                    None
                }
            }
        );
        let components: BTreeMap<_, _> = [
            (HealthComponent::Database, database),
            (HealthComponent::Queue, queue),
        ]
        .into_iter()
        .filter_map(|(component, health)| Some((component, health?)))
        .collect();
        HealthView::new(arguments, components, self.clock.now())
    }

    async fn look<E: std::error::Error>(
        &self,
        look: impl Future<Output = Result<(), E>>,
    ) -> ComponentHealth {
        let start = self.clock.now();
        match look.await {
            Ok(()) => {
                let latency = self.clock.now().since(start);
                ComponentHealth::new(HealthStatus::Healthy, Some(latency))
            }
            Err(error) => {
                tracing::error!("{}", chain(&error));
                ComponentHealth::new(HealthStatus::Unhealthy, None)
            }
        }
    }
}
