//! Wires the `status` function and runs it.

fn main() {}
