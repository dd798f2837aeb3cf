//! A certificate store that can't be used: the start fails, says why, and leaves everything as it was.

use crate::deployment::{Deployment, exit};
use catalyst_pki::store::SqliteStore;
use catalyst_rigs::Launch;
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A deployment with a store that nothing was written to.
fn with_store() -> (Deployment, PathBuf) {
    let deployment = Deployment::production();
    let path = deployment.data_dir().join("certs.db");
    drop(SqliteStore::open(&path).unwrap());
    (deployment, path)
}

/// Every file of the data directory but the lock.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && !path.ends_with("catalyst.lock"));
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// The start ends with 1 and these words, and no file has changed.
fn refused(deployment: &Deployment, launch: Launch, words: &[&str]) {
    let before = files(&deployment.data_dir());
    let (code, log) = exit(launch);
    assert_eq!(code, 1, "{log}");
    for word in words {
        assert!(log.contains(word), "'{word}' is not in: {log}");
    }
    assert!(!log.contains("Listening"), "{log}");
    assert_eq!(files(&deployment.data_dir()), before);
}

#[test]
fn a_truncated_store_is_refused_and_left_alone() {
    let (deployment, path) = with_store();
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 99, 100, 4095, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let name = path.display().to_string();
        refused(&deployment, deployment.launch(), &[&name, "restore it from a backup"]);
    }
    fs::write(&path, &whole).unwrap();
    drop(deployment.start());
}

#[test]
fn a_store_that_was_cut_off_while_its_log_lay_beside_it_is_refused() {
    let deployment = Deployment::dev();
    let (mut service, client) = deployment.initialized();
    crate::deployment::Holder::new("gateway", "g.example.org").get(&client);
    service.stop().unwrap();
    let (mut service, client) = deployment.initialized();
    crate::deployment::Holder::new("gateway", "g.example.org").get(&client);
    service.kill().unwrap();
    let path = deployment.data_dir().join("certs.db");
    assert!(fs::metadata(deployment.data_dir().join("certs.db-wal")).unwrap().len() > 0);
    let whole = fs::read(&path).unwrap();
    for length in [4096, whole.len() / 8192 * 4096] {
        let harmed = deployment.copy();
        fs::write(harmed.data_dir().join("certs.db"), &whole[..length]).unwrap();
        let (code, log) = harmed.refused();
        assert_eq!(code, 1, "{length}: {log}");
        assert!(log.contains("restore it from a backup"), "{length}: {log}");
    }
    drop(deployment.initialized());
}

#[test]
fn a_file_that_is_no_store_of_ours_is_refused_and_left_alone() {
    let deployment = Deployment::production();
    let path = deployment.data_dir().join("certs.db");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    refused(&deployment, deployment.launch(), &["no SQLite database", "restore it from a backup"]);
    fs::remove_file(&path).unwrap();

    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE certificate (serial TEXT)").unwrap();
    drop(foreign);
    refused(&deployment, deployment.launch(), &["the database of another program"]);
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    refused(&deployment, deployment.launch(), &[&path.display().to_string(), "directory"]);
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_both_schemas_are_named() {
    let (deployment, path) = with_store();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let words = ["written by a newer version (schema 99, this program knows 3)", "start that version"];
    refused(&deployment, deployment.launch(), &words);
}

#[test]
fn a_missing_store_beside_its_log_is_not_made_anew() {
    let (deployment, path) = with_store();
    fs::rename(&path, deployment.data_dir().join("certs.db-wal")).unwrap();
    refused(
        &deployment,
        deployment.launch(),
        &["the file is missing, but its log", "restore it from a backup"],
    );
}

#[test]
fn a_second_process_on_a_data_directory_ends_and_names_the_first() {
    let deployment = Deployment::production();
    let service = deployment.start();
    let (code, log) = deployment.refused();
    assert_eq!(code, 1, "{log}");
    let holder = format!("in use by process {} (catalyst)", service.pid());
    assert!(log.contains(&holder) && log.contains("stop that process first"), "{log}");
    assert_eq!(service.http().get("/health").unwrap().status, 200);
}

#[test]
fn a_missing_data_directory_is_made_for_its_owner_alone() {
    let deployment = Deployment::production();
    let directory = deployment.beside("new/deep");
    let path = directory.join("certs.db");
    let launch = deployment.launch().env("CATALYST_PKI_CERTS_DB", path.to_str().unwrap());
    let service = launch.start().unwrap();
    assert_eq!(service.http().get("/pki/ca/bundle").unwrap().status, 503);
    for made in [&directory, &path, &directory.join("keys")] {
        let mode = fs::metadata(made).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", made.display());
    }
}

/// Mode bits bind root only without these capabilities; anybody else they bind anyway.
fn bound_by_modes(deployment: &Deployment) -> Launch {
    if rustix::process::geteuid().is_root() {
        let without = "--bounding-set=-dac_override,-dac_read_search,-fowner";
        return deployment.launch_through(&["setpriv", without]);
    }
    deployment.launch()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_refused_with_the_permission_to_check() {
    let (deployment, path) = with_store();
    let words = ["the certificate store cannot be written", "check owner and mode"];
    set_mode(&path, 0o400);
    refused(&deployment, bound_by_modes(&deployment), &words);
    set_mode(&path, 0o600);

    fs::remove_file(deployment.data_dir().join("catalyst.lock")).unwrap();
    set_mode(&deployment.data_dir(), 0o500);
    refused(&deployment, bound_by_modes(&deployment), &words);
    set_mode(&deployment.data_dir(), 0o700);
    drop(bound_by_modes(&deployment).start().unwrap());
}
