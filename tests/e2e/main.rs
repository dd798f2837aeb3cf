//! End-to-end tests: the real binary, over real sockets where it has any.

// A helper that panics fails its test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clock;
mod command_line;
mod deployment;
mod disk;
mod first_start;
mod inspect;
mod keys;
mod kill;
mod library;
mod race;
mod secrets;
mod shutdown;
mod startup;
mod storage;
