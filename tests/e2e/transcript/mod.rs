//! The pages that show sessions at a terminal, run as they are printed, from the first command to the last.
//!
//! In a `console` block a line that begins with `$ ` is a command, with the lines that continue it; the lines after it
//! are what the terminal shows. `…` in a line stands for any characters, alone on a line for any lines, and
//! `(exit code N)` at the end for a command that does not end with 0. What a page names `localhost:4020` is the service
//! of the test.

mod operations;
mod steps;
mod terminal;

pub(crate) use steps::line_fits;

use std::{fs, path::Path};
use steps::{Step, fits, steps};
use terminal::Terminal;

/// What a page has otherwise than the terminal showed it.
fn differences(terminal: &Terminal, steps: &[Step], errors: &str) -> Vec<String> {
    let mut differing = Vec::new();
    for Step { command, shown, code } in steps {
        let (text, ended) = terminal.run(&terminal.here(command), errors);
        let lines: Vec<&str> = text.lines().collect();
        let expected: Vec<String> = shown.iter().map(|line| terminal.here(line)).collect();
        if ended != *code || !fits(&expected, &lines) {
            let shown = shown.join("\n");
            differing.push(format!(
                "$ {command}\nends with {ended} and shows\n{text}where the page has {code} and\n{shown}"
            ));
        }
    }
    differing
}

fn follow(page: &str, errors: &str) {
    let steps = steps(&read(page));
    assert!(!steps.is_empty(), "{page} shows nothing");
    let terminal = Terminal::beside_a_service();
    let differing = differences(&terminal, &steps, errors);
    let log = terminal.log();
    assert!(differing.is_empty(), "{log}\n\n{page} differs:\n\n{}", differing.join("\n\n"));
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap()
}

#[test]
fn what_operators_of_the_earlier_implementation_type_works_as_their_page_shows() {
    follow("differences.md", "2>&1");
}

#[test]
fn every_json_form_is_as_its_page_shows() {
    follow("json.md", "2>/dev/null");
}
