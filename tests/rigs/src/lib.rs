//! Test rigs: the real binary over real sockets, and checkers that are not ours.
//!
//! A rig that is missing is an error that names the command which prepares it, never a skipped test.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod aws;
mod capnweb;
pub mod checkers;
pub mod gcp;
pub mod http;
pub mod logs;
pub mod pkcs11;
pub mod scan;
mod seed;
mod service;

pub use capnweb::{CAPNWEB_CLIENTS, capnweb_suite};
pub use seed::Seeded;
pub use service::{Launch, Service, catalyst};

use std::{env, fmt, io, path::PathBuf};

/// A rig can't do what a test wants.
#[derive(thiserror::Error)]
pub enum RigError {
    /// A program or file of the rig is not there.
    #[error("{what} is missing: run tests/run, which prepares it (for your shell: . <(tests/run --env))")]
    Missing {
        /// What is not there.
        what: String,
    },
    /// A server of the rigs does not run.
    #[error(
        "{what} does not run ({variable}): start the tests with tests/run, a part of them with tests/run COMMAND"
    )]
    NotRunning {
        /// Which one.
        what: &'static str,
        /// The variable that says where it is.
        variable: &'static str,
    },
    /// A checker found fault.
    #[error("{command} failed\n{output}")]
    Refused {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// The service ended, or did not get as far as was wanted in time.
    #[error("{what}; its log:\n{log}")]
    Service {
        /// What happened.
        what: String,
        /// The log up to then.
        log: String,
    },
    /// An answer is not what the protocol allows.
    #[error("not an HTTP answer: {0}")]
    Protocol(String),
    /// A checker's or the service's output is not of the expected form.
    #[error("unexpected output: {0}")]
    Output(String),
    /// A file can't be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket or process failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// As it is displayed: tests unwrap these, and the message says what to do.
impl fmt::Debug for RigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file that `tests/run` says the place of.
fn prepared(variable: &str) -> Result<PathBuf, RigError> {
    let set = env::var_os(variable).map(PathBuf::from);
    set.filter(|path| path.is_file())
        .ok_or_else(|| RigError::Missing { what: format!("the rig that {variable} names") })
}
