//! End-to-end tests: the real binary, over real sockets where it has any.

// A helper that panics fails its test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_csr;
mod bad_requests;
mod command_line;
mod credentials;
mod csr;
mod deployment;
mod first_start;
mod hostile;
mod inspect;
mod issuing;
mod kill;
mod library;
mod pki;
mod process;
mod race;
mod x509;
