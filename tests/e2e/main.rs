//! End-to-end tests: the real binary, over real sockets where it has any.

// A helper that panics fails its test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod auth_cli;
mod bad_csr;
mod bad_requests;
mod bootstrap;
mod checkers;
mod clock;
mod command_line;
mod credentials;
mod csr;
mod denial;
mod deployment;
mod disk;
mod first_start;
mod hierarchy;
mod hostile;
mod https;
mod inspect;
mod issuing;
mod keys;
mod kill;
mod library;
mod mutual_tls;
mod openings;
mod pki;
mod policy;
mod process;
mod public_endpoints;
mod race;
mod readme;
mod recover;
mod renewal;
mod rotation;
mod secrets;
mod shutdown;
mod startup;
mod storage;
mod system_token;
mod tls;
mod tokens;
mod x509;
