//! A client of Cloud KMS that is not ours: Google's own, in Python.

use crate::{RigError, checkers::run, prepared};
use std::{path::Path, process::Command};

/// Runs a script that uses Google's client, with the endpoint as its argument, and gives what it printed.
///
/// # Errors
/// `tests/run` has not prepared the client; the script failed, and the error shows what it printed.
pub fn google_client(script: &Path, endpoint: &str) -> Result<String, RigError> {
    let python = prepared("CATALYST_RIG_GCP_PYTHON")?;
    // A credential of the machine is none of the fake's business.
    run(Command::new(python).arg("-I").arg(script).arg(endpoint).env_remove("GOOGLE_APPLICATION_CREDENTIALS"))
}
