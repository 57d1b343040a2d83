//! Starts the bundle.

fn main() {}
