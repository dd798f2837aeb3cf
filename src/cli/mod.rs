//! The command line. What its exit codes mean stands in `exit`.

mod arguments;
mod audit;
mod audit_verify;
mod backend;
mod backup;
mod ca;
mod cert;
mod config;
mod confirm;
mod exit;
mod export;
mod files;
mod identity;
mod interrupt;
mod key;
mod keys;
mod manual;
mod output;
mod pages;
mod policy;
mod recovery;
mod session;
mod status;
mod token;

use crate::{
    access::RecoveredToken,
    key_stores::Kinds,
    settings::{Environment, Inputs, MadePassphrase, Settings, SettingsError, Table},
    telemetry,
};
use arguments::{Command, Output};
use exit::{FAILED, WRONG_USAGE};
use output::print;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use secrecy::ExposeSecret as _;
use std::{error::Error, ffi::OsString, process::ExitCode};
use zeroize::Zeroizing;

/// Why a command that works on the data directory failed: a sentence for the operator.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs the service until it is told to stop.
pub type Serve = fn(Settings, Kinds) -> Result<(), Failure>;

/// Makes a new system token while no service runs.
pub type RecoverToken = fn(Settings, Kinds) -> Result<RecoveredToken, Failure>;

/// What needs the whole service; the rest of the command line is a client.
#[derive(Clone, Debug)]
pub struct Commands {
    /// The kinds of key stores that there are.
    pub key_stores: Kinds,
    /// `catalyst serve`
    pub serve: Serve,
    /// `catalyst token recover`
    pub recover_token: RecoverToken,
}

/// Runs one command line. `commands` are called with settings that were checked, and `serve` with logs set up.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: Environment,
    commands: Commands,
) -> ExitCode {
    let Commands { key_stores, serve, recover_token } = commands;
    let table = key_stores.table();
    let command = match arguments::parse(&table, args, environment) {
        Ok(command) => command,
        Err(shown) => return show(&shown),
    };
    match command {
        Command::Serve(inputs) => run_service(&table, &inputs, |settings| serve(settings, key_stores)),
        Command::Config(Output::Markdown, _) => print(&crate::settings::markdown(&table)),
        Command::Config(output, inputs) => match Settings::read(&table, &inputs) {
            Ok(settings) => print(&config::render(&table, &settings, output)),
            Err(error) => refuse(&error),
        },
        Command::NewPassphrase(output) => match crate::settings::new_passphrase() {
            Ok(passphrase) => print(&shown_passphrase(passphrase.expose_secret(), output)),
            Err(error) => fail(&error),
        },
        Command::Completions(shell) => print(&manual::completions(&table, shell)),
        Command::Manual(pages) => manual::run(&table, pages).unwrap_or_else(|error| exit::report(&error)),
        Command::Policy(task) => policy::run(&table, task),
        Command::CheckBackends(check, output) => backend::check::run(&key_stores, &table, &check, output),
        Command::Backup(task, output) => {
            keep_memory();
            backup::run(&key_stores, &table, task, output)
        }
        Command::Keys(task, output) => {
            keep_memory();
            keys::run(&table, task, output)
        }
        Command::Version(output) => print(&version(&table, output)),
        Command::RecoverToken { inputs, print, output } => {
            show_recovered(&table, &inputs, print, output, |settings| recover_token(settings, key_stores))
        }
        Command::Ask(access, request, output) => session::run(*access, request, output),
    }
}

/// What keys, identities and passphrases pass through goes into no core dump, and no debugger of the same user reads it.
fn keep_memory() {
    // Where it can't be had, the work goes on: whoever can read this process's memory can read the files, too.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

fn show_recovered(
    table: &Table,
    inputs: &Inputs,
    show: bool,
    output: Output,
    recover: impl FnOnce(Settings) -> Result<RecoveredToken, Failure>,
) -> ExitCode {
    let settings = Settings::read(table, inputs).and_then(|mut settings| {
        // One that is missing is an error below: there is nothing to recover without the store's keys.
        if settings.certs_db.exists() {
            settings.secure_passphrase()?;
        }
        Ok(settings)
    });
    let made = match settings {
        Ok(settings) => recover(settings),
        Err(error) => return refuse(&error),
    };
    let RecoveredToken { token, path, is_beside_earlier } = match made {
        Ok(made) => made,
        Err(error) => {
            output::error(&error.to_string());
            return exit::code_of_start(&error);
        }
    };
    let path = path.display().to_string();
    let token = show.then(|| token.expose_secret());
    let printed = match output {
        Output::Json => print(&format!("{}\n", serde_json::json!({"path": path, "token": token}))),
        Output::Text | Output::Markdown => print(&format!("{}\n", token.unwrap_or(&path))),
    };
    if is_beside_earlier {
        output::hint(
            "earlier system tokens stay good until they end: find them with 'catalyst auth token list', and revoke those that others may hold",
        );
    }
    printed
}

fn run_service(
    table: &Table,
    inputs: &Inputs,
    serve: impl FnOnce(Settings) -> Result<(), Failure>,
) -> ExitCode {
    let started = Settings::read(table, inputs).and_then(|mut settings| {
        let made = settings.secure_passphrase()?;
        Ok((settings, made))
    });
    let (settings, made) = match started {
        Ok(started) => started,
        Err(error) => return refuse(&error),
    };
    let log = match telemetry::init_logs(settings.log_format, settings.log_level) {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    if let Some(MadePassphrase(path)) = made {
        tracing::warn!(
            target: "catalyst.pki",
            path = %path.display(),
            "Passphrase of local keys generated — it lies in clear beside them, for development only"
        );
    }
    let outcome = serve(settings);
    if let Err(error) = &outcome {
        tracing::error!(target: "catalyst.pki", error = %error, "Service stopped");
    }
    drop(log);
    outcome.map_or_else(|error| exit::code_of_start(&error), |()| ExitCode::SUCCESS)
}

fn shown_passphrase(passphrase: &str, output: Output) -> Zeroizing<String> {
    Zeroizing::new(match output {
        Output::Json => format!("{}\n", serde_json::json!({ "passphrase": passphrase })),
        Output::Text | Output::Markdown => format!("{passphrase}\n"),
    })
}

fn version(table: &Table, output: Output) -> String {
    let (version, backends) = (env!("CARGO_PKG_VERSION"), table.backend_names());
    match output {
        Output::Json => {
            let fields = serde_json::json!({"name": "catalyst", "version": version, "backends": backends});
            format!("{fields}\n")
        }
        Output::Text | Output::Markdown => {
            format!("catalyst {version}\nkey stores: {}\n", backends.join(", "))
        }
    }
}

/// Help goes to standard output and is a success; anything else that clap says is wrong usage.
fn show(shown: &clap::Error) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = shown.print();
    if shown.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS }
}

fn refuse(error: &SettingsError) -> ExitCode {
    output::error(&error.to_string());
    ExitCode::from(WRONG_USAGE)
}

fn fail(error: &dyn Error) -> ExitCode {
    output::error(&error.to_string());
    ExitCode::from(FAILED)
}
