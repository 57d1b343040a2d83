//! How the service is.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::system::{HealthArguments, HealthComponent};
use shared::domain::time::Timestamp;
use shared::http::Quantity;

/// How well something does, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// As it should.
    Healthy,
    /// It serves, but not as it should.
    Degraded,
    /// It does not serve.
    Unhealthy,
}

/// The result of `fn:ping`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PingView {
    status: HealthStatus,
    timestamp: String,
}

impl PingView {
    /// Whoever can answer is healthy.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            status: HealthStatus::Healthy,
            timestamp: now.to_string(),
        }
    }
}

/// How a part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComponentHealth {
    status: HealthStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Quantity>,
}

impl ComponentHealth {
    /// A part that stands so, and took so long to say it when it did.
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
    /// The parts that were looked at; absent when the caller does not want them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    components: BTreeMap<HealthComponent, ComponentHealth>,
    timestamp: String,
}

impl HealthView {
    /// As bad as the worst of what was looked at.
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

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self.status {
            HealthStatus::Healthy | HealthStatus::Degraded => 200,
            HealthStatus::Unhealthy => 503,
        }
    }
}
