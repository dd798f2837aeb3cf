//! `catalyst backup …`

use super::{Access, Output, group, inputs, output_arg, paths, with_settings};
use crate::{
    backup::Besides,
    cli::backup::{Create, Inspect, Key, Restore, Task, Verify, Whose},
    settings::{Environment, Inputs, Table},
};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use secrecy::SecretString;
use std::path::PathBuf;

pub(super) fn command(table: &Table) -> Command {
    group("backup", "Encrypted backups; no service is asked, and none is disturbed").subcommands([
        create(table),
        verify(table),
        restore(table),
        inspect(),
        list(),
    ])
}

fn create(table: &Table) -> Command {
    let create = Command::new("create")
        .about("Write an encrypted, signed backup of the store and the local key files, also while the service runs")
        .arg(
            paths::new_file(Arg::new("to").long("output").value_name("FILE"))
                .required_unless_present("to-stdout")
                .conflicts_with("to-stdout")
                .help("The file, or a directory in which it is named after deployment and time"),
        )
        .arg(flag("to-stdout", "Write the backup to standard output, where no terminal may be"))
        .arg(flag("force", "Replace a file that is there").requires("to"))
        .arg(
            Arg::new("recipient")
                .long("recipient")
                .value_name("AGE1…")
                .action(ArgAction::Append)
                .help("An age recipient, who can open the backup; may be repeated [CATALYST_PKI_BACKUP_RECIPIENTS]"),
        )
        .arg(
            paths::file(Arg::new("recipients-file").long("recipients-file").value_name("FILE"))
                .action(ArgAction::Append)
                .help("File of age recipients, one a line"),
        )
        .arg(
            flag("passphrase", "Encrypt with a passphrase [CATALYST_BACKUP_PASSPHRASE, CATALYST_BACKUP_PASSPHRASE_FILE; else asked twice]")
                .conflicts_with_all(["recipient", "recipients-file"]),
        )
        .arg(flag("unsigned", "Do without the signature; every reader will say that nothing vouches for the backup"))
        .arg(work_dir("Where the copy lies until it is encrypted; the data directory unless said"))
        .after_help("Examples:\n  catalyst backup create --recipient age1… --output /backup \\\n    --certs-db /var/lib/catalyst/certs.db \\\n    --local-passphrase-file /etc/catalyst/passphrase\n  catalyst backup create --to-stdout | ssh vault 'cat > catalyst.age'");
    with_settings(create, table)
}

fn verify(table: &Table) -> Command {
    let verify = Command::new("verify")
        .about("Open a backup, and check all of it: hashes, signature, store, certificates and keys")
        .arg(file())
        .args(opening())
        .arg(
            flag("header-only", "Look only at what shows without an identity: kinds of recipients, whether the header is whole, and whether the length is possible; not whether all of the file is there")
                .conflicts_with_all(["identity", "passphrase", "trust-on-first-use"]),
        )
        .arg(flag("keys-unchecked", "Leave key stores alone"))
        .args(reporting())
        .arg(work_dir("Where it is unpacked; the data directory unless said, or where there is none, that for temporary files"))
        .arg(output_arg(&["text", "json"]))
        .after_help("Exit codes: 0 whole and verified, 1 not, 3 no identity opens it, 6 all but keys whose key store\ncould not be asked, 7 whole, and unsigned.\n\nExamples:\n  catalyst backup verify catalyst-….tar.zst.age --identity key.txt --root-fingerprint SHA256\n  catalyst backup verify catalyst-….tar.zst.age --header-only\n  catalyst backup verify catalyst-….tar.zst.age --identity key.txt --root-fingerprint SHA256 \\\n    --report-to https://pki.example.org:4020 --token-file admin-token");
    with_settings(verify, table)
}

fn restore(table: &Table) -> Command {
    let restore = Command::new("restore")
        .about("Put a verified backup into a data directory, while no service runs on it")
        .arg(file())
        .arg(
            paths::directory(Arg::new("into").long("into").value_name("DIR").required(true))
                .conflicts_with("certs-db")
                .help("The data directory, which is made if it is missing"),
        )
        .args(opening())
        .arg(flag("force", "Put a store that is there aside, in a directory replaced-… in DIR"))
        .arg(
            paths::file(Arg::new("denied").long("denied").value_name("FILE"))
                .action(ArgAction::Append)
                .help("Journal of denials; denied.jsonl beside the backup unless said; may be repeated"),
        )
        .arg(
            paths::file(Arg::new("crl").long("crl").value_name("FILE"))
                .action(ArgAction::Append)
                .help("A CRL that was published after the backup, PEM or DER; may be repeated"),
        )
        .arg(flag("keep-tokens", "Let tokens and preset secrets of before stay good"))
        .arg(flag("unsigned", "Take a backup that nobody vouches for"))
        .arg(flag("keys-unchecked", "Leave key stores alone"))
        .arg(output_arg(&["text", "json"]))
        .after_help("Exit codes: 0 restored; else nothing was: 1 it does not hold, 2 wrong usage, 3 no identity opens it,\n6 keys whose key store could not be asked, 7 unsigned.\n\nExamples:\n  catalyst backup restore catalyst-….tar.zst.age --into /var/lib/catalyst --identity key.txt \\\n    --root-fingerprint SHA256 --local-passphrase-file /etc/catalyst/passphrase");
    with_settings(restore, table)
}

/// Whom to tell of a backup that holds, and how that one is known.
fn reporting() -> [Arg; 5] {
    let of_service = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).requires("report-to").help(help)
    };
    [
        Arg::new("report-to")
            .long("report-to")
            .value_name("URL")
            .value_hint(ValueHint::Url)
            .conflicts_with_all(["header-only", "keys-unchecked", "trust-on-first-use"])
            .help("Tell this service that the backup is whole and verified; over HTTPS it must be under the root of --root-fingerprint, unless another pin is given"),
        of_service("token", "TOKEN", "Credential for the service; better one of the next, for arguments are visible to every user of the machine"),
        of_service("token-file", "FILE", "File that holds the credential [CATALYST_AUTH_TOKEN, CATALYST_AUTH_TOKEN_FILE]").value_hint(ValueHint::FilePath),
        of_service("ca-file", "FILE", "Trust services under these CA certificates, PEM [CATALYST_CA_FILE]").value_hint(ValueHint::FilePath),
        of_service("server-fingerprint", "SHA256", "Trust the service whose certificate has this SHA-256 [CATALYST_SERVER_FINGERPRINT]").allow_hyphen_values(true),
    ]
}

fn report(matches: &ArgMatches, environment: &Environment) -> Option<Access> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    Some(Access {
        url: Some(text("report-to")?),
        token: text("token").map(SecretString::from),
        token_file: text("token-file"),
        ca_file: text("ca-file"),
        root_fingerprint: None,
        server_fingerprint: text("server-fingerprint"),
        insecure_http: false,
        environment: environment.clone(),
    })
}

fn inspect() -> Command {
    Command::new("inspect")
        .about("Show what a backup says of itself; without an identity, who can open it")
        .arg(file())
        .args(opening())
        .arg(output_arg(&["text", "json"]))
        .after_help("Examples:\n  catalyst backup inspect catalyst-….tar.zst.age\n  catalyst backup inspect catalyst-….tar.zst.age --identity key.txt")
}

fn list() -> Command {
    Command::new("list")
        .about("List the backups in a directory, the newest last, as far as their headers tell")
        .arg(paths::directory(Arg::new("directory").value_name("DIR").required(true)).help("The directory"))
        .arg(output_arg(&["text", "json"]))
        .after_help("Examples:\n  catalyst backup list /backup")
}

fn file() -> Arg {
    paths::file(Arg::new("file").value_name("FILE").required(true)).help("The backup")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn work_dir(help: &'static str) -> Arg {
    paths::directory(Arg::new("work-dir").long("work-dir").value_name("DIR")).help(help)
}

/// What opens a backup, and whose it must be.
fn opening() -> [Arg; 4] {
    [
        paths::file(Arg::new("identity").long("identity").value_name("FILE"))
            .action(ArgAction::Append)
            .help("File of age identities that open it, encrypted or not; may be repeated"),
        flag("passphrase", "It was encrypted with a passphrase [CATALYST_BACKUP_PASSPHRASE, CATALYST_BACKUP_PASSPHRASE_FILE; else asked]")
            .conflicts_with("identity"),
        Arg::new("root-fingerprint")
            .long("root-fingerprint")
            .value_name("SHA256")
            .allow_hyphen_values(true)
            .help("The root certificate whose CA must have signed it [CATALYST_ROOT_FINGERPRINT]"),
        flag("trust-on-first-use", "Take the root that the backup brings: who knows your recipients could have made it")
            .conflicts_with("root-fingerprint"),
    ]
}

pub(super) fn task(
    table: &Table,
    matches: &ArgMatches,
    environment: Environment,
    output: Output,
) -> super::Command {
    let task = match matches.subcommand() {
        Some(("create", create)) => Task::Create(Create {
            to: path(create, "to"),
            force: create.get_flag("force"),
            recipients: all(create, "recipient"),
            recipients_files: all(create, "recipients-file"),
            passphrase: create.get_flag("passphrase"),
            unsigned: create.get_flag("unsigned"),
            work_dir: path(create, "work-dir"),
            inputs: inputs(table, create, environment),
        }),
        Some(("verify", verify)) if verify.get_flag("header-only") => Task::Header(file_of(verify)),
        Some(("verify", verify)) => Task::Verify(Verify {
            file: file_of(verify),
            key: key(verify),
            whose: whose(verify),
            keys_unchecked: verify.get_flag("keys-unchecked"),
            work_dir: path(verify, "work-dir"),
            report: report(verify, &environment),
            inputs: inputs(table, verify, environment),
        }),
        Some(("restore", restore)) => Task::Restore(Restore {
            file: file_of(restore),
            into: path(restore, "into").unwrap_or_default(),
            force: restore.get_flag("force"),
            key: key(restore),
            whose: whose(restore),
            unsigned: restore.get_flag("unsigned"),
            keys_unchecked: restore.get_flag("keys-unchecked"),
            besides: Besides {
                denied: all(restore, "denied"),
                crls: all(restore, "crl"),
                keep_tokens: restore.get_flag("keep-tokens"),
                ..Besides::default()
            },
            inputs: inputs_into(table, restore, environment),
        }),
        Some(("inspect", inspect)) => Task::Inspect(Inspect {
            file: file_of(inspect),
            key: key(inspect),
            whose: whose(inspect),
            environment,
        }),
        Some((_, list)) => Task::List(path(list, "directory").unwrap_or_default()),
        // clap lets nothing else pass.
        None => Task::List(PathBuf::new()),
    };
    super::Command::Backup(task, output)
}

/// The settings of a service that runs on the directory.
fn inputs_into(table: &Table, matches: &ArgMatches, environment: Environment) -> Inputs {
    let mut inputs = inputs(table, matches, environment);
    let store = path(matches, "into").unwrap_or_default().join("certs.db");
    inputs.flags.insert("certs-db", store.to_string_lossy().into_owned());
    inputs
}

fn path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}

fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many::<T>(name).into_iter().flatten().cloned().collect()
}

fn file_of(matches: &ArgMatches) -> PathBuf {
    path(matches, "file").unwrap_or_default()
}

fn key(matches: &ArgMatches) -> Key {
    Key { identities: all(matches, "identity"), passphrase: matches.get_flag("passphrase") }
}

fn whose(matches: &ArgMatches) -> Whose {
    Whose {
        root: matches.get_one::<String>("root-fingerprint").cloned(),
        first_use: matches.get_flag("trust-on-first-use"),
    }
}
