//! What an operator needs besides the API: replace lost messages, redrive many failed operations,
//! show everything that is stored for an operation, erase everything that belongs to an owner, and
//! check a functions file.
//!
//! It uses the store and the queues of [`shared`], so it follows the functions' rules and is safe
//! while they run. Unlike the functions it has a person's credentials and time: it may read a
//! whole table, and wait.

pub mod check;
pub mod erase;
mod pace;
pub mod redrive;
pub mod requeue;
pub mod services;
pub mod show;
