//! Wires the `submit` function and runs it.

fn main() {}
