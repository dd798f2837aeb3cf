//! From arguments to a command. The flags of `serve` and `config` are the table's.

use super::policy;
use crate::settings::{Environment, Fallback, Inputs, Kind, Setting, Table};
use clap::{Arg, ArgAction, ArgMatches, builder::PossibleValuesParser, value_parser};
use std::{ffi::OsString, path::PathBuf};

/// What the operator wants done.
#[derive(Debug)]
pub(super) enum Command {
    Serve(Inputs),
    Config(Output, Inputs),
    Version(Output),
    NewPassphrase,
    Policy(policy::Task),
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
    Ok(match matches.subcommand() {
        Some(("serve", serve)) => Command::Serve(inputs(table, serve, environment)),
        Some(("config", config)) => Command::Config(output(config), inputs(table, config, environment)),
        Some(("passphrase", _)) => Command::NewPassphrase,
        Some(("policy", policy)) => Command::Policy(policy_task(table, policy, environment)),
        // clap lets nothing else pass.
        version => Command::Version(version.map_or(Output::Text, |(_, matches)| output(matches))),
    })
}

fn command(table: &Table) -> clap::Command {
    let serve = with_settings(clap::Command::new("serve").about("Run the certificate authority"), table);
    let config = clap::Command::new("config").about("Show the settings that hold and where they come from");
    let config = with_settings(config, table).arg(output_arg(&["text", "json", "markdown"]));
    let version = clap::Command::new("version").about("Show the version and the key stores of this build");
    let passphrase = clap::Command::new("passphrase")
        .about("Passphrases of local key files")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(clap::Command::new("new").about("Print a new random passphrase of 256 bits"));
    clap::Command::new("catalyst")
        .about("A certificate authority for services")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([serve, config, policy(table), passphrase, version.arg(output_arg(&["text", "json"]))])
}

fn policy(table: &Table) -> clap::Command {
    let dir = |help| Arg::new("dir").value_name("DIR").value_parser(value_parser!(PathBuf)).help(help);
    let check = clap::Command::new("check")
        .about("Check policies as a start does, and show the files that count")
        .arg(dir(
            "Directory of *.cedar files; without it, the one of the settings or the program's own policies",
        ))
        .arg(output_arg(&["text", "json"]));
    let export = clap::Command::new("export")
        .about("Write the schema and the program's policies into a directory, to start from")
        .arg(dir("Directory; made where there is none, and nothing in it is overwritten").required(true));
    clap::Command::new("policy")
        .about("Policies that decide who may do what")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([with_settings(check, table), export])
}

fn policy_task(table: &Table, matches: &ArgMatches, environment: Environment) -> policy::Task {
    let dir = |matches: &ArgMatches| matches.get_one::<PathBuf>("dir").cloned();
    match matches.subcommand() {
        Some(("export", export)) => policy::Task::Export(dir(export).unwrap_or_default()),
        // clap lets nothing else pass.
        check => {
            let check = check.map_or(matches, |(_, check)| check);
            policy::Task::Check(dir(check), output(check), inputs(table, check, environment))
        }
    }
}

fn with_settings(command: clap::Command, table: &Table) -> clap::Command {
    let dev = Arg::new("dev")
        .long("dev")
        .action(ArgAction::SetTrue)
        .help("Try it out on one machine: the CA makes itself, certificates live a day, logs are for people");
    command.arg(dev).args(table.rows().filter_map(setting_arg))
}

fn setting_arg(row: &'static Setting) -> Option<Arg> {
    let variable = row.file_variable().unwrap_or_else(|| row.variable.into());
    let default = match row.fallback {
        Fallback::Value(value) => format!(", default {value}"),
        Fallback::Unset(_) | Fallback::Derived { .. } => String::new(),
    };
    let help = format!("{} [{variable}{default}]", row.help);
    let flag = row.flag?;
    let arg = Arg::new(flag).long(flag).value_name(row.kind.placeholder()).help(help);
    Some(match row.kind {
        // `--flag` alone says yes; `--flag=false` overrules a variable.
        Kind::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    })
}

fn output_arg(forms: &'static [&'static str]) -> Arg {
    Arg::new("output")
        .long("output")
        .value_name("FORM")
        .value_parser(PossibleValuesParser::new(forms))
        .default_value("text")
        .help("Form of the result")
}

fn output(matches: &ArgMatches) -> Output {
    match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => Output::Json,
        Some("markdown") => Output::Markdown,
        _ => Output::Text,
    }
}

fn inputs(table: &Table, matches: &ArgMatches, environment: Environment) -> Inputs {
    let flags = table
        .rows()
        .filter_map(|row| row.flag)
        .filter_map(|flag| matches.get_one::<String>(flag).map(|value| (flag, value.clone())))
        .collect();
    Inputs { dev: matches.get_flag("dev"), flags, environment }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::BackendSettings;

    fn table() -> Table {
        Table::new(&[BackendSettings { name: "local", settings: &[] }])
    }

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        parse(&table(), line.split(' ').map(OsString::from), Environment::default())
    }

    #[test]
    fn the_grammar_is_sound() {
        command(&table()).debug_assert();
    }

    #[test]
    fn flags_reach_the_settings() {
        let Ok(Command::Serve(inputs)) = parsed("catalyst serve --dev --listen 127.0.0.1:0") else {
            panic!("serve is wanted")
        };
        assert!(inputs.dev);
        assert_eq!(inputs.flags["listen"], "127.0.0.1:0");
    }

    #[test]
    fn a_switch_may_be_given_alone_or_with_its_value() {
        for (line, value) in [
            ("catalyst serve --insecure-http --dev", "true"),
            ("catalyst serve --insecure-http=false --dev", "false"),
        ] {
            let Ok(Command::Serve(inputs)) = parsed(line) else { panic!("serve is wanted: {line}") };
            assert_eq!((inputs.flags["insecure-http"].as_str(), inputs.dev), (value, true));
        }
    }

    #[test]
    fn the_version_has_a_command_and_a_flag() {
        assert!(matches!(parsed("catalyst version --output json"), Ok(Command::Version(Output::Json))));
        assert!(parsed("catalyst --version").unwrap_err().to_string().starts_with("catalyst "));
    }

    #[test]
    fn a_passphrase_can_be_asked_for() {
        assert!(matches!(parsed("catalyst passphrase new"), Ok(Command::NewPassphrase)));
        assert!(parsed("catalyst passphrase").unwrap_err().use_stderr());
    }

    #[test]
    fn policies_are_checked_where_one_says_or_the_settings_do() {
        let Ok(Command::Policy(policy::Task::Check(dir, Output::Json, inputs))) =
            parsed("catalyst policy check somewhere --policy-dir elsewhere --output json")
        else {
            panic!("a check is wanted")
        };
        assert_eq!((dir, inputs.flags["policy-dir"].as_str()), (Some("somewhere".into()), "elsewhere"));
        let export = parsed("catalyst policy export there");
        assert!(
            matches!(export, Ok(Command::Policy(policy::Task::Export(dir))) if dir.as_os_str() == "there")
        );
        for line in ["catalyst policy", "catalyst policy export", "catalyst policy check a b"] {
            assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_an_error_and_help_is_not() {
        for line in
            ["catalyst", "catalyst sevre", "catalyst serve --nonsense", "catalyst config --output xml"]
        {
            assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
        }
        for line in ["catalyst serve --help", "catalyst --version"] {
            assert!(!parsed(line).unwrap_err().use_stderr(), "{line}");
        }
    }
}
