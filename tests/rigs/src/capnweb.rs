//! Clients of Cap'n Web that are not ours: the reference implementation (npm `capnweb`), run by Node.

use crate::{
    RigError,
    checkers::{printed, start},
};
use serde_json::Value;
use std::{env, path::Path, process::Command};

/// The clients that `tests/rpc/package.json` names: the version that is deployed, and the newest.
pub const CAPNWEB_CLIENTS: [&str; 2] = ["capnweb-0.4", "capnweb-0.12"];

/// Runs a suite of `tests/rpc` with one of the clients, and gives what it printed. `input` is what the suite is told:
/// where the service is, and with which credentials; `ca` is a root (PEM) that it trusts beside the world's.
///
/// # Errors
/// Node or the clients are missing; a check of the suite failed, and the error shows all of them.
pub fn capnweb_suite(
    suite: &Path,
    client: &str,
    input: &Value,
    ca: Option<&Path>,
) -> Result<String, RigError> {
    let missing =
        || RigError::Missing { what: "the Cap'n Web client (CATALYST_RIG_CAPNWEB is not set)".into() };
    let clients = env::var_os("CATALYST_RIG_CAPNWEB").ok_or_else(missing)?;
    let mut command = Command::new("node");
    command.arg(suite).env("CAPNWEB_CLIENTS", clients).env("CAPNWEB_CLIENT", client);
    if let Some(ca) = ca {
        command.env("NODE_EXTRA_CA_CERTS", ca);
    }
    // Not among the arguments, for there are tokens in it.
    let output = start(command.env("CAPNWEB_INPUT", input.to_string()))?;
    let printed = printed(&output);
    if output.status.success() {
        return Ok(printed);
    }
    Err(RigError::Refused { command: format!("node {} with {client}", suite.display()), output: printed })
}
