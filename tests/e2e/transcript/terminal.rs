//! Where the commands of a page are typed: beside a service that the test has started, or on a machine with nothing but
//! the program, where stand-ins for what only a real one has (`bin/`) take the commands that need root.

use catalyst_rigs::{Launch, Service, aws::LocalStack, catalyst, gcp::FakeKms};
use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

/// A shell, and what is around it.
pub(super) struct Terminal {
    directory: TempDir,
    /// What a page calls something, and what it is called here.
    names: Vec<(&'static str, String)>,
    service: Option<Service>,
    /// Ends with the terminal.
    _google: Option<FakeKms>,
}

impl Terminal {
    /// A service without a CA, and an administrator who has its token.
    pub(super) fn beside_a_service() -> Self {
        let directory = TempDir::new().unwrap();
        let (data, bin) = (directory.path().join("pki"), directory.path().join("bin"));
        for made in [&data, &bin] {
            fs::create_dir(made).unwrap();
        }
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        let binary = built();
        symlink(&binary, bin.join("catalyst")).unwrap();
        let mut service = Launch::new(&binary, &data)
            .env("CATALYST_PKI_LOCAL_PASSPHRASE", "a passphrase of more than 16 characters")
            .env("CATALYST_NODE_ID", "auth-1")
            .start()
            .unwrap();
        let token = service.wait_for("System Admin Token").unwrap();
        let token = token.message.split_once(": ").unwrap().1;
        let names = vec![("localhost:4020", service.address().to_string())];
        let terminal = Self { directory, names, service: Some(service), _google: None };
        terminal.begin(&[("ADMIN_TOKEN", token.to_owned())]);
        terminal
    }

    /// A machine with the program and this key store: `key files`, `softhsm`, `localstack`, `google`.
    pub(super) fn on_a_machine(key_store: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let root = directory.path().to_owned();
        for made in ["etc/catalyst", "etc/systemd/system", "var/lib", "srv", "bin"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        for stand_in in fs::read_dir(sources.join("tests/e2e/transcript/bin")).unwrap() {
            let path = stand_in.unwrap().path();
            symlink(&path, root.join("bin").join(path.file_name().unwrap())).unwrap();
        }
        symlink(sources.join("docs"), root.join("docs")).unwrap();
        let port = free_port().to_string();
        let mut variables = vec![
            ("STAND_IN_ROOT", root.display().to_string()),
            ("STAND_IN_BINARY", built().display().to_string()),
            ("STAND_IN_PORT", port.clone()),
            ("STAND_IN_TEST", process::id().to_string()),
        ];
        let here = |path: &str| root.join(path.trim_start_matches('/')).display().to_string();
        let mut names: Vec<_> = ["/etc/", "/var/lib/", "/srv/"].map(|path| (path, here(path) + "/")).to_vec();
        names.extend([("4020", port), ("pki.acme.example.org", "localhost".into())]);
        let mut google = None;
        match key_store {
            "key files" => {}
            "softhsm" => variables.push(("SOFTHSM2_CONF", softhsm(&root, &mut names))),
            "localstack" => variables.extend(localstack()),
            "google" => {
                let fake = FakeKms::start().unwrap();
                variables.push(("CATALYST_PKI_GCP_ENDPOINT", fake.endpoint()));
                variables.push(("GCE_METADATA_HOST", fake.address().to_string()));
                google = Some(fake);
            }
            other => panic!("no surroundings are called {other}"),
        }
        let terminal = Self { directory, names, service: None, _google: google };
        terminal.begin(&variables);
        terminal
    }

    /// What the first command finds exported.
    fn begin(&self, variables: &[(&'static str, String)]) {
        let lines = variables.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        fs::write(self.directory.path().join(".exported"), lines.collect::<String>()).unwrap();
    }

    /// A text of a page, with what its names are here.
    pub(super) fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, here)| text.replace(name, here))
    }

    /// Runs a command in a shell that goes on where the last one was, as far as its directory, umask and variables
    /// are concerned, with a place for standard error; answers what it showed and its exit code.
    pub(super) fn run(&self, command: &str, errors: &str) -> (String, i32) {
        let root = self.directory.path();
        let kept = root.join(".exported").display().to_string();
        let script = format!(
            "exec {errors}\n. {kept}\n{command}\ncode=$?\n{{ export -p; printf 'cd %q; umask %s\\n' \"$PWD\" \"$(umask)\"; }} > {kept}\nexit $code\n"
        );
        let path = format!("{}:{}", root.join("bin").display(), env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(root)
            .env_clear()
            .env("PATH", path)
            .env("HOME", root)
            .output()
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    /// What the service has logged.
    pub(super) fn log(&self) -> String {
        match &self.service {
            Some(service) => service.log(),
            None => fs::read_to_string(self.directory.path().join("journal")).unwrap_or_default(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.service.is_none() {
            self.run("systemctl stop catalyst; gpgconf --kill all", ">/dev/null 2>&1");
        }
    }
}

fn built() -> PathBuf {
    fs::canonicalize(catalyst().unwrap()).unwrap()
}

/// A port that nobody listens at. Tests that run at the same time ask for others, and no client is given one of these.
fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);

    let first = process::id() * 16 + ASKED.fetch_add(1, Ordering::Relaxed);
    let mut ports = (0..10_000).map(|next| 20_000 + (first + next) % 10_000);
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    ports.by_ref().filter_map(|port| u16::try_from(port).ok()).find(is_free).expect("every port is taken")
}

/// SoftHSM without a token; gives the path of its configuration.
fn softhsm(root: &Path, names: &mut Vec<(&'static str, String)>) -> String {
    let module = env::var("CATALYST_RIG_SOFTHSM").expect("run tests/run, which prepares SoftHSM");
    names.insert(0, ("/usr/lib/softhsm/libsofthsm2.so", module));
    let (tokens, configuration) = (root.join("tokens"), root.join("softhsm2.conf"));
    fs::create_dir(&tokens).unwrap();
    fs::write(&configuration, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))
        .unwrap();
    configuration.display().to_string()
}

fn localstack() -> Vec<(&'static str, String)> {
    let localstack = LocalStack::at_hand().unwrap();
    let mut variables = vec![("CATALYST_PKI_AWS_ENDPOINT", localstack.endpoint())];
    for (name, value) in localstack.credentials() {
        // The names are the SDK's, and there for as long as the test is.
        variables.push((String::leak(name), value));
    }
    variables
}
