//! How a page is read: its chapters, the commands in them, and what it shows of each.

use std::{iter::Peekable, str::Lines};

/// What stands under a heading of the second level.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chapter {
    pub(super) title: String,
    /// Its surroundings, where they are others than a service without a CA: `<!-- with: softhsm -->`.
    pub(super) with: Option<String>,
    /// The chapter whose commands were typed before: `<!-- after: With key files -->`.
    pub(super) after: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// A command, and what the page shows of its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) command: String,
    pub(super) shown: Vec<String>,
    pub(super) code: i32,
}

/// The chapters of a page, in its order. What stands before the first heading has none.
pub(super) fn chapters(page: &str) -> Vec<Chapter> {
    let parts = page.split("\n## ").skip(1);
    parts
        .map(|part| Chapter {
            title: part.lines().next().unwrap_or_default().to_owned(),
            with: remark(part, "with"),
            after: remark(part, "after"),
            steps: steps(part),
        })
        .collect()
}

/// What `<!-- name: … -->` says.
fn remark(part: &str, name: &str) -> Option<String> {
    let (_, rest) = part.split_once(&format!("\n<!-- {name}: "))?;
    rest.split_once(" -->").map(|(said, _)| said.to_owned())
}

/// The steps of a page or a part of it, in its order.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let blocks = page.split("\n```console\n").skip(1);
    blocks.flat_map(|rest| of_block(rest.split("\n```").next().unwrap_or_default())).collect()
}

fn of_block(block: &str) -> Vec<Step> {
    let mut lines = block.lines().peekable();
    let mut steps = Vec::new();
    while let Some(line) = lines.next() {
        let first = line.strip_prefix("$ ").unwrap_or_else(|| panic!("no command is above: {line}"));
        let command = whole(first, &mut lines);
        let (mut shown, mut code) = (Vec::new(), 0);
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            match line.strip_prefix("(exit code ").and_then(|rest| rest.strip_suffix(')')) {
                Some(number) => code = number.parse().unwrap(),
                None => shown.push(line.to_owned()),
            }
        }
        steps.push(Step { command, shown, code });
    }
    steps
}

/// A command goes on after a backslash, and to the end of its here-document.
fn whole(first: &str, lines: &mut Peekable<Lines<'_>>) -> String {
    let mut command = first.to_owned();
    while command.ends_with('\\') {
        command = format!("{command}\n{}", lines.next().expect("a command ends with a backslash"));
    }
    if command.contains("<<'END'") {
        for line in lines.by_ref() {
            command = format!("{command}\n{line}");
            if line == "END" {
                break;
            }
        }
    }
    command
}

/// Whether the lines are what the page shows.
pub(super) fn fits(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((gap, rest)) if gap == "…" => (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| line_fits(first, line) && fits(rest, lines))
        }
    }
}

/// Whether a line is what a page shows, where `…` stands for any characters.
pub(crate) fn line_fits(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown.trim_end() == line.trim_end(),
        Some((head, rest)) => line.strip_prefix(head).is_some_and(|line| {
            let mut starts = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            starts.any(|at| line_fits(rest, &line[at..]))
        }),
    }
}

#[test]
fn a_page_is_read_as_a_reader_reads_it() {
    let page = "talk\n```bash\nno\n```\n\n```console\n$ a \\\n  b\none\n…\nthree\n$ c\n(exit code 5)\n```\n";
    let step = |command: &str, shown: &[&str], code| Step {
        command: command.into(),
        shown: shown.iter().map(|line| (*line).to_owned()).collect(),
        code,
    };
    assert_eq!(steps(page), [step("a \\\n  b", &["one", "…", "three"], 0), step("c", &[], 5)]);
    let shown = &steps(page)[0].shown;
    assert!(fits(shown, &["one", "three"]) && fits(shown, &["one", "two", "two", "three"]));
    assert!(!fits(shown, &["one", "two"]) && !fits(shown, &["one", "three", "four"]));
    assert!(line_fits("a … b…", "a x y b") && line_fits("a…", "a") && !line_fits("a…c", "ab"));
}

#[test]
fn a_chapter_says_what_is_there_when_it_begins() {
    let page =
        "# P\n\n## One\n<!-- with: softhsm -->\n\n```console\n$ a\n```\n\n## Two\n<!-- after: One -->\n";
    let chapter = |title: &str, with: Option<&str>, after: Option<&str>, commands: &[&str]| Chapter {
        title: title.into(),
        with: with.map(str::to_owned),
        after: after.map(str::to_owned),
        steps: commands
            .iter()
            .map(|command| Step { command: (*command).into(), shown: Vec::new(), code: 0 })
            .collect(),
    };
    assert_eq!(
        chapters(page),
        [chapter("One", Some("softhsm"), None, &["a"]), chapter("Two", None, Some("One"), &[])]
    );
}
