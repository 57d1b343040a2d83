//! Wires the `worker` function and runs it.

fn main() {}
