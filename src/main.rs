//! The `catalyst` command.
fn main() {}
