//! The `catalyst` command.
#![forbid(unsafe_code)]

use catalyst_pki::{cli, server, settings::Environment};
use std::process::ExitCode;

fn main() -> ExitCode {
    let commands = cli::Commands { serve: server::serve, recover_token: server::recover_token };
    cli::run(std::env::args_os(), Environment::of_process(), commands)
}
