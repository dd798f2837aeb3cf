//! `catalyst completions` and `catalyst man`: what shells and people read about the command line, made from itself.

use super::{
    arguments::{self, Pages},
    files::{Place, Readers},
    output::print,
};
use crate::{
    client::{ClientError, Result},
    settings::Table,
};
use clap::ValueHint;
use clap_complete::Shell;
use clap_mangen::Man;
use std::{io, path::Path, process::ExitCode};

/// The script that a shell reads.
pub(super) fn completions(table: &Table, shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = files_where_they_belong(arguments::command(table));
    clap_complete::generate(shell, &mut command, "catalyst", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Shells offer files wherever nothing is said of a value.
fn files_where_they_belong(command: clap::Command) -> clap::Command {
    let said = |arg: clap::Arg| match arg.get_value_hint() {
        ValueHint::Unknown if arg.get_action().takes_values() => arg.value_hint(ValueHint::Other),
        _ => arg,
    };
    command.mut_args(said).mut_subcommands(files_where_they_belong)
}

/// Prints the main page, or writes a page for each command into a directory.
///
/// # Errors
/// A page that is there and to be kept, or that can't be written.
pub(super) fn run(table: &Table, pages: Pages) -> Result<ExitCode> {
    let mut command = arguments::command(table);
    command.build();
    let Some(directory) = pages.directory else {
        return Ok(print(&page(&command)?.1));
    };
    let mut all = Vec::new();
    collect(&command, &mut all)?;
    // All are looked at before the first is written.
    let places = all
        .iter()
        .map(|(name, _)| Place::look(&directory.join(name), pages.force))
        .collect::<Result<Vec<_>>>()?;
    for ((_, text), place) in all.iter().zip(&places) {
        place.write(Readers::Anybody, text.as_bytes())?;
    }
    Ok(print(&written(&directory, all.len())))
}

fn written(directory: &Path, pages: usize) -> String {
    let directory = directory.display();
    format!("{pages} pages written to {directory}; read them: man {directory}/catalyst.1\n")
}

fn collect(command: &clap::Command, pages: &mut Vec<(String, String)>) -> Result<()> {
    pages.push(page(command)?);
    command.get_subcommands().try_for_each(|inner| collect(inner, pages))
}

/// A page and its file's name.
fn page(command: &clap::Command) -> Result<(String, String)> {
    let man = Man::new(command.clone()).source(concat!("catalyst ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text).map_err(|error: io::Error| {
        ClientError::failed(format!("the page {} cannot be made: {error}", man.get_filename()))
    })?;
    Ok((man.get_filename(), String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_offered_where_files_are_wanted() {
        let script = completions(&Table::new([]), Shell::Zsh);
        let line = |option: &str| script.lines().find(|line| line.starts_with(option)).unwrap();
        for option in ["'--token-file=", "'--ca-file=", "'--csr=", "'--output-cert=", "'--head="] {
            assert!(line(option).contains(":FILE:_files"), "{}", line(option));
        }
        for option in ["'--spiffe-id=", "'--reason=", "'--auth-url=", "'--token="] {
            assert!(
                !line(option).contains("_files") && !line(option).contains("_default"),
                "{}",
                line(option)
            );
        }
        assert!(line("'--principal=").contains(":(ADMIN NODE NODE_CUSTODIAN"), "{}", line("'--principal="));
    }
}
