//! Whether a backup is whole, whose it is, and whether what it needs is there.

use super::{
    AgeHeader, BackupError, Front, Identities, KeyCheck, Manifest, Part, PartName, Result, Scratch, Signer,
    StoreEntry, Trust, Unpack, Watch,
    archive::{decrypt, unpack},
    keys::unchecked,
    list::read_header,
};
use crate::{
    authority::x509::check_issued,
    identity::sha256,
    store::{StoreCopy, StoreFacts},
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What helps where there is no room.
const ELSEWHERE: &str = "name another directory with --work-dir";

/// What shows with an identity, without the parts.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The age header.
    pub header: AgeHeader,
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of its octets.
    pub manifest_sha256: [u8; 32],
    /// Who vouches for it; `None`: nobody.
    pub signer: Option<Signer>,
}

/// What was found of a backup that was read to its end.
#[derive(Debug)]
pub struct Verification {
    /// What shows first.
    pub opened: Opened,
    /// What stands in `certs.db`.
    pub facts: StoreFacts,
    /// What does not hold, in sentences. Empty where all does, but perhaps for the keys.
    pub problems: Vec<String>,
    /// What was found of the keys.
    pub keys: Vec<KeyCheck>,
    // Until the keys have been looked at, which lie in it.
    scratch: Scratch,
}

impl Verification {
    /// The directory with the key files of the backup, encrypted as they are.
    #[must_use]
    pub fn key_dir(&self) -> PathBuf {
        self.scratch.path().join("keys")
    }
}

/// Opens a backup as far as its manifest.
///
/// # Errors
/// It can't be opened with these identities, is damaged, or by nobody who counts.
pub fn inspect(path: &Path, identities: &Identities, trust: Trust, watch: &dyn Watch) -> Result<Opened> {
    let header = read_header(path)?;
    let mut found = Fronts { trust, found: None };
    unpack(decrypt(path, identities)?, &mut found, watch)?;
    let Found { manifest, manifest_sha256, signer } = found.taken()?;
    Ok(Opened { header, manifest, manifest_sha256, signer })
}

/// Reads a backup to its end, unpacks it below `work_dir`, and checks everything but the keys.
///
/// # Errors
/// As [`inspect`]; no room. What does not hold of the store in it is no error but a problem.
pub fn verify(
    path: &Path,
    identities: &Identities,
    trust: Trust,
    work_dir: &Path,
    watch: &dyn Watch,
) -> Result<Verification> {
    let header = read_header(path)?;
    let scratch = Scratch::make(work_dir)?;
    let mut to = Parts { fronts: Fronts { trust, found: None }, scratch: &scratch };
    unpack(decrypt(path, identities)?, &mut to, watch)?;
    let Found { manifest, manifest_sha256, signer } = to.fronts.taken()?;
    watch.has_done("checking", 0, 0);
    let (facts, problems) = check_store(&scratch.path().join("certs.db"), &manifest)?;
    let keys = unchecked(&manifest);
    let opened = Opened { header, manifest, manifest_sha256, signer };
    Ok(Verification { opened, facts, problems, keys, scratch })
}

fn check_store(path: &Path, manifest: &Manifest) -> Result<(StoreFacts, Vec<String>)> {
    let copy = StoreCopy::open(path)?;
    let faults = copy.faults()?;
    if let Some(first) = faults.first() {
        return Err(BackupError::Damaged(format!("its certs.db is not whole: {first}")));
    }
    let facts = copy.facts()?;
    let mut problems = Vec::new();
    match StoreEntry::of(&facts) {
        Err(_) => problems.push("its certs.db is of a CA that is not initialized".to_owned()),
        Ok(found) => problems.extend(
            found
                .differences(&manifest.store)
                .iter()
                .map(|what| format!("certs.db and the manifest differ: {what}")),
        ),
    }
    for ca in &facts.cas {
        let chained = match facts.issuer_of(ca) {
            Some(issuer) => check_issued(&ca.der, &issuer.der).map_err(|error| error.0),
            None => Err("its issuer is not in the store".to_owned()),
        };
        if let Err(clause) = chained {
            problems.push(format!(
                "the certificate of {} ({}) does not chain: {clause}",
                ca.common_name,
                ca.fingerprint()
            ));
        }
    }
    Ok((facts, problems))
}

/// Wants the front alone.
struct Fronts {
    trust: Trust,
    found: Option<Found>,
}

/// A front that is to be believed.
struct Found {
    manifest: Manifest,
    manifest_sha256: [u8; 32],
    signer: Option<Signer>,
}

impl Fronts {
    fn take(&mut self, front: &Front) -> Result<()> {
        let signer = front.seal.check(&front.bytes, &front.manifest, self.trust)?;
        self.found =
            Some(Found { manifest: front.manifest.clone(), manifest_sha256: sha256(&front.bytes), signer });
        Ok(())
    }

    fn taken(self) -> Result<Found> {
        self.found.ok_or_else(|| BackupError::damaged("it has no manifest"))
    }
}

impl Unpack for Fronts {
    fn front(&mut self, front: &Front) -> Result<bool> {
        self.take(front).map(|()| false)
    }

    fn part(&mut self, _: &Part) -> Result<Box<dyn Write>> {
        Ok(Box::new(io::sink()))
    }
}

/// Writes the parts into a directory of their own.
struct Parts<'s> {
    fronts: Fronts,
    scratch: &'s Scratch,
}

impl Unpack for Parts<'_> {
    fn front(&mut self, front: &Front) -> Result<bool> {
        // Before anything is written for somebody who may have forged it.
        self.fronts.take(front)?;
        self.scratch.has_room(front.manifest.size().unwrap_or(u64::MAX), ELSEWHERE)?;
        let keys = self.scratch.path().join("keys");
        DirBuilder::new().mode(0o700).create(&keys).map_err(BackupError::io("make", &keys))?;
        Ok(true)
    }

    fn part(&mut self, part: &Part) -> Result<Box<dyn Write>> {
        let path = match &part.name {
            PartName::CertsDb => self.scratch.path().join("certs.db"),
            PartName::Key(name) => self.scratch.path().join("keys").join(name),
        };
        let file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(BackupError::io("write", &path))?;
        Ok(Box::new(file))
    }
}
