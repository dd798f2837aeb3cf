//! `pki cert generate` when it is ended in the middle, or when the disk is full.

use crate::{
    auth_cli::{done, start},
    cert_cli::{GATEWAY, generate, names, places},
};
use catalyst_rigs::{Service, checkers::openssl};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The address of something that answers this to everybody.
pub(crate) fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A client that has gone away has seen enough.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn whoever_ends_it_while_the_service_is_silent_finds_things_as_they_were() {
    for (ending, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let (out, cert, key) = places();
        fs::write(&key, "old").unwrap();
        let mut child = Command::new(catalyst_rigs::catalyst().unwrap())
            .args(generate(GATEWAY, &cert, &key, &["--force"]))
            .env_clear()
            .env("CATALYST_AUTH_URL", format!("ws://{}/rpc", silent.local_addr().unwrap()))
            .env("CATALYST_AUTH_TOKEN", "t")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _connection = silent.accept().unwrap();
        // The key is on the disk by now, under a name that nobody takes for it, and for its owner alone.
        let begun = names(out.path());
        assert_eq!(begun.len(), 3, "{begun:?}");
        let keys = begun.iter().filter(|name| {
            let path = out.path().join(name);
            let is_key = fs::read_to_string(&path).unwrap().contains("PRIVATE KEY");
            assert!(!is_key || fs::metadata(path).unwrap().mode() & 0o777 == 0o600);
            is_key
        });
        assert_eq!(keys.count(), 1);
        signal(&child, ending);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{said}");
        assert!(said.contains("interrupted"), "{said}");
        assert_eq!(
            (names(out.path()), fs::read_to_string(&key).unwrap()),
            (vec!["key.pem".into()], "old".into())
        );
    }
}

/// Runs a shell script in whose sight `out` is a disk of so many bytes.
fn on_a_disk_of(service: &Service, size: &str, script: &str) -> (i32, String) {
    let binary = catalyst_rigs::catalyst().unwrap();
    fs::create_dir_all(service.data_dir().join("out")).unwrap();
    let script = format!("mount -t tmpfs -o size={size} small out && {{ {script}\n}}");
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["bash", "-c", &script]).current_dir(service.data_dir()).env_clear();
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", binary.parent().unwrap().display()));
    command.env("CATALYST_AUTH_URL", format!("ws://{}/rpc", service.address()));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

const GENERATE: &str = "catalyst pki cert generate --spiffe-id spiffe://catalyst.example.com/gateway/gateway-a --output-cert out/cert.pem --output-key out/key.pem";

#[test]
fn a_full_disk_shows_before_anybody_is_asked() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let script =
        format!("dd if=/dev/zero of=out/ballast bs=4096 2>/dev/null\n{GENERATE}; echo code $?; ls -A out");
    let (_, said) = on_a_disk_of(&service, "16k", &script);
    assert!(said.contains("code 1\nballast\n"), "{said}");
    assert!(
        said.contains("error: cannot write out/key.pem: ") && said.contains("nothing was asked"),
        "{said}"
    );
    assert_eq!(done(&service, &["pki", "cert", "list"]).lines().count(), 3, "the CAs alone");
}

/// One page takes the key and has no room for the certificate.
#[test]
fn a_disk_that_fills_up_loses_no_key() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let script = format!(
        r#"{GENERATE} 2>said; echo code $?; cat said; ls -A out
        mount -o remount,size=64k out
        mv out/.catalyst-*.new out/key.pem
        serial=$(sed -n 's/^error: certificate \([0-9a-f]*\) .*/\1/p' said)
        catalyst pki cert export "$serial" --chain --output-cert out/cert.pem || exit 1
        cp out/key.pem kept.key; cp out/cert.pem kept.pem"#
    );
    let (code, said) = on_a_disk_of(&service, "4k", &script);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("code 1\nerror: certificate "), "{said}");
    assert!(
        said.contains("its key is in ")
            && said.contains("hint: make room, then run the same again, or fetch it: "),
        "{said}"
    );
    let kept = |args: &[&str], name: &str| {
        let path = directory.path().join(name);
        openssl(&[args, &["-in", path.to_str().unwrap()]].concat()).unwrap()
    };
    assert_eq!(kept(&["x509", "-noout", "-pubkey"], "kept.pem"), kept(&["pkey", "-pubout"], "kept.key"));
}

/// The files are made by then, and nobody else says so.
#[test]
fn a_result_that_cannot_be_printed_leaves_files_that_are_named() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let generate = format!("{GENERATE} >/dev/full; echo code $?");
    let (_, said) = on_a_disk_of(&service, "64k", &generate);
    assert!(said.contains("code 1\n"), "{said}");
    assert!(
        said.contains("hint: ") && said.contains("written all the same: out/cert.pem, out/key.pem"),
        "{said}"
    );
    let list = done(&service, &["pki", "cert", "list", "--spiffe-id", GATEWAY]);
    let serial = list.split('\t').next().unwrap();
    let export =
        format!("catalyst pki cert export {serial} --output-cert out/c.pem >/dev/full; echo code $?");
    let (_, said) = on_a_disk_of(&service, "64k", &export);
    assert!(said.contains("code 1\n") && said.contains("written all the same: out/c.pem"), "{said}");
}

/// A service that is slow gives others the time to put something where the key belongs.
#[test]
fn what_comes_to_lie_at_the_keys_place_is_named() {
    let directory = TempDir::new().unwrap();
    let service = start(directory.path());
    let slow = slowed(service.address());
    let script = format!(
        r#"export CATALYST_AUTH_URL=ws://{slow}/rpc
        begun() {{ until ls -A "$1" | grep -q new; do sleep 0.1; done; }}
        {GENERATE} &
        begun out; echo mine > out/key.pem; wait $!; echo code $?; cat out/key.pem
        mkdir away; {} &
        begun away; rm -r away; wait $!; echo code $?"#,
        GENERATE.replace("out/", "away/")
    );
    let (_, said) = on_a_disk_of(&service, "64k", &script);
    assert!(said.contains("out/key.pem cannot be written: File exists"), "{said}");
    assert!(
        said.contains("move away what has come to be at out/key.pem") && said.contains("code 1\nmine\n"),
        "{said}"
    );
    assert!(said.contains("its key is gone with the directory it was in"), "{said}");
}

/// The address of something that passes on what comes, two seconds later.
fn slowed(to: std::net::SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut near, mut far) = (stream.unwrap(), TcpStream::connect(to).unwrap());
            let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::sleep(Duration::from_secs(2));
            thread::spawn(move || {
                // Whoever hangs up has what it wanted.
                let _ = std::io::copy(&mut from_near, &mut to_far);
                let _ = to_far.shutdown(Shutdown::Write);
            });
            let _ = std::io::copy(&mut far, &mut near);
        }
    });
    address
}
