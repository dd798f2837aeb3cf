//! The `catalyst` command.
#![forbid(unsafe_code)]

use catalyst_pki::{cli, key_stores::Kinds, server, settings::Environment};
use std::process::ExitCode;

fn main() -> ExitCode {
    let commands = cli::Commands {
        key_stores: Kinds::of_this_build(),
        serve: server::serve,
        recover_token: server::recover_token,
    };
    cli::run(std::env::args_os(), Environment::of_process(), commands)
}
