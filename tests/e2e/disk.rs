//! A disk that is full or fails while the service runs: refusals, no loss, and work again when it is cured.

use crate::{
    deployment::{Answer, Deployment, Holder, until},
    inspect::facts,
};
use catalyst_rigs::{Service, http::Client};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

/// Issues until it is refused: what was handed out, and the refusal.
fn issue_until_refused(client: &Client, holder: &Holder) -> (Vec<String>, Answer) {
    let mut serials = Vec::new();
    loop {
        let answer = holder.ask(client).unwrap();
        if answer.status != 200 {
            return (serials, answer);
        }
        serials.push(answer.body["serial"].as_str().unwrap().to_owned());
        assert!(serials.len() < 1000, "it never noticed");
    }
}

/// While nothing can be written: refused with this code, and reading goes on.
fn only_reading_works(client: &Client, holder: &Holder, code: &str) {
    for answer in [holder.ask(client).unwrap(), holder.deny(client).unwrap()] {
        assert_eq!((answer.status, answer.code()), (503, code), "{}", answer.body);
    }
    for path in
        ["/health", "/ready", "/pki/ca/bundle", "/pki/crl", "/pki/status", "/pki/certificates?limit=5"]
    {
        assert_eq!(client.get(path).unwrap().status, 200, "{path}");
    }
}

fn is_recorded(client: &Client, serial: &str) -> bool {
    client.get(&format!("/pki/certificates/{serial}")).unwrap().status == 200
}

/// The data directory on a small disk of its own, which goes when the service does.
fn on_a_small_disk(deployment: &Deployment) -> Service {
    let mount = format!(
        "mount -t tmpfs -o size=6m,mode=700 small {} && exec \"$@\"",
        deployment.data_dir().display()
    );
    let mut wrapper = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    wrapper.extend(["sh", "-c", &mount, "sh"]);
    deployment.launch_through(&wrapper).start().unwrap()
}

/// The service's own view of a path.
fn as_seen_by(service: &Service, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", service.pid(), path.display()))
}

#[test]
fn a_full_disk_stops_issuance_and_nothing_else_until_there_is_room() {
    let deployment = Deployment::dev();
    let service = on_a_small_disk(&deployment);
    let directory = as_seen_by(&service, &deployment.data_dir());
    let token = until("there is a token", || fs::read_to_string(directory.join("system-token")).ok());
    let client = service.http().with_token(token.trim());
    until("credentials are checked", || (client.get("/pki/status").unwrap().status == 200).then_some(()));
    let holder = Holder::new("gateway", "g.example.org");
    let first = holder.get(&client)["serial"].as_str().unwrap().to_owned();

    let ballast = directory.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    let (mut serials, refused) = issue_until_refused(&client, &holder);
    assert_eq!((refused.status, refused.code()), (503, "store_full"), "{}", refused.body);
    assert!(
        refused.error().contains("make room on the disk of CATALYST_PKI_CERTS_DB"),
        "{}",
        refused.error()
    );
    only_reading_works(&client, &holder, "store_full");

    fs::remove_file(&ballast).unwrap();
    serials.push(first);
    serials.push(holder.get(&client)["serial"].as_str().unwrap().to_owned());
    assert!(serials.iter().all(|serial| is_recorded(&client, serial)));
    assert_eq!(holder.deny(&client).unwrap().body["expiringCerts"].as_array().unwrap().len(), serials.len());
}

/// How large a file of the service may become from now on.
fn limit_files(service: &Service, size: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(service.pid()).unwrap()).unwrap();
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: size, maximum: None }).unwrap();
}

#[test]
fn writes_that_fail_are_answered_and_nothing_is_recorded_by_half() {
    let deployment = Deployment::dev();
    // Without a handler for the signal that goes with it, the limit shows as a failed write.
    let mut service =
        deployment.launch_through(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]).start().unwrap();
    let client = deployment.admin(&service);
    let holder = Holder::new("gateway", "g.example.org");
    holder.get(&client);
    let log = fs::metadata(deployment.data_dir().join("certs.db-wal")).unwrap().len();
    limit_files(&service, Some(log + 100_000));
    let (mut serials, refused) = issue_until_refused(&client, &holder);
    assert_eq!((refused.status, refused.code()), (503, "store_unavailable"), "{}", refused.body);
    only_reading_works(&client, &holder, "store_unavailable");
    limit_files(&service, None);
    serials.push(holder.get(&client)["serial"].as_str().unwrap().to_owned());

    // And once more, ending in the trouble.
    let log = fs::metadata(deployment.data_dir().join("certs.db-wal")).unwrap().len();
    limit_files(&service, Some(log));
    let (more, _) = issue_until_refused(&client, &holder);
    serials.extend(more);
    service.kill().unwrap();
    let facts = facts(&deployment.data_dir());
    assert!(serials.iter().all(|serial| facts.issued.contains_key(serial)));
    let (_service, client) = deployment.initialized();
    holder.get(&client);
}
