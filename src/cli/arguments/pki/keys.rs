//! `catalyst pki keys …`

use super::super::{Command as Asked, Output, group, inputs, paths, with_key_settings};
use crate::{
    backup::KeyName,
    cli::keys::{Export, Import, Task},
    settings::{Environment, Table},
    store::KeyRole,
};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser};
use std::path::PathBuf;

const ROLES: [&str; 4] = ["root", "services", "transport", "token"];

pub(super) fn command(table: &Table) -> Command {
    let reconcile = Command::new("reconcile")
        .about("List keys that were made for this deployment and belong to no CA; nothing is destroyed")
        .after_help("Examples:\n  catalyst pki keys reconcile");
    group("keys", "The keys in the key stores").subcommands([reconcile, export(table), import(table)])
}

fn export(table: &Table) -> Command {
    let export = Command::new("export")
        .about("Write a private key of 'local' into a file that age encrypts, while the service is stopped")
        .arg(
            Arg::new("key")
                .value_name("ROLE[:GENERATION]")
                .required(true)
                .value_parser(|text: &str| text.parse::<KeyName>())
                .help("root, services, transport or token: the key in force, or that of a generation"),
        )
        .arg(
            Arg::new("i-understand")
                .long("i-understand")
                .action(ArgAction::SetTrue)
                .help("A copy of the key may leave; without this, what it means is told and nothing is done"),
        )
        .arg(
            Arg::new("recipient")
                .long("recipient")
                .value_name("AGE1…")
                .action(ArgAction::Append)
                .required_unless_present("recipients-file")
                .help("An age recipient, who can open the file; may be repeated"),
        )
        .arg(
            paths::file(Arg::new("recipients-file").long("recipients-file").value_name("FILE"))
                .action(ArgAction::Append)
                .help("File of age recipients, one a line"),
        )
        .arg(
            paths::new_file(Arg::new("output-file").long("output-file").value_name("FILE"))
                .required(true)
                .help("The new file; one that is there is never replaced"),
        )
        .after_help("Examples:\n  catalyst pki keys export root --i-understand --recipient age1… --output-file root.pem.age \\\n    --certs-db /var/lib/catalyst/certs.db \\\n    --local-passphrase-file /etc/catalyst/passphrase\n  age -d -i key.txt root.pem.age | openssl pkey -noout -text");
    with_key_settings(export, table)
}

fn import(table: &Table) -> Command {
    let import = Command::new("import")
        .about("Take a private key that was made elsewhere into the key store 'local'")
        .arg(
            paths::file(Arg::new("file").value_name("FILE").required(true))
                .help("PKCS#8 (PEM, DER) or PKCS#12; '-' for standard input [CATALYST_IMPORT_PASSWORD, CATALYST_IMPORT_PASSWORD_FILE; else asked]"),
        )
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .required(true)
                .value_parser(PossibleValuesParser::new(ROLES))
                .help("What it is to be used for"),
        )
        .after_help("Examples:\n  catalyst pki keys import root.p12 --role root \\\n    --local-passphrase-file /etc/catalyst/passphrase\n  age -d -i key.txt root.pem.age | catalyst pki keys import - --role root");
    with_key_settings(import, table)
}

/// Whether it is the service that looks at keys.
pub(super) fn asks_service(matches: &ArgMatches) -> bool {
    matches.subcommand_name() == Some("reconcile")
}

/// What is to be done with key files; `None`: a service is asked.
pub(super) fn task(
    table: &Table,
    matches: &ArgMatches,
    environment: Environment,
    output: Output,
) -> Option<Asked> {
    let task = match matches.subcommand()? {
        ("export", export) => Task::Export(Export {
            name: *export.get_one("key")?,
            understood: export.get_flag("i-understand"),
            recipients: all(export, "recipient"),
            recipients_files: all(export, "recipients-file"),
            to: export.get_one::<PathBuf>("output-file")?.clone(),
            inputs: inputs(table, export, environment),
        }),
        ("import", import) => Task::Import(Import {
            file: import.get_one::<PathBuf>("file")?.clone(),
            role: import.get_one::<String>("role")?.parse::<KeyRole>().ok()?,
            inputs: inputs(table, import, environment),
        }),
        _ => return None,
    };
    Some(Asked::Keys(task, output))
}

fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many::<T>(name).into_iter().flatten().cloned().collect()
}
