//! The pages that show sessions at a terminal, run as they are printed, from the first command to the last.
//!
//! In a `console` block a line that begins with `$ ` is a command, with the lines that continue it; the lines after it
//! are what the terminal shows. `…` in a line stands for any characters, alone on a line for any lines, and
//! `(exit code N)` at the end for a command that does not end with 0. What a page names `localhost:4020` is the service
//! of the test.

use catalyst_rigs::{Launch, Service, catalyst};
use std::{
    fs,
    iter::Peekable,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    str::Lines,
};
use tempfile::TempDir;

/// A command, and what the page shows of its end.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    shown: Vec<String>,
    code: i32,
}

/// The steps of a page, in its order.
fn steps(page: &str) -> Vec<Step> {
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
fn fits(shown: &[String], lines: &[&str]) -> bool {
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

/// A terminal beside a service.
struct Terminal {
    directory: TempDir,
    service: Service,
}

impl Terminal {
    /// A service without a CA, and an administrator who has its token.
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let (data, bin) = (directory.path().join("pki"), directory.path().join("bin"));
        for made in [&data, &bin] {
            fs::create_dir(made).unwrap();
        }
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        let binary = fs::canonicalize(catalyst().unwrap()).unwrap();
        symlink(&binary, bin.join("catalyst")).unwrap();
        let mut service = Launch::new(&binary, &data)
            .env("CATALYST_PKI_LOCAL_PASSPHRASE", "a passphrase of more than 16 characters")
            .env("CATALYST_NODE_ID", "auth-1")
            .start()
            .unwrap();
        let token = service.wait_for("System Admin Token").unwrap();
        let token = token.message.split_once(": ").unwrap().1;
        fs::write(directory.path().join("exported"), format!("export ADMIN_TOKEN={token}\n")).unwrap();
        Self { directory, service }
    }

    /// Runs a command in a shell that has what earlier ones exported, and a place for standard error; answers what it
    /// showed and its exit code.
    fn run(&self, command: &str, errors: &str) -> (String, i32) {
        let command = command.replace("localhost:4020", &self.service.address().to_string());
        let script =
            format!("exec {errors}\n. ./exported\n{command}\ncode=$?\nexport -p > exported\nexit $code\n");
        let path =
            format!("{}:{}", self.directory.path().join("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.directory.path())
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        (shown.replace(&self.service.address().to_string(), "localhost:4020"), output.status.code().unwrap())
    }
}

fn follow(page: &Path, errors: &str) {
    let steps = steps(&fs::read_to_string(page).unwrap());
    assert!(!steps.is_empty(), "{} shows nothing", page.display());
    let terminal = Terminal::new();
    let mut differing = Vec::new();
    for Step { command, shown, code } in steps {
        let (text, ended) = terminal.run(&command, errors);
        let lines: Vec<&str> = text.lines().collect();
        if ended != code || !fits(&shown, &lines) {
            let shown = shown.join("\n");
            differing.push(format!(
                "$ {command}\nends with {ended} and shows\n{text}where the page has {code} and\n{shown}"
            ));
        }
    }
    let (page, log) = (page.display(), terminal.service.log());
    assert!(differing.is_empty(), "{log}\n\n{page} differs:\n\n{}", differing.join("\n\n"));
}

fn page(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

#[test]
fn the_operators_procedures_go_as_their_page_shows() {
    follow(&page("procedures.md"), "2>&1");
}

#[test]
fn every_json_form_is_as_its_page_shows() {
    follow(&page("json.md"), "2>/dev/null");
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
