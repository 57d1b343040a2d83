//! What somebody who runs Ferry needs besides its API, mostly at night: messages for what has lost them, a look at everything that
//! is stored of an operation, and the end of everything that an owner has.
//!
//! All of it goes through the store and the queues of [`shared`], so that it keeps the rules that the functions keep, and is safe
//! while they run. Unlike them it has a person's credentials and time: it may read a whole table, and wait.

pub mod erase;
mod pace;
pub mod requeue;
pub mod services;
pub mod show;
