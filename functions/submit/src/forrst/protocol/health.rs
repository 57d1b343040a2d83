//! The results of `fn:ping` and `fn:health`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::{HealthArguments, HealthComponent};
use shared::domain::time::Timestamp;
use shared::view::Quantity;

/// Whether something works. The best comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// It works with restrictions.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// The result of `fn:ping`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PingView {
    status: HealthStatus,
    timestamp: String,
}

impl PingView {
    /// A service that answers is healthy.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            status: HealthStatus::Healthy,
            timestamp: now.to_string(),
        }
    }
}

/// Whether a part of the service works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComponentHealth {
    status: HealthStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Quantity>,
}

impl ComponentHealth {
    /// `latency` is how long the check took; `None` when it failed.
    #[must_use]
    pub fn new(status: HealthStatus, latency: Option<Duration>) -> Self {
        Self {
            status,
            latency: latency.map(Quantity::of),
        }
    }
}

/// The result of `fn:health`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HealthView {
    status: HealthStatus,
    /// The parts that were checked; absent when the caller does not want them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    components: BTreeMap<HealthComponent, ComponentHealth>,
    timestamp: String,
}

impl HealthView {
    /// The worst status of the components is the status of the service.
    #[must_use]
    pub fn new(
        arguments: &HealthArguments,
        components: BTreeMap<HealthComponent, ComponentHealth>,
        now: Timestamp,
    ) -> Self {
        let worst = components.values().map(|component| component.status).max();
        Self {
            status: worst.unwrap_or(HealthStatus::Healthy),
            components: if arguments.include_details {
                components
            } else {
                BTreeMap::new()
            },
            timestamp: now.to_string(),
        }
    }

    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self.status {
            HealthStatus::Healthy | HealthStatus::Degraded => 200,
            HealthStatus::Unhealthy => 503,
        }
    }
}
