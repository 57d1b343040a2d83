//! The protocol's own functions: they respond at once and create no operation.

use std::collections::BTreeMap;

use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, Owner};
use shared::domain::precondition::Preconditions;
use shared::operations::{CancelOutcome, RepeatedCancel};
use shared::telemetry::{chain, record_operation_id};

use super::protocol::{
    CancelView, CapabilitiesView, ComponentHealth, ErrorObject, ForrstResponse, HealthArguments,
    HealthComponent, HealthStatus, HealthView, ListView, PingView, StatusView, SystemCall,
    describe,
};
use super::{CallError, Context};
use crate::Handler;

impl Handler {
    /// Costs what REST's routes do; a health check one request for each part; nothing for what the
    /// code knows.
    pub(super) async fn system(
        &self,
        context: &Context<'_>,
        owner: &Owner,
        call: SystemCall,
    ) -> Result<ForrstResponse, CallError> {
        let echo = context.echo.clone();
        let now = self.clock.now();
        Ok(match call {
            SystemCall::Status(id) => {
                record_operation_id(&id);
                let operation = self.operations.read(&id, owner).await?;
                let operation = operation.ok_or_else(ErrorObject::no_such_operation)?;
                let payloads = self.operations.payloads(&operation).await?;
                let payloads = payloads.ok_or_else(ErrorObject::no_such_operation)?;
                ForrstResponse::view(echo, &StatusView::whole(&operation, &payloads, now))
            }
            SystemCall::Cancel(id) => {
                record_operation_id(&id);
                let operation = self.cancel(&id, owner).await?;
                ForrstResponse::view(echo, &CancelView::new(&operation))
            }
            SystemCall::List(list) => {
                let page = self.operations.list(owner, &list).await?;
                ForrstResponse::view(echo, &ListView::new(&page, &list, owner, now))
            }
            SystemCall::Ping => ForrstResponse::view(echo, &PingView::new(now)),
            SystemCall::Capabilities => {
                ForrstResponse::view(echo, &CapabilitiesView::new(self.catalogue))
            }
            SystemCall::Describe(arguments) => {
                ForrstResponse::view(echo, &describe(&arguments, self.catalogue)?)
            }
            SystemCall::Health(arguments) => {
                let view = Box::pin(self.health(&arguments)).await;
                ForrstResponse::view(echo, &view).with_status(view.http_status())
            }
        })
    }

    async fn cancel(&self, id: &OperationId, owner: &Owner) -> Result<Box<Operation>, CallError> {
        let (preconditions, repeated) = (&Preconditions::NONE, RepeatedCancel::Fails);
        let outcome = self.operations.cancel(id, owner, preconditions, repeated);
        let error = match outcome.await? {
            CancelOutcome::Cancelled { operation, .. } => return Ok(operation),
            CancelOutcome::Ended(operation) => {
                let status = operation.status().as_str();
                ErrorObject::cannot_cancel(operation.id.as_str(), status)
            }
            CancelOutcome::Absent | CancelOutcome::PreconditionFailed => {
                ErrorObject::no_such_operation()
            }
        };
        Err(error.into())
    }

    /// Checks the parts that the caller asks for; no other request checks them.
    async fn health(&self, arguments: &HealthArguments) -> HealthView {
        let asked_for = |component| arguments.component.is_none_or(|only| only == component);
        let (database, queue) = futures_util::join!(
            async {
                if asked_for(HealthComponent::Database) {
                    Some(self.check(self.store.check_reachable()).await)
                } else {
                    None
                }
            },
            async {
                if asked_for(HealthComponent::Queue) {
                    Some(self.check(self.dispatch.check_reachable()).await)
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

    async fn check<E: std::error::Error>(
        &self,
        check: impl Future<Output = Result<(), E>>,
    ) -> ComponentHealth {
        let start = self.clock.now();
        match check.await {
            Ok(()) => {
                let latency = self.clock.now().since(start);
                ComponentHealth::new(HealthStatus::Healthy, Some(latency))
            }
            Err(error) => {
                tracing::error!("health check failed: {}", chain(&error));
                ComponentHealth::new(HealthStatus::Unhealthy, None)
            }
        }
    }
}
