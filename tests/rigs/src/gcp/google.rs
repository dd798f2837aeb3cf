//! A client of Cloud KMS that is not ours: Google's own, in Python.

use super::FakeKms;
use crate::{RigError, checkers::run, prepared};
use std::{path::Path, process::Command};

/// Runs a script that uses Google's client on the fake, with the endpoint as its argument, and gives what it printed.
/// The machine's credentials are the fake's.
///
/// # Errors
/// `tests/run` has not prepared the client; the script failed, and the error shows what it printed.
pub fn google_client(script: &Path, fake: &FakeKms) -> Result<String, RigError> {
    let python = prepared("CATALYST_RIG_GCP_PYTHON")?;
    let mut command = Command::new(python);
    command.arg("-I").arg(script).arg(fake.endpoint());
    run(command
        .env("GCE_METADATA_HOST", fake.address().to_string())
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS"))
}
