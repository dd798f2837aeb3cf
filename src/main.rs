//! The `catalyst` command.
#![forbid(unsafe_code)]

use catalyst_pki::{cli, settings::Environment};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Environment::of_process(), |_settings| {
        Err("this build cannot serve yet".into())
    })
}
