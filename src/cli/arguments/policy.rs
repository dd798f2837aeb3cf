//! `catalyst policy …`

use super::{Output, group, inputs, output_arg, paths, with_settings};
use crate::{
    cli::policy,
    settings::{Environment, Table},
};
use clap::{Arg, ArgMatches};
use std::path::PathBuf;

pub(super) fn command(table: &Table) -> clap::Command {
    let dir = |help| paths::directory(Arg::new("dir").value_name("DIR").help(help));
    let check = clap::Command::new("check")
        .about("Check policies as a start does, and show the files that count")
        .arg(dir(
            "Directory of *.cedar files; without it, the one of the settings or the program's own policies",
        ))
        .arg(output_arg(&["text", "json"]));
    let export = clap::Command::new("export")
        .about("Write the schema and the program's policies into a directory, to start from")
        .arg(dir("Directory; made where there is none, and nothing in it is overwritten").required(true));
    group("policy", "Policies that decide who may do what").subcommands([with_settings(check, table), export])
}

pub(super) fn task(
    table: &Table,
    matches: &ArgMatches,
    environment: Environment,
    output: Output,
) -> policy::Task {
    let dir = |matches: &ArgMatches| matches.get_one::<PathBuf>("dir").cloned();
    match matches.subcommand() {
        Some(("export", export)) => policy::Task::Export(dir(export).unwrap_or_default()),
        // clap lets nothing else pass.
        check => {
            let check = check.map_or(matches, |(_, check)| check);
            policy::Task::Check(dir(check), output, inputs(table, check, environment))
        }
    }
}
