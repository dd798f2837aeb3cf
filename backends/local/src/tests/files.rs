//! Modes, whole writes, names that are taken.

use super::*;
use crate::{LocalError, files};
use catalyst_signing::{KeyPin, KeyState};
use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn directory_and_files_are_private() {
    let home = directory();
    let keys = home.path().join("data/keys");
    let backend = cheap(&keys);
    backend.create(&intent(KeyRole::Root, 1, SignatureAlgorithm::Ed25519)).await.unwrap();
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("root-1.pem")), 0o600);
    assert_eq!(names(&keys), ["root-1.pem"]);
}

#[test]
fn a_directory_others_can_look_into_is_refused() {
    let home = directory();
    fs::set_permissions(home.path(), Permissions::from_mode(0o750)).unwrap();
    let error = LocalBackend::open(home.path().to_owned(), PASSPHRASE.into()).unwrap_err();
    assert!(error.to_string().contains(&format!("run `chmod 700 {}`", home.path().display())), "{error}");
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let home = directory();
    let path = home.path().join("keys");
    fs::write(&path, "").unwrap();
    let error = LocalBackend::open(path, PASSPHRASE.into()).unwrap_err();
    assert!(matches!(error, LocalError::NotADirectory(_)), "{error}");
}

#[tokio::test]
async fn a_file_others_can_read_is_refused() {
    let home = directory();
    let backend = cheap(home.path());
    let pin = backend.create(&intent(KeyRole::Root, 1, SignatureAlgorithm::Ed25519)).await.unwrap();
    let file = home.path().join("root-1.pem");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let error = backend.open(&pin).await.unwrap_err();
    assert_eq!(error.code(), "key_refused_configuration");
    assert!(
        error
            .to_string()
            .contains(&format!("mode 0640, others can read it: run `chmod 600 {}`", file.display()))
    );
}

#[test]
fn a_taken_name_is_never_overwritten() {
    let home = directory();
    let path = home.path().join("root-1.pem");
    assert!(files::write_new(&path, b"first").unwrap());
    assert!(!files::write_new(&path, b"second").unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(names(home.path()), ["root-1.pem"]);
}

#[test]
fn what_a_crash_left_is_cleared_and_what_is_being_written_is_not() {
    let home = directory();
    fs::write(home.path().join(".root-1.pem.00.tmp"), "half").unwrap();
    fs::write(home.path().join("notes.tmp"), "an operator's").unwrap();
    let busy = File::create(home.path().join(".root-2.pem.01.tmp")).unwrap();
    busy.lock().unwrap();
    cheap(home.path());
    assert_eq!(names(home.path()), [".root-2.pem.01.tmp", "notes.tmp"]);
}

#[tokio::test]
async fn sixteen_creations_of_one_intent_make_one_key() {
    let home = directory();
    let backend = cheap(home.path());
    let intent = intent(KeyRole::Services, 1, SignatureAlgorithm::EcP384);
    let made: Vec<_> = (0..16)
        .map(|_| {
            let (backend, intent) = (backend.clone(), intent.clone());
            tokio::spawn(async move { backend.create(&intent).await.unwrap() })
        })
        .collect();
    let mut pins = Vec::new();
    for task in made {
        pins.push(task.await.unwrap());
    }
    assert!(pins.iter().all(|pin| *pin == pins[0]));
    assert_eq!(names(home.path()), ["services-1.pem"]);
}

#[tokio::test]
async fn a_key_given_up_is_set_aside_and_can_be_put_back() {
    let home = directory();
    let backend = cheap(home.path());
    let intent = intent(KeyRole::Services, 1, SignatureAlgorithm::Ed25519);
    let pin = backend.create(&intent).await.unwrap();
    let open = backend.open(&pin).await.unwrap();

    let other = KeyPin { spki: vec![1], ..pin.clone() };
    let error = backend.schedule_destruction(&other).await.unwrap_err();
    assert!(error.to_string().contains("nothing was destroyed"), "{error}");

    backend.schedule_destruction(&pin).await.unwrap();
    let left = names(home.path());
    assert!(left.len() == 1 && left[0].starts_with("services-1.pem.destroyed-"), "{left:?}");
    assert_eq!(open.state().await.unwrap(), KeyState::Gone);
    assert_eq!(backend.open(&pin).await.unwrap_err().code(), "key_refused_missing");

    fs::rename(home.path().join(&left[0]), home.path().join("services-1.pem")).unwrap();
    assert_eq!(backend.find(&intent).await.unwrap(), Some(pin));
}
