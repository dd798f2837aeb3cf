//! The command line. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.

mod arguments;
mod config;
mod policy;

use crate::{
    settings::{BackendSettings, Environment, Inputs, MadePassphrase, Settings, SettingsError, Table},
    telemetry,
};
use arguments::{Command, Output};
use secrecy::ExposeSecret as _;
use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

/// The key stores of this build, with the settings that each adds.
pub const BACKENDS: &[BackendSettings] = &[BackendSettings { name: "local", settings: &[] }];

/// Runs the service until it is told to stop. The error is a sentence for the operator.
pub type Serve = fn(Settings) -> Result<(), Box<dyn Error + Send + Sync>>;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// Runs one command line. `serve` is called with settings that were checked and with logs set up.
pub fn run(args: impl IntoIterator<Item = OsString>, environment: Environment, serve: Serve) -> ExitCode {
    let table = Table::new(BACKENDS);
    let command = match arguments::parse(&table, args, environment) {
        Ok(command) => command,
        Err(shown) => return show(&shown),
    };
    match command {
        Command::Serve(inputs) => run_service(&table, &inputs, serve),
        Command::Config(Output::Markdown, _) => print(&crate::settings::markdown(&table)),
        Command::Config(output, inputs) => match Settings::read(&table, &inputs) {
            Ok(settings) => print(&config::render(&table, &settings, output)),
            Err(error) => refuse(&error),
        },
        Command::NewPassphrase => match crate::settings::new_passphrase() {
            Ok(passphrase) => print(&format!("{}\n", passphrase.expose_secret())),
            Err(error) => fail(&error),
        },
        Command::Policy(task) => policy::run(&table, task),
        Command::Version(output) => print(&version(&table, output)),
    }
}

fn run_service(table: &Table, inputs: &Inputs, serve: Serve) -> ExitCode {
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
    outcome.map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS)
}

fn version(table: &Table, output: Output) -> String {
    let (version, backends) = (env!("CARGO_PKG_VERSION"), table.backends());
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

/// Prints a result. A reader that has gone, as `head` does, is no failure.
fn print(result: &str) -> ExitCode {
    match io::stdout().write_all(result.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

/// Help goes to standard output and is a success; anything else that clap says is wrong usage.
fn show(shown: &clap::Error) -> ExitCode {
    // Nobody is left to tell when standard error is closed, here and below.
    let _ = shown.print();
    if shown.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS }
}

fn refuse(error: &SettingsError) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(WRONG_USAGE)
}

fn fail(error: &dyn Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(FAILED)
}
