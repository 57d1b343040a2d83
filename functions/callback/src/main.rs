//! Wires the `callback` function and runs it.

fn main() {}
