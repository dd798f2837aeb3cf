//! Backups of a real CA, and what is made of them on the way.

mod archive;
mod asking;
mod create;
mod restore;
mod sealed;

use super::*;
use crate::{
    authority::{Authority, Config, InitRequest, NoObserver},
    identity::{Actor, Fingerprint, SystemClock, Timestamp},
    store::SqliteStore,
};
use age::x25519;
use catalyst_local::EphemeralBackend;
use catalyst_signing::{Guard, KeyStores, SigningBackend};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::time::{Duration, Instant};

/// When every backup of these tests is made: while the certificates of a CA made now are valid.
fn now() -> Timestamp {
    crate::identity::Clock::now(&SystemClock)
}

/// A CA with its store in a file and its keys in memory.
struct Ca {
    directory: TempDir,
    keys: Arc<dyn SigningBackend>,
    identity: x25519::Identity,
}

impl Ca {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let keys: Arc<dyn SigningBackend> = Arc::new(EphemeralBackend::new());
        let store = SqliteStore::open(&directory.path().join("certs.db")).unwrap();
        let guard = Guard::new(Arc::new(catalyst_signing::NoObserver));
        let stores = Arc::new(KeyStores::new(guard, [("local".to_owned(), keys.clone())]));
        let config = Config::new("example.org".parse().unwrap());
        let authority =
            Authority::open(config, Arc::new(store), stores, Arc::new(SystemClock), Arc::new(NoObserver));
        let authority = authority.await.unwrap();
        authority.initialize(InitRequest::default(), Actor::Service).await.unwrap();
        authority.shut_down().await.unwrap();
        let key_files = directory.path().join("keys");
        fs::create_dir(&key_files).unwrap();
        for name in ["root-1", "services-1", "transport-1"] {
            let text = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{name}\n");
            fs::write(key_files.join(format!("{name}.pem")), text).unwrap();
        }
        Self { directory, keys, identity: x25519::Identity::generate() }
    }

    fn certs_db(&self) -> PathBuf {
        self.directory.path().join("certs.db")
    }

    fn snapshot(&self) -> Result<Snapshot> {
        self.snapshot_in(self.directory.path())
    }

    fn snapshot_in(&self, work_dir: &Path) -> Result<Snapshot> {
        let keys = self.directory.path().join("keys");
        let key_file = |_: &str, uri: &str| Some(keys.join(format!("{}.pem", uri.strip_prefix("local:")?)));
        let source = Source { certs_db: &self.certs_db(), work_dir, key_file: &key_file };
        Snapshot::take(&source, now(), &Unwatched)
    }

    async fn seal(&self, snapshot: &Snapshot) -> Seal {
        self.seal_of(snapshot, &snapshot.manifest.bytes().unwrap()).await
    }

    /// The seal of this CA on any bytes.
    async fn seal_of(&self, snapshot: &Snapshot, bytes: &[u8]) -> Seal {
        let open = |_: &str| Ok(self.keys.clone());
        let key = open_signer(&snapshot.facts, &open).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        Seal::sign(&key, &snapshot.facts, bytes, snapshot.manifest.created_at, deadline).await.unwrap()
    }

    fn lock(&self) -> Lock {
        Lock::Recipients(vec![Box::new(self.identity.to_public())])
    }

    fn identities(&self) -> Identities {
        Identities(vec![Box::new(self.identity.clone())])
    }

    /// A whole backup, signed.
    async fn backup(&self) -> Vec<u8> {
        let snapshot = self.snapshot().unwrap();
        let seal = self.seal(&snapshot).await;
        self.write(&snapshot, &seal)
    }

    fn write(&self, snapshot: &Snapshot, seal: &Seal) -> Vec<u8> {
        let (manifest, seal) = (snapshot.manifest.bytes().unwrap(), seal.bytes().unwrap());
        write(Vec::new(), &self.lock(), snapshot, &manifest, &seal, &Unwatched).unwrap()
    }

    fn root(&self) -> Fingerprint {
        let copy = crate::store::StoreCopy::open(&self.snapshot().unwrap().certs_db()).unwrap();
        let facts = copy.facts().unwrap();
        facts.cas.iter().find(|ca| ca.role == crate::identity::CaRole::Root).unwrap().fingerprint()
    }

    /// What `verify` answers to these bytes.
    fn verify(&self, backup: &[u8], trust: Trust) -> Result<Verification> {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("backup.age");
        fs::write(&file, backup).unwrap();
        let verified = verify(&file, &self.identities(), trust, directory.path(), &Unwatched);
        if verified.is_err() {
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "something is left in the clear");
        }
        verified
    }

    /// What was decrypted and unpacked of a backup, as `tar` has it.
    fn plain(&self, backup: &[u8]) -> Vec<u8> {
        zstd::decode_all(age::decrypt(&self.identity, backup).unwrap().as_slice()).unwrap()
    }
}

/// A tar that is made for a reader to trip over, packed as a backup is.
struct Forged(tar::Builder<Vec<u8>>);

impl Forged {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// An entry of any kind and any name.
    fn with(self, name: &str, kind: tar::EntryType, bytes: &[u8]) -> Self {
        self.with_size(name, kind, bytes.len() as u64, bytes)
    }

    fn with_size(mut self, name: &str, kind: tar::EntryType, size: u64, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o600);
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        }
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn tar(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn packed(self) -> Vec<u8> {
        pack(&self.tar())
    }
}

fn pack(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 3).unwrap()
}

/// The entries of a tar.
fn entries(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

/// Takes everything, and remembers how much.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<usize>>);

impl Unpack for Taken {
    fn front(&mut self, _: &Front) -> Result<bool> {
        Ok(true)
    }

    fn part(&mut self, _: &Part) -> Result<Box<dyn Write>> {
        Ok(Box::new(self.clone()))
    }
}

impl Write for Taken {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        *self.0.lock().unwrap() += buffer.len();
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
