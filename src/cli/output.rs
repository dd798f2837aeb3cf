//! Results go to standard output, talk to standard error.

use super::exit::FAILED;
use crate::client::{ClientError, Result, printable, steers};
use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};
use comfy_table::{
    ContentArrangement, Table,
    presets::{NOTHING, UTF8_FULL_CONDENSED},
};
use serde::Serialize;
use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

/// Prints a result. A reader that has gone, as `head` does, is no failure.
pub(super) fn print(result: &str) -> ExitCode {
    match io::stdout().write_all(result.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            self::error(&error.to_string());
            ExitCode::from(FAILED)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints the result of a command that has written files; where it can't be printed, a hint names them.
pub(super) fn print_with_files(result: &str, files: &[&str]) -> ExitCode {
    let printed = print(result);
    if printed != ExitCode::SUCCESS && !files.is_empty() {
        hint(&format!("only the result could not be printed; written all the same: {}", files.join(", ")));
    }
    printed
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
    // Nobody is left to tell when standard error is closed, here and below.
    let _ = writeln!(
        io::stderr(),
        "{}: {}",
        styled("warning", AnsiColor::Yellow, &io::stderr()),
        printable(sentence)
    );
}

/// A denial or revocation that holds, and that verifiers have still to learn of.
pub(super) fn warn_of_pending_crl() {
    warn(
        "it holds from now on, but the CRL that says so is still to be signed: the key store is away; the service signs it as soon as it can",
    );
}

pub(super) fn warn_of_pending_journal() {
    warn(
        "it holds from now on, but does not stand in the journal of denials yet, and a restore would not know of it: the directory of backups is missing, full or read-only; the service tries again",
    );
}

/// What the operator can do next.
pub(super) fn hint(sentence: &str) {
    let _ =
        writeln!(io::stderr(), "{}: {}", styled("hint", AnsiColor::Cyan, &io::stderr()), printable(sentence));
}

/// What went wrong, on one line or several.
pub(super) fn error(sentence: &str) {
    let lines: Vec<_> = sentence.lines().map(printable).collect();
    let _ =
        writeln!(io::stderr(), "{}: {}", styled("error", AnsiColor::Red, &io::stderr()), lines.join("\n"));
}

/// What a result begins with that says: done.
pub(super) fn ok() -> String {
    styled("[ok]", AnsiColor::Green, &io::stdout())
}

/// A word in colour where the stream is a terminal that shows colours, and nobody set NO_COLOR.
fn styled(word: &str, color: AnsiColor, stream: &impl RawStream) -> String {
    match AutoStream::choice(stream) {
        ColorChoice::Never => word.to_owned(),
        _ => {
            let style = Style::new().bold().fg_color(Some(color.into()));
            format!("{style}{word}{style:#}")
        }
    }
}

/// The word of a result that says whether all is well.
pub(super) fn verdict(word: &str, is_good: bool) -> String {
    styled(word, if is_good { AnsiColor::Green } else { AnsiColor::Red }, &io::stdout())
}

/// JSON on one line, the same value for programs, and nothing in it that steers a terminal.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|error| ClientError::failed(error.to_string()))?;
    Ok(format!("{}\n", escaped(&text)))
}

/// JSON escapes the first 32 characters alone (RFC 8259, 7); the others that steer stand in strings too, and take the
/// same form there.
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        if steers(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
        text
    })
}

/// Rows for people where standard output is a terminal, else for programs.
pub(super) fn rows<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    if io::stdout().is_terminal() { table(headers, rows, width()) } else { plain(rows) }
}

/// How many columns the terminal has, where it says so.
fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// A table with a header and borders where the terminal has room for it, else a block of lines for each row.
fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(headers);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let natural = table.lines().next().map_or(0, |border| border.chars().count());
    match width {
        Some(width) if natural > usize::from(width) => {
            if usize::from(width) < N * NARROWEST {
                return blocks(headers, rows);
            }
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        _ => {}
    }
    format!("{table}\n")
}

/// A column with less than this, its border included, is no column that people read.
const NARROWEST: usize = 20;

/// A line for each cell, under its column's name, and a blank line between rows.
fn blocks<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let widest = headers.iter().map(|header| header.len()).max().unwrap_or_default();
    let line = |(header, cell): (&str, &String)| format!("{header:<widest$}  {}\n", shown(cell));
    let block = |row: &[String; N]| headers.into_iter().zip(row).map(line).collect::<String>();
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Columns with a header and without borders, in a pipe too: for lists that people read and keep.
pub(super) fn columns<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(headers);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A line a row, tabs between its cells, `-` for an empty one; nothing else, so that every line is a row.
pub(super) fn plain<const N: usize>(rows: &[[String; N]]) -> String {
    let line = |row: &[String; N]| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>().join("\t") + "\n";
    rows.iter().map(line).collect()
}

fn shown(cell: &str) -> String {
    if cell.is_empty() { "-".to_owned() } else { printable(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<[String; 2]> {
        vec![["ops".into(), String::new()], ["a\tb\u{1b}[31m\n".into(), "x y".into()]]
    }

    #[test]
    fn json_is_the_same_value_and_steers_no_terminal() {
        let value = "Störung \u{9b}31m\u{7f}\u{202e}\u{1b}[2J\n\"";
        let text = json(&value).unwrap();
        assert!(
            !text.trim_end().contains(steers) && text.contains("Störung \\u009b31m\\u007f\\u202e"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
    }

    #[test]
    fn a_plain_row_is_one_line_whatever_its_cells_hold() {
        assert_eq!(plain(&sample()), "ops\t-\na\u{fffd}b\u{fffd}[31m\u{fffd}\tx y\n");
        assert_eq!(plain::<2>(&[]), "");
    }

    #[test]
    fn a_table_has_a_header_and_steers_no_terminal() {
        let table = table(["SUBJECT", "NAME"], &sample(), None);
        assert!(table.contains("SUBJECT") && table.contains("x y"));
        assert!(!table.contains('\u{1b}') && !table.contains('\t'));
    }

    #[test]
    fn a_table_fits_the_terminal_or_gives_way_to_blocks() {
        let rows = [[1; 3].map(|_| "spiffe://catalyst.example.com/node/node-a".to_owned())];
        for width in [60, 80, 120] {
            let table = table(["A", "B", "C"], &rows, Some(width));
            assert!(
                table.lines().all(|line| line.chars().count() <= usize::from(width)),
                "{width}:\n{table}"
            );
        }
        for width in [1, 10, 40] {
            let shown = table(["A", "LONG", "C"], &rows, Some(width));
            assert_eq!(shown.lines().nth(1), Some("LONG  spiffe://catalyst.example.com/node/node-a"));
        }
        let two = table(["A", "B"], &sample(), Some(4));
        assert_eq!(two, "A  ops\nB  -\n\nA  a\u{fffd}b\u{fffd}[31m\u{fffd}\nB  x y\n");
    }

    #[test]
    fn columns_are_padded_and_end_with_the_line() {
        let rows = [["spiffe://td/node/a".into(), "Störung — 1".into()], ["b".into(), "e\u{1b}[31m".into()]];
        assert_eq!(
            columns(["SPIFFE ID", "Reason"], &rows),
            "SPIFFE ID           Reason\nspiffe://td/node/a  Störung — 1\nb                   e\u{fffd}[31m\n"
        );
        assert_eq!(columns(["SPIFFE ID", "Reason"], &[]), "SPIFFE ID  Reason\n");
    }
}
