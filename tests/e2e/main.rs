//! End-to-end tests: the real binary, over real sockets where it has any.

// A helper that panics fails its test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command_line;
mod deployment;
mod first_start;
mod inspect;
mod kill;
mod library;
mod race;
