//! The bundle on one machine: store, queues, gateway and the four function processes.

pub mod sqs;
