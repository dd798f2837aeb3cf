//! The README's commands, as their reader would type them, in a fresh clone.

use crate::{pki::eventually, transcript::line_fits};
use catalyst_rigs::{catalyst, http::Client};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// The commands in bash blocks between `<!-- test:NAME -->` and `<!-- /test:NAME -->`.
fn commands(readme: &str, name: &str) -> String {
    let (begin, end) = (format!("<!-- test:{name} -->"), format!("<!-- /test:{name} -->"));
    let marked = readme.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    let (marked, _) = marked.unwrap_or_else(|| panic!("the README has nothing between {begin} and {end}"));
    let blocks: Vec<&str> =
        marked.split("```bash\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(!blocks.is_empty(), "the README has no bash block between {begin} and {end}");
    blocks.concat()
}

/// The lines of the one bash block of a small README.
pub(crate) fn only_block(readme: &str) -> Vec<&str> {
    let (_, rest) = readme.split_once("```bash\n").unwrap();
    let (block, after) = rest.split_once("```").unwrap();
    assert!(!after.contains("```"), "the README has another block");
    block.lines().collect()
}

/// What needs no root where it is installed already: `sudo` takes this one command, and does nothing.
pub(crate) fn without_sudo(bin: &Path, command: &str) {
    let script =
        format!("#!/bin/sh\n[ \"$*\" = '{command}' ] || {{ echo \"not expected: sudo $*\" >&2; exit 1; }}\n");
    fs::write(bin.join("sudo"), script).unwrap();
    fs::set_permissions(bin.join("sudo"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// What stands after `before` in a service's log, to the end of the word.
pub(crate) fn word_after(log: &str, before: &str) -> String {
    let rest = log.split(before).nth(1).unwrap();
    rest.split(['"', '\n', ' ']).next().unwrap().to_owned()
}

/// Where the keys of the three CAs are, as the service of this log says.
pub(crate) fn ca_keys(log: &str) -> Vec<String> {
    let address = word_after(log, "\"address\":\"").parse().unwrap();
    let admin = Client::new(address).with_token(&word_after(log, "System Admin Token: "));
    let status = admin.get("/pki/status").unwrap().json().unwrap();
    ["rootCa", "servicesCa", "transportCa"]
        .map(|ca| status[ca]["keyUri"].as_str().unwrap().to_owned())
        .to_vec()
}

/// What is committed, as a stranger gets it.
pub(crate) fn clone_into(directory: &Path) -> PathBuf {
    let clone = directory.join("clone");
    let source = env!("CARGO_MANIFEST_DIR");
    // The owner of a checkout in CI is often another user, which git would refuse to read from.
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", source])
        .arg(&clone)
        .output()
        .expect("git is missing: install it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    clone
}

/// A `cargo` before the real one that runs the binary that was built with this test in the place of
/// `cargo run --release --`: compiling everything once more would take minutes and show nothing new. Any other use
/// of cargo fails the test.
pub(crate) fn wrapped_cargo(directory: &Path) -> PathBuf {
    let bin = directory.join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || {{ echo \"not expected: cargo $*\" >&2; exit 1; }}\n\
         shift 3\nexec '{}' \"$@\"\n",
        fs::canonicalize(catalyst().unwrap()).unwrap().display()
    );
    fs::write(bin.join("cargo"), script).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    // As `target/release` of the clone would have it.
    symlink(fs::canonicalize(catalyst().unwrap()).unwrap(), bin.join("catalyst")).unwrap();
    bin
}

/// A shell as a reader's: no settings of this test's environment, and an end at the first failure.
pub(crate) fn bash(commands: &str, directory: &Path, bin: &Path) -> Command {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", commands]).current_dir(directory);
    command.env_clear().env("PATH", path).env("HOME", directory);
    command
}

/// The first terminal: everything in it ends with this.
pub(crate) struct Terminal(Child);

impl Terminal {
    /// Starts a service that shows itself in `log`, and waits for its system token, as a reader does.
    pub(crate) fn serving(mut command: Command, log: &Path) -> Self {
        let out = fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).process_group(0);
        let mut terminal = Self(command.spawn().unwrap());
        eventually("the system token", || {
            let shown = fs::read_to_string(log).unwrap();
            assert!(terminal.0.try_wait().unwrap().is_none(), "the service has ended: {shown}");
            shown.contains("System Admin Token: eyJ").then_some(())
        });
        terminal
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell may have become the service or stand before it: the whole group ends.
        let group = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// A clone, and a service that the README's commands have started in it.
struct Reader {
    scratch: TempDir,
    clone: PathBuf,
    bin: PathBuf,
    readme: String,
    log: PathBuf,
    first: Terminal,
    port: u16,
}

impl Reader {
    /// Starts the service as the README says in the blocks of this name.
    fn start(name: &str, port: u16) -> Self {
        let scratch = TempDir::new().unwrap();
        let (clone, bin) = (clone_into(scratch.path()), wrapped_cargo(scratch.path()));
        let readme = fs::read_to_string(clone.join("README.md")).unwrap();
        assert!(
            TcpListener::bind(("127.0.0.1", port)).is_ok(),
            "something listens on 127.0.0.1:{port}, which the README's commands name: stop it, then test again"
        );
        let log = scratch.path().join("log");
        let first = Terminal::serving(bash(&commands(&readme, &format!("{name} serve")), &clone, &bin), &log);
        Self { scratch, clone, bin, readme, log, first, port }
    }

    fn shown(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What the commands of the second terminal print; all of it stands in the README.
    fn follow(&self, name: &str) -> String {
        let Output { status, stdout, stderr } =
            bash(&commands(&self.readme, name), &self.clone, &self.bin).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr).into_owned());
        assert!(status.success(), "{stdout}{stderr}{}", self.shown());
        for line in stdout.lines() {
            let is_shown = self.readme.lines().any(|shown| line_fits(shown, line));
            assert!(is_shown, "the README does not show: {line}");
        }
        stdout
    }

    /// What service and commands leave behind is not for git.
    fn end(self) {
        let output =
            Command::new("git").args(["status", "--porcelain"]).current_dir(&self.clone).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        drop(self.first);
        assert!(TcpStream::connect(("127.0.0.1", self.port)).is_err(), "the service is still there");
        drop(self.scratch);
    }
}

#[test]
fn the_quick_start_works_as_it_is_printed() {
    let reader = Reader::start("quickstart", 4020);
    let stdout = reader.follow("quickstart");
    assert!(stdout.starts_with("cert.pem: OK\n"), "{stdout}");
    let shown = reader.shown();
    for message in [
        "Root CA generated {\"fingerprint\":",
        "\"cn\":\"Catalyst Root CA\",\"algorithm\":\"EC-P384\",\"validity\":\"10 years\"}",
        "\"intermediates\":2,\"trust_domain\":\"catalyst.example.com\"}",
    ] {
        let in_both = shown.contains(message) && reader.readme.contains(message);
        assert!(in_both, "{message} is not in both:\n{shown}");
    }
    reader.end();
}

#[test]
fn the_production_start_works_as_it_is_printed() {
    let reader = Reader::start("production", 4443);
    let stdout = reader.follow("production");
    assert!(stdout.starts_with("[ok] PKI initialized:\n"), "{stdout}{}", reader.shown());
    let verified = stdout
        .find("\nnode-a.pem: OK\n")
        .zip(stdout.find("\n[ok] Backup is whole and verified: backup.age\n"));
    assert!(verified.is_some_and(|(node, backup)| node < backup), "{stdout}{}", reader.shown());
    assert!(reader.shown().contains("HTTPS, and HTTP to this machine"), "{}", reader.shown());
    reader.end();
}

#[test]
fn only_marked_commands_are_taken_from_a_readme() {
    let readme = "```bash\nrm -rf /\n```\n<!-- test:a -->\ntalk\n```bash\none\n```\n```\nshown\n```\n```bash\ntwo\n```\n<!-- /test:a -->\n```bash\nthree\n```\n";
    assert_eq!(commands(readme, "a"), "one\ntwo\n");
}
