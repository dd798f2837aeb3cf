//! A lost system token: a new one is made beside the stopped service.

use catalyst_rigs::{Launch, Service, catalyst};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn start(directory: &Path) -> Service {
    Launch::new(&catalyst().unwrap(), directory).arg("--dev").start().unwrap()
}

fn recover(directory: &Path, args: &[&str]) -> (i32, String, String) {
    let elsewhere = TempDir::new().unwrap();
    let mut command = Command::new(catalyst().unwrap());
    command.args(["token", "recover", "--dev", "--data-dir"]).arg(directory).args(args);
    let output = command.current_dir(elsewhere.path()).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The token in the data directory, once the service has made it.
fn token(directory: &Path) -> String {
    let (path, end) = (directory.join("system-token"), Instant::now() + Duration::from_secs(30));
    while !path.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// The answer to a request that only an administrator may make, once the service can check tokens.
fn status(service: &Service, token: &str) -> u16 {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = service.http().with_token(token).get("/pki/status").unwrap();
        if answer.status != 503 || Instant::now() > end {
            return answer.status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_new_system_token_is_made_beside_the_stopped_service_alone() {
    let directory = TempDir::new().unwrap();
    let mut service = start(directory.path());
    let first = token(directory.path());
    let (code, stdout, stderr) = recover(directory.path(), &[]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains(&format!("process {}", service.pid())), "{stderr}");
    assert_eq!(token(directory.path()), first);
    service.stop().unwrap();

    let (code, stdout, stderr) = recover(directory.path(), &[]);
    assert_eq!(code, 0, "{stderr}");
    let path = directory.path().join("system-token");
    assert_eq!(stdout.trim(), path.display().to_string());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = token(directory.path());
    assert_ne!(second, first);
    assert!(
        !stderr.contains(&second) && stderr.contains("hint: earlier system tokens stay good"),
        "{stderr}"
    );

    let (code, stdout, _) =
        recover(directory.path(), &["--print", "--output", "json", "--policy-dir", "/absent"]);
    assert_eq!(code, 0);
    let third = token(directory.path());
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["token"], third);

    let service = start(directory.path());
    assert_eq!(token(directory.path()), third);
    for token in [&third, &second] {
        assert_eq!(status(&service, token), 200);
    }
}

/// The store knows its trust domain, and the file that a client would need is what is made.
#[test]
fn neither_the_trust_domain_nor_the_clients_token_file_need_be_there() {
    let directory = TempDir::new().unwrap();
    let variables = [
        ("CATALYST_PKI_TRUST_DOMAIN", "other.example.org"),
        ("CATALYST_AUTH_TOKEN_FILE", "/absent/system-token"),
    ];
    let launch = |directory: &Path| {
        let launch = Launch::new(&catalyst().unwrap(), directory).arg("--dev");
        variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start().unwrap()
    };
    let mut service = launch(directory.path());
    let first = token(directory.path());
    assert_eq!(status(&service, &first), 200);
    service.stop().unwrap();
    let (code, _, stderr) = recover(directory.path(), &[]);
    assert_eq!(code, 0, "{stderr}");
    let service = launch(directory.path());
    assert_eq!(status(&service, &token(directory.path())), 200);
}

#[test]
fn where_no_store_is_none_is_made() {
    let directory = TempDir::new().unwrap();
    let (code, stdout, stderr) = recover(directory.path(), &[]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("--data-dir"), "{stderr}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
