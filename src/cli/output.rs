//! Results go to standard output, talk to standard error.

use super::exit::FAILED;
use crate::client::{ClientError, Result, printable};
use anstream::{AutoStream, ColorChoice};
use anstyle::AnsiColor;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

/// Prints a result. A reader that has gone, as `head` does, is no failure.
pub(super) fn print(result: &str) -> ExitCode {
    match io::stdout().write_all(result.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(FAILED)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints a part of a result; answers whether anybody still reads.
pub(super) fn put(part: &str) -> Result<bool> {
    let mut out = io::stdout();
    match out.write_all(part.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(ClientError::failed(format!("cannot write the result: {error}"))),
    }
}

/// What the operator should know and a script should not read.
pub(super) fn warn(sentence: &str) {
    let _ = writeln!(io::stderr(), "warning: {}", printable(sentence));
}

/// What the operator can do next.
pub(super) fn hint(sentence: &str) {
    let _ = writeln!(io::stderr(), "hint: {sentence}");
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// Somebody has to do something.
    Bad,
}

/// A word of a result, in colour where standard output is a terminal that has colours and nobody has turned them off
/// (`NO_COLOR`).
pub(super) fn coloured(word: &str, tone: Tone) -> String {
    let out = io::stdout();
    if !out.is_terminal() || AutoStream::choice(&out) == ColorChoice::Never {
        return word.to_owned();
    }
    let colour = match tone {
        Tone::Good => AnsiColor::Green,
        Tone::Bad => AnsiColor::Red,
    };
    let style = colour.on_default().bold();
    format!("{style}{word}{style:#}")
}

/// JSON on one line.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|error| ClientError::failed(error.to_string()))?;
    Ok(format!("{text}\n"))
}

/// Rows for people where standard output is a terminal, else for programs.
pub(super) fn rows<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    if io::stdout().is_terminal() { table(headers, rows) } else { plain(rows) }
}

/// A table with a header and borders.
fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(headers);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    format!("{table}\n")
}

/// A line a row, tabs between its cells, `-` for an empty one; nothing else, so that every line is a row.
pub(super) fn plain<const N: usize>(rows: &[[String; N]]) -> String {
    let cell = |cell: &String| if cell.is_empty() { "-".to_owned() } else { printable(cell) };
    let line = |row: &[String; N]| row.iter().map(cell).collect::<Vec<_>>().join("\t") + "\n";
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<[String; 2]> {
        vec![["ops".into(), String::new()], ["a\tb\u{1b}[31m\n".into(), "x y".into()]]
    }

    #[test]
    fn a_plain_row_is_one_line_whatever_its_cells_hold() {
        assert_eq!(plain(&sample()), "ops\t-\na\u{fffd}b\u{fffd}[31m\u{fffd}\tx y\n");
        assert_eq!(plain::<2>(&[]), "");
    }

    #[test]
    fn a_table_has_a_header_and_steers_no_terminal() {
        let table = table(["SUBJECT", "NAME"], &sample());
        assert!(table.contains("SUBJECT") && table.contains("x y"));
        assert!(!table.contains('\u{1b}') && !table.contains('\t'));
    }
}
