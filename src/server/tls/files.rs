//! A certificate and key that the operator provides and renews: read at the start, and again when the files change.

use super::Shown;
use crate::{
    authority::x509::{EncodingError, validity_of},
    identity::{Clock, Fingerprint, Timestamp, sha256},
    settings::TlsFiles,
};
use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How often the files are read.
const POLL: Duration = Duration::from_secs(10);
/// How often an end that is near is spoken of.
const WARN_EVERY: Duration = Duration::from_secs(86_400);
/// Warned of from so long before its end, or a third of its lifetime if that is less.
const WARN_SECONDS: i64 = 30 * 86_400;
/// No certificate chain or key is longer.
const MOST_BYTES: u64 = 256 * 1024;
/// Modes that let others than owner and group in, or let the group write.
const TOO_OPEN: u32 = 0o027;

/// Why a pair of files can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than {MOST_BYTES} bytes: it is no certificate chain or key", .0.display())]
    TooLong(PathBuf),
    #[error("{} has mode {mode:04o}, so that others can read the key: run chmod 600 {}", .path.display(), .path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("{} holds no certificate that can be read ({reason}): write the certificate and its chain there, PEM", .path.display())]
    NoCertificate { path: PathBuf, reason: String },
    #[error("{} holds no private key that can be read ({reason}): write an unencrypted key there, PEM (PKCS#8)", .path.display())]
    NoKey { path: PathBuf, reason: String },
    #[error("{} and {} can't be used together ({reason}): write a certificate and the key it is for", .certificate.display(), .key.display())]
    NoPair { certificate: PathBuf, key: PathBuf, reason: String },
    #[error("the certificate in {} ended at {not_after}: renew it", .path.display())]
    Expired { path: PathBuf, not_after: Timestamp },
}

/// A pair that was read and holds.
struct Pair {
    key: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// What a pair of files held when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content([u8; 32]);

/// The files and what is known of them.
#[derive(Debug)]
pub(super) struct Files {
    paths: TlsFiles,
    /// What was last read, good or not.
    content: Content,
    /// Why what is there now is not in use.
    trouble: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    warned: Option<Instant>,
}

impl Files {
    /// Reads and checks the pair.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(super) fn open(paths: TlsFiles, at: Timestamp) -> Result<(Self, Arc<CertifiedKey>), FileError> {
        let (certificate, key) = read(&paths)?;
        let content = content(&certificate, &key);
        let pair = pair(&paths, &certificate, &key, at)?;
        announce(&paths, &pair);
        let Pair { key, not_before, not_after } = pair;
        Ok((Self { paths, content, trouble: None, not_before, not_after, warned: None }, key))
    }

    /// Looks at the files for ever.
    pub(super) async fn keep(mut self, shown: &Shown, clock: &dyn Clock) {
        loop {
            self.warn(clock.now());
            tokio::time::sleep(POLL).await;
            let paths = self.paths.clone();
            // A read of a file system that is away may take long.
            let Ok(read) = tokio::task::spawn_blocking(move || read(&paths)).await else { continue };
            if let Some(key) = self.look(read, clock.now()) {
                shown.show(key);
            }
        }
    }

    /// What to show from now on, if that has changed.
    fn look(
        &mut self,
        read: Result<(Vec<u8>, Zeroizing<Vec<u8>>), FileError>,
        at: Timestamp,
    ) -> Option<Arc<CertifiedKey>> {
        let taken = read.and_then(|(certificate, key)| {
            let content = content(&certificate, &key);
            if content == self.content {
                return Ok(None);
            }
            self.content = content;
            pair(&self.paths, &certificate, &key, at).map(Some)
        });
        match taken {
            Ok(None) => None,
            Ok(Some(pair)) => {
                announce(&self.paths, &pair);
                (self.trouble, self.warned) = (None, None);
                (self.not_before, self.not_after) = (pair.not_before, pair.not_after);
                Some(pair.key)
            }
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    tracing::error!(target: "catalyst.pki", error = %trouble,
                        "TLS certificate not reloaded — the one before is still served");
                    self.trouble = Some(trouble);
                }
                None
            }
        }
    }

    fn warn(&mut self, at: Timestamp) {
        let left = self.not_after.seconds_since(at);
        let due = left < WARN_SECONDS.min(self.not_after.seconds_since(self.not_before) / 3);
        if !due || self.warned.is_some_and(|last| last.elapsed() < WARN_EVERY) {
            return;
        }
        self.warned = Some(Instant::now());
        let path = self.paths.certificate.display();
        if left <= 0 {
            tracing::error!(target: "catalyst.pki", path = %path, expires_at = %self.not_after,
                "TLS certificate has expired — clients refuse it; renew it");
        } else {
            tracing::warn!(target: "catalyst.pki", path = %path, expires_at = %self.not_after,
                days_remaining = left / 86_400, "TLS certificate approaching expiry");
        }
    }
}

fn announce(paths: &TlsFiles, pair: &Pair) {
    tracing::info!(target: "catalyst.pki", path = %paths.certificate.display(),
        fingerprint = %Fingerprint::of_certificate(&pair.key.cert[0]), expires_at = %pair.not_after,
        "Serving the TLS certificate of a file");
}

fn read(paths: &TlsFiles) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), FileError> {
    let certificate = read_file(&paths.certificate, |_| Ok(()))?;
    let key = read_file(&paths.key, |metadata| {
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & TOO_OPEN != 0 {
            return Err(FileError::TooOpen { path: paths.key.clone(), mode });
        }
        Ok(())
    })?;
    Ok((certificate, Zeroizing::new(key)))
}

/// Looks at the file that was opened, not at what has its name a moment later.
fn read_file(
    path: &Path,
    check: impl FnOnce(&fs::Metadata) -> Result<(), FileError>,
) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    check(&file.metadata().map_err(unreadable)?)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(FileError::TooLong(path.to_owned()));
    }
    Ok(bytes)
}

fn content(certificate: &[u8], key: &[u8]) -> Content {
    // The length keeps the two apart.
    let whole = Zeroizing::new([&certificate.len().to_be_bytes(), certificate, key].concat());
    Content(sha256(&whole))
}

fn pair(paths: &TlsFiles, certificate: &[u8], key: &[u8], at: Timestamp) -> Result<Pair, FileError> {
    let no_certificate =
        |reason: String| FileError::NoCertificate { path: paths.certificate.clone(), reason };
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|error| no_certificate(error.to_string()))?;
    let validities = chain.iter().map(|der| validity_of(der));
    let validities = validities
        .collect::<Result<Vec<_>, EncodingError>>()
        .map_err(|error| no_certificate(error.to_string()))?;
    let Some(&(not_before, not_after)) = validities.first() else {
        return Err(no_certificate("no CERTIFICATE block".into()));
    };
    if not_after <= at {
        return Err(FileError::Expired { path: paths.certificate.clone(), not_after });
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| FileError::NoKey { path: paths.key.clone(), reason: error.to_string() })?;
    let key = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| FileError::NoPair {
        certificate: paths.certificate.clone(),
        key: paths.key.clone(),
        reason: error.to_string(),
    })?;
    Ok(Pair { key: Arc::new(key), not_before, not_after })
}

#[cfg(test)]
mod tests;
