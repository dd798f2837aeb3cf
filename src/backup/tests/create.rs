//! What a backup leaves behind, and what it refuses.

use super::*;
use age::secrecy::SecretString;
use rusqlite::Connection;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_cut_off_at_every_4_kib_is_found_out_and_leaves_nothing() {
    let ca = Ca::new().await;
    // Noise, so that it is long enough to have many chunks.
    let noise = Connection::open(ca.certs_db()).unwrap();
    noise.execute("UPDATE deployment SET plan = plan", ()).unwrap();
    noise
        .execute(
            "INSERT INTO blocked_key WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
             SELECT randomblob(32), randomblob(16), i FROM n",
            (),
        )
        .unwrap();
    drop(noise);
    let backup = ca.backup().await;
    assert!(backup.len() > 3 * 65_536, "{}", backup.len());
    let trust = Trust::Root(ca.root());
    ca.verify(&backup, trust).unwrap();
    for end in (0..backup.len()).step_by(4096).chain([backup.len() - 1]) {
        let error = ca.verify(&backup[..end], trust).unwrap_err();
        assert!(matches!(error, BackupError::Damaged(_)), "{end}: {error:?}");
    }
    for place in (0..backup.len()).step_by(backup.len() / 61) {
        let mut altered = backup.clone();
        altered[place] ^= 0x10;
        let error = ca.verify(&altered, trust).unwrap_err();
        assert!(matches!(error, BackupError::Damaged(_) | BackupError::Closed(_)), "{place}: {error:?}");
    }
}

#[tokio::test]
async fn only_its_identity_or_passphrase_opens_it() {
    let ca = Ca::new().await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("backup.age");
    fs::write(&file, ca.backup().await).unwrap();
    let stranger = Identities(vec![Box::new(x25519::Identity::generate())]);
    let error = inspect(&file, &stranger, Trust::FirstUse, &Unwatched).unwrap_err();
    assert!(
        matches!(&error, BackupError::Closed(clause) if clause.contains("encrypted to others")),
        "{error:?}"
    );

    let passphrase = || SecretString::from("correct horse battery".to_owned());
    assert!(Lock::of_passphrase("short".to_owned().into()).is_err());
    let snapshot = ca.snapshot().unwrap();
    let (manifest, seal) = (snapshot.manifest.bytes().unwrap(), ca.seal(&snapshot).await.bytes().unwrap());
    let lock = Lock::of_passphrase(passphrase()).unwrap();
    fs::write(&file, write(Vec::new(), &lock, &snapshot, &manifest, &seal, &Unwatched).unwrap()).unwrap();
    let opened = inspect(&file, &passphrase_identity(passphrase()), Trust::FirstUse, &Unwatched).unwrap();
    assert_eq!((opened.header.summary().as_str(), &opened.manifest), ("1 passphrase", &snapshot.manifest));
    let wrong = passphrase_identity("another passphrase".to_owned().into());
    assert!(matches!(inspect(&file, &wrong, Trust::FirstUse, &Unwatched), Err(BackupError::Closed(_))));
}

/// Answers every question with one passphrase.
#[derive(Clone)]
struct Answers(&'static str);

impl age::Callbacks for Answers {
    fn display_message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, _: &str) -> Option<SecretString> {
        Some(self.0.to_owned().into())
    }
}

#[test]
fn identity_files_are_read_as_they_are_and_encrypted() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("identity");
    let identity = x25519::Identity::generate();
    let text = format!("# a note\n\n{}\n", age::secrecy::ExposeSecret::expose_secret(&identity.to_string()));
    fs::write(&path, &text).unwrap();
    assert_eq!(read_identities(&path, age::NoCallbacks).unwrap().0.len(), 1);
    let mut recipient = age::scrypt::Recipient::new("one two three four".to_owned().into());
    recipient.set_work_factor(4);
    for armored in [false, true] {
        let encrypted = match armored {
            true => age::encrypt_and_armor(&recipient, text.as_bytes()).unwrap().into_bytes(),
            false => age::encrypt(&recipient, text.as_bytes()).unwrap(),
        };
        fs::write(&path, &encrypted).unwrap();
        assert_eq!(read_identities(&path, Answers("one two three four")).unwrap().0.len(), 1);
        let wrong = read_identities(&path, Answers("another")).unwrap_err();
        assert!(
            matches!(&wrong, BackupError::Closed(clause) if clause.contains("does not open")),
            "{wrong:?}"
        );
    }
    let header_alone = b"age-encryption.org/v1\n-> scrypt rF0/NwblUHHTpgQgRpe5CQ 30\n";
    fs::write(&path, header_alone).unwrap();
    assert!(read_identities(&path, Answers("x")).is_err());
    for text in ["", "# nothing\n", "ssh-ed25519 AAAA\n", "AGE-SECRET-KEY-1NONSENSE\n"] {
        fs::write(&path, text).unwrap();
        let refused = read_identities(&path, age::NoCallbacks).unwrap_err().to_string();
        assert!(refused.contains("no file of age identities") && !refused.contains("NONSENSE"), "{refused}");
    }
}

#[tokio::test]
async fn nothing_in_the_clear_outlives_the_snapshot() {
    let ca = Ca::new().await;
    let work = TempDir::new().unwrap();
    let snapshot = ca.snapshot_in(work.path()).unwrap();
    assert_eq!(names(work.path()).len(), 1);
    drop(snapshot);
    assert_eq!(names(work.path()), [""; 0]);
    fs::write(ca.directory.path().join("keys/services-1.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let error = ca.snapshot_in(work.path()).unwrap_err().to_string();
    assert!(error.contains("services-1.pem is no encrypted key file"), "{error}");
    fs::remove_file(ca.directory.path().join("keys/services-1.pem")).unwrap();
    let snapshot = ca.snapshot_in(work.path()).unwrap();
    assert!(
        snapshot.notes[0].contains("services-1.pem of local:services-1 is not there"),
        "{:?}",
        snapshot.notes
    );
    assert_eq!(snapshot.manifest.parts.len(), 3);
    drop(snapshot);
    assert_eq!(names(work.path()), [""; 0]);
}

#[test]
fn what_is_no_initialized_store_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("certs.db");
    let take = || {
        let source = Source { certs_db: &path, work_dir: directory.path(), key_file: &|_, _| None };
        Snapshot::take(&source, now(), &Unwatched).unwrap_err().to_string()
    };
    assert!(take().contains("there is no certificate store at"));
    drop(SqliteStore::open(&path).unwrap());
    assert!(take().contains("not initialized"), "{}", take());
    fs::write(&path, "something else").unwrap();
    assert!(take().contains("cannot be read as a certificate store"));
    assert!(!names(directory.path()).iter().any(|name| name.starts_with(".catalyst-backup")));
}

/// Whoever watches says stop after so many looks.
struct Stops(Mutex<u32>);

impl Watch for Stops {
    fn has_done(&self, _: &'static str, _: u64, _: u64) {}

    fn is_stopped(&self) -> bool {
        let mut left = self.0.lock().unwrap();
        *left = left.saturating_sub(1);
        *left == 0
    }
}

#[tokio::test]
async fn it_ends_wherever_it_is_stopped_and_leaves_nothing() {
    let ca = Ca::new().await;
    let work = TempDir::new().unwrap();
    let (whole, seal) = {
        let snapshot = ca.snapshot().unwrap();
        let seal = ca.seal(&snapshot).await;
        (snapshot, seal.bytes().unwrap())
    };
    let manifest = whole.manifest.bytes().unwrap();
    for looks in 1..12 {
        let watch = Stops(Mutex::new(looks));
        let source = Source { certs_db: &ca.certs_db(), work_dir: work.path(), key_file: &|_, _| None };
        let taken = Snapshot::take(&source, now(), &watch);
        assert!(taken.is_ok() || matches!(taken, Err(BackupError::Interrupted)), "{looks}: {taken:?}");
        drop(taken);
        assert_eq!(names(work.path()), [""; 0]);
        let watch = Stops(Mutex::new(looks));
        let written = write(Vec::new(), &ca.lock(), &whole, &manifest, &seal, &watch);
        assert!(written.is_ok() || matches!(written, Err(BackupError::Interrupted)), "{looks}");
    }
}

#[tokio::test]
async fn a_target_is_there_whole_or_not_at_all() {
    let ca = Ca::new().await;
    let snapshot = ca.snapshot().unwrap();
    let directory = TempDir::new().unwrap();
    let target = Target::look(directory.path(), false).unwrap();
    let draft = target.begin(&snapshot.manifest).unwrap();
    assert!(names(directory.path())[0].starts_with(".catalyst-backup-"));
    // Another one at the same time takes nothing away from it.
    drop(target.begin(&snapshot.manifest).unwrap());
    let backup = ca.backup().await;
    draft.file().write_all(&backup).unwrap();
    let written =
        |octets: &[u8]| Written { octets: octets.len() as u64, sha256: crate::identity::sha256(octets) };
    // Two of one second, each of which found the same name free.
    let second = target.begin(&snapshot.manifest).unwrap();
    second.file().write_all(&backup).unwrap();
    let (path, size) = draft.finish(written(&backup), &Unwatched).unwrap();
    let (beside, _) = second.finish(written(&backup), &Unwatched).unwrap();
    let third = target.clone().marked(true).begin(&snapshot.manifest).unwrap();
    third.file().write_all(&backup).unwrap();
    let (third, _) = third.finish(written(&backup), &Unwatched).unwrap();
    let deployment = &snapshot.manifest.store.deployment;
    let shelf = Shelf::look(directory.path(), deployment).unwrap();
    let names_of = |held: &Held| directory.path().join(&held.name);
    assert_eq!(
        shelf.good.iter().map(names_of).collect::<Vec<_>>(),
        [path.clone(), beside.clone(), third.clone()]
    );
    assert!(third.to_string_lossy().ends_with("Z-3.tar.zst.age"), "{third:?}");
    assert_eq!(shelf.good[2].at, shelf.good[0].at);
    assert!(shelf.pending().map(names_of).eq([third.clone()]));
    unmark(&third).unwrap();
    fs::remove_file(&beside).unwrap();
    fs::remove_file(&third).unwrap();
    assert_eq!(size, backup.len() as u64);
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), file_name(&snapshot.manifest));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // What is no backup when it is read again gets no name.
    let bad =
        Target::look(&directory.path().join("bad.age"), false).unwrap().begin(&snapshot.manifest).unwrap();
    bad.file().write_all(b"not encrypted").unwrap();
    assert!(bad.finish(written(b"not encrypted"), &Unwatched).is_err());
    // Nor has what is not what was written, wherever it differs.
    for place in [0, backup.len() / 2, backup.len() - 1, backup.len()] {
        let mut octets = backup.clone();
        match octets.get_mut(place) {
            Some(octet) => *octet ^= 1,
            None => octets.push(0),
        }
        let draft = Target::look(&directory.path().join("bad.age"), false).unwrap();
        let draft = draft.begin(&snapshot.manifest).unwrap();
        draft.file().write_all(&octets).unwrap();
        let error = draft.finish(written(&backup), &Unwatched).unwrap_err().to_string();
        assert!(error.contains("something else than was written"), "{error}");
    }
    assert!(Target::look(&path, false).unwrap_err().to_string().contains("--force"));
    fs::write(directory.path().join(".catalyst-backup-0123456789abcdef.new"), "left").unwrap();
    drop(Target::look(&path, true).unwrap().begin(&snapshot.manifest).unwrap());
    assert_eq!(names(directory.path()), [file_name(&snapshot.manifest)]);

    let listed = list(directory.path()).unwrap();
    assert_eq!(listed[0].deployment.as_deref(), Some(snapshot.manifest.store.deployment.as_str()));
    assert_eq!(listed[0].at.unwrap().seconds(), snapshot.manifest.created_at.seconds());
    assert_eq!(listed[0].header.as_ref().unwrap().summary(), "1 X25519");
}

#[test]
fn recipients_that_are_none_are_named_and_identities_not_repeated() {
    let identity = x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let parse = |text: &str| {
        let texts = [identity.to_public().to_string(), text.to_owned()];
        parse_recipients(&texts, age::NoCallbacks).map(|found| found.len()).map_err(|error| error.to_string())
    };
    assert_eq!(parse(&identity.to_public().to_string()), Ok(2));
    let refused = parse(&secret).unwrap_err();
    assert!(refused.starts_with("recipient 2 is an identity") && !refused.contains(&secret), "{refused}");
    assert!(parse("ssh-ed25519 AAAA").unwrap_err().contains("SSH key"));
    assert!(parse("age1nonsense").unwrap_err().contains("none of age's"));
    assert!(
        parse_recipients(&[], age::NoCallbacks).map(drop).unwrap_err().to_string().contains("--recipient")
    );
}
