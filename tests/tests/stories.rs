//! Stories: the real handlers on the embedded store and queues. Each test advances the clock and
//! delivers the messages.

#![expect(
    clippy::large_futures,
    reason = "a test's futures live on its own thread"
)]

mod audit;
mod bad_input;
mod batches;
mod busy_work;
mod call_order;
mod callbacks;
mod checksums;
mod console;
mod costs;
mod dead_letters;
mod deferrals;
mod expiry;
mod failures;
mod forrst;
mod groups;
mod interleavings;
mod lifecycle;
mod long_outages;
mod long_work;
mod mcp;
mod messages;
mod metrics;
mod neighbours;
mod owners;
mod permissions;
mod preconditions;
mod privacy;
mod redrive;
mod rotation;
mod routes;
mod starts;
mod store_outages;
mod targets;
mod traces;
mod upgrades;
mod waits;
mod wake_ups;
mod work;
