//! Benchmarks that print ratios taken in one run.
fn main() {}
