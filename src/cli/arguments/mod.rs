//! From arguments to a command. The flags of `serve` and `config` are the table's.

mod auth;
mod backend;
mod backup;
mod client;
mod paths;
mod pki;
mod policy;
#[cfg(test)]
mod tests;

pub(super) use auth::{TokenFilter, TokenInput};
pub(super) use client::Access;
pub(super) use pki::{
    AuditFilter, BundleRequest, CaRequest, CertFilter, CertRequest, Curve, Export, Generate, IdentityRequest,
    Revoke, SignCsr,
};

use crate::{
    api,
    settings::{Environment, Fallback, Inputs, Kind, Setting, Table},
};
use clap::{
    Arg, ArgAction, ArgMatches, ValueHint, builder::PossibleValuesParser, error::ErrorKind, value_parser,
};
use clap_complete::Shell;
use client::Line;
use std::{ffi::OsString, path::Path, path::PathBuf};

/// After a command's own options, and before `--help`.
const LAST: usize = 998;

/// What the operator wants done.
#[derive(Debug)]
pub(super) enum Command {
    Serve(Inputs),
    Config(Output, Inputs),
    Version(Output),
    NewPassphrase(Output),
    Completions(Shell),
    Manual(Pages),
    Policy(super::policy::Task),
    CheckBackends(super::backend::check::Check, Output),
    Backup(super::backup::Task, Output),
    Keys(super::keys::Task, Output),
    /// Makes a new system token while no service runs; `print`: shows it, too.
    RecoverToken {
        inputs: Inputs,
        print: bool,
        output: Output,
    },
    /// Asks a service.
    Ask(Box<Access>, Request, Output),
}

/// What a service is asked.
#[derive(Debug)]
pub(super) enum Request {
    Mint(Box<api::MintRequest>),
    Verify {
        input: TokenInput,
        audience: Option<String>,
    },
    Revoke(api::RevokeTokensRequest),
    ListTokens(TokenFilter),
    ListKeys,
    /// `yes`: without asking.
    RotateKey {
        how: api::RotateKeyRequest,
        yes: bool,
    },
    Audit(AuditFilter),
    Init(api::InitializeRequest),
    Status,
    Ca(CaRequest),
    ConfirmRecovery,
    ReconcileKeys,
    RetryKeys(api::RetryRequest),
    /// With the file of the heads that were kept, and the directory of the sealed files.
    VerifyAudit {
        heads: Option<PathBuf>,
        sealed: Option<PathBuf>,
    },
    Cert(CertRequest),
    Export(super::export::Export),
    Identity(IdentityRequest),
}

/// Where manual pages go: into a directory, or the main one to standard output.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) directory: Option<PathBuf>,
    pub(super) force: bool,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Text,
    Json,
    Markdown,
}

/// Parses a command line, whose first word is the program's name.
///
/// # Errors
/// Help, which the caller prints; or wrong usage.
pub(super) fn parse(
    table: &Table,
    args: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> Result<Command, clap::Error> {
    let matches = command(table).try_get_matches_from(args)?;
    let line = Line::new(&matches);
    let output = line.output();
    let request = match matches.subcommand() {
        Some(("auth", auth)) => Some(auth::request(auth).map_err(wrong)?),
        Some(("pki", pki)) => pki::request(pki).map_err(wrong)?,
        Some(("backend", backend)) => backend::request(backend),
        _ => None,
    };
    if let Some(request) = request {
        return Ok(Command::Ask(Box::new(line.access(environment)), request, output));
    }
    if let Some(stray) = line.stray() {
        return Err(wrong(format!("--{stray} is for commands that ask a service")));
    }
    Ok(match matches.subcommand() {
        Some(("serve", serve)) => Command::Serve(inputs(table, serve, environment)),
        Some(("config", config)) => Command::Config(output, inputs(table, config, environment)),
        Some(("passphrase", _)) => Command::NewPassphrase(output),
        Some(("completions", shell)) => {
            Command::Completions(shell.get_one("shell").copied().unwrap_or(Shell::Bash))
        }
        Some(("man", man)) => Command::Manual(Pages {
            directory: man.get_one("output-dir").cloned(),
            force: man.get_flag("force"),
        }),
        Some(("pki", pki)) => pki::task(table, pki, environment, output).map_err(wrong)?,
        Some(("policy", policy)) => Command::Policy(policy::task(table, policy, environment, output)),
        Some(("backend", backend)) => backend::check(table, backend, environment, output),
        Some(("backup", backup)) => backup::task(table, backup, environment, output),
        Some(("token", token)) => recover(table, token, environment, output),
        // clap lets nothing else pass.
        _ => Command::Version(output),
    })
}

fn wrong(clause: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{clause}\n"))
}

fn recover(table: &Table, matches: &ArgMatches, environment: Environment, output: Output) -> Command {
    let matches = matches.subcommand().map_or(matches, |(_, recover)| recover);
    let mut inputs = inputs(table, matches, environment);
    if let Some(directory) = matches.get_one::<String>("data-dir") {
        let store = Path::new(directory).join("certs.db");
        inputs.flags.insert("certs-db", store.to_string_lossy().into_owned());
    }
    Command::RecoverToken { inputs, print: matches.get_flag("print"), output }
}

/// A command that only holds others.
fn group(name: &'static str, about: &'static str) -> clap::Command {
    clap::Command::new(name)
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
}

/// Of commands that ask a person first.
fn yes() -> Arg {
    Arg::new("yes")
        .long("yes")
        .action(ArgAction::SetTrue)
        .help("Do not ask; without a terminal nothing is asked anyway")
}

/// The whole grammar.
pub(super) fn command(table: &Table) -> clap::Command {
    let serve = with_settings(clap::Command::new("serve").about("Run the certificate authority"), table)
        .after_help(
            "A flag outranks its variable, that the settings file, that the default.\n\nExamples:\n  catalyst serve --dev\n  catalyst serve --trust-domain pki.example.org \\\n    --certs-db /var/lib/catalyst/certs.db \\\n    --local-passphrase-file /etc/catalyst/passphrase",
        );
    let config = clap::Command::new("config").about("Show the settings that hold and where they come from");
    let config = with_settings(config, table).arg(output_arg(&["text", "json", "markdown"]));
    let version = clap::Command::new("version").about("Show the version and the key stores of this build");
    let recover = clap::Command::new("recover").about("Make a new system token while the service is stopped");
    let recover = with_settings(recover, table)
        .arg(
            Arg::new("data-dir")
                .long("data-dir")
                .value_name("DIRECTORY")
                .value_hint(ValueHint::DirPath)
                .conflicts_with("certs-db")
                .help("The data directory, whose store is certs.db"),
        )
        .arg(
            Arg::new("print")
                .long("print")
                .action(ArgAction::SetTrue)
                .help("Print the token itself, not only where it lies"),
        )
        .arg(output_arg(&["text", "json"]))
        .after_help("Examples:\n  catalyst token recover --data-dir /var/lib/catalyst \\\n    --local-passphrase-file /etc/catalyst/passphrase");
    let token = group("token", "The system token of a service on this machine").subcommand(recover);
    let new = clap::Command::new("new")
        .about("Print a new random passphrase of 256 bits")
        .after_help("Examples:\n  (umask 077; catalyst passphrase new > /etc/catalyst/passphrase)");
    let passphrase = group("passphrase", "Passphrases of local key files")
        .subcommand(new.arg(output_arg(&["text", "json"])));
    clap::Command::new("catalyst")
        .about("A certificate authority for services")
        .after_help(
            "Examples:\n  catalyst serve --dev                    # try it out\n  catalyst auth token list                # in the same directory\n  catalyst pki cert list --auth-url wss://auth.example.org:4020/rpc \\\n    --token-file admin.token --root-fingerprint SHA256\n\n'catalyst COMMAND --help' tells more.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args(client::options())
        .subcommands([serve, pki::command(table), auth::command(), token, backend::command(table), backup::command(table), policy::command(table), config])
        .subcommands([passphrase, completions(), man(), version.arg(output_arg(&["text", "json"]))])
}

fn completions() -> clap::Command {
    clap::Command::new("completions")
        .about("Print the script that completes these commands in a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("The shell"),
        )
        .after_help("Examples:\n  source <(catalyst completions bash)\n  catalyst completions zsh > ~/.zfunc/_catalyst\n  catalyst completions fish > ~/.config/fish/completions/catalyst.fish")
}

fn man() -> clap::Command {
    clap::Command::new("man")
        .about("Print the manual page, or write one for each command")
        .arg(
            paths::directory(Arg::new("output-dir").long("output-dir").value_name("DIR")).help(
                "A directory for the pages of all commands; the main one to standard output unless said",
            ),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .requires("output-dir")
                .help("Replace pages that are there"),
        )
        .after_help(
            "Examples:\n  catalyst man | man -l -\n  catalyst man --output-dir /usr/local/share/man/man1",
        )
}

fn with_settings(command: clap::Command, table: &Table) -> clap::Command {
    let dev = Arg::new("dev")
        .long("dev")
        .action(ArgAction::SetTrue)
        .help("Try it out on one machine: the CA makes itself, certificates live a day, logs are for people");
    command.arg(dev).args(table.rows().filter_map(setting_arg))
}

/// As [`with_settings`], of those that say where keys lie and what opens them.
fn with_key_settings(command: clap::Command, table: &Table) -> clap::Command {
    let is_of_keys = |flag: &str| {
        matches!(flag, "config" | "certs-db" | "local-keys" | "local-passphrase-file")
            || flag.starts_with("key-backend")
    };
    let dev = Arg::new("dev").long("dev").action(ArgAction::SetTrue).help("As the service was started");
    let rows = table.rows().filter(|row| row.flag.is_some_and(is_of_keys));
    command.arg(dev).args(rows.filter_map(setting_arg))
}

fn setting_arg(row: &'static Setting) -> Option<Arg> {
    let variable = row.file_variable().unwrap_or_else(|| row.variable.into());
    let default = match row.fallback {
        Fallback::Value(value) => format!(", default {value}"),
        Fallback::Unset(_) | Fallback::Derived { .. } => String::new(),
    };
    // The sentence is written for a table in Markdown.
    let help = format!("{} [{variable}{default}]", row.help.replace('`', "'"));
    let flag = row.flag?;
    let arg =
        Arg::new(flag).long(flag).value_name(row.kind.placeholder()).help(help).help_heading(heading(flag));
    Some(match row.kind {
        // `--flag` alone says yes; `--flag=false` overrules a variable.
        Kind::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Path | Kind::Secret { .. } => arg.value_hint(ValueHint::AnyPath),
        _ => arg,
    })
}

/// Under which a setting stands in the help of `serve`.
fn heading(flag: &str) -> &'static str {
    match flag {
        "trust-domain" | "svid-ttl" | "issue-limit" | "dns-names" => "Certificates",
        "algorithm" => "Keys",
        "listen" | "public-listen" | "insecure-http" | "allowed-origins" => "Network",
        "root-credentials" => "Keys",
        flag if flag.starts_with("key-backend") || flag.starts_with("local-") => "Keys",
        flag if flag.starts_with("pkcs11-") => "Keys in an HSM (PKCS#11)",
        flag if flag.starts_with("tls") => "Network",
        flag if flag.starts_with("log-") => "Log",
        _ => "Place and policy",
    }
}

fn output_arg(forms: &'static [&'static str]) -> Arg {
    Arg::new("output")
        .long("output")
        .value_name("FORM")
        .value_parser(PossibleValuesParser::new(forms))
        .default_value("text")
        .help("Form of the result")
        .display_order(LAST)
}

impl Output {
    fn named(name: Option<&str>) -> Self {
        match name {
            Some("json") => Self::Json,
            Some("markdown") => Self::Markdown,
            _ => Self::Text,
        }
    }
}

fn inputs(table: &Table, matches: &ArgMatches, environment: Environment) -> Inputs {
    let flags = table
        .rows()
        .filter_map(|row| row.flag)
        // Not every command takes all of them.
        .filter_map(|flag| {
            matches.try_get_one::<String>(flag).ok().flatten().map(|value| (flag, value.clone()))
        })
        .collect();
    Inputs { dev: matches.get_flag("dev"), flags, environment }
}
