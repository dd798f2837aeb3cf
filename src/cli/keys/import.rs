//! `catalyst pki keys import`

use super::{
    super::{
        arguments::Output,
        backup::{Trouble, prompt},
        output::{hint, json, ok, print_with_files, warn},
    },
    settings, wrong,
};
use crate::{
    backup::BackupError,
    client::printable,
    identity::{CaRole, Fingerprint, SpkiHash},
    key_stores::{LOCAL_KEYS, key_file, open_local},
    settings::{Inputs, Settings, Table},
    store::KeyRole,
};
use catalyst_local::{ImportError, ImportedKey};
use catalyst_signing::{KeyUri, SignatureAlgorithm};
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

const PASSWORD: &str = "CATALYST_IMPORT_PASSWORD";
const PASSWORD_FILE: &str = "CATALYST_IMPORT_PASSWORD_FILE";
/// No file of a key and its certificates is larger, in octets.
const LARGEST: u64 = 1 << 20;

/// A key that was made elsewhere, and is to be used here.
#[derive(Debug)]
pub(in crate::cli) struct Import {
    /// `-` is standard input.
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) role: KeyRole,
    pub(in crate::cli) inputs: Inputs,
}

impl Import {
    pub(super) fn run(&self, table: &Table, form: Output) -> Result<ExitCode, Trouble> {
        let settings = settings(table, &self.inputs)?;
        takes_keys(self.key_store(&settings), self.role)?;
        let content = read(&self.file)?;
        let key = self.open(&content)?;
        if self.role == KeyRole::Token && key.algorithm() != SignatureAlgorithm::EcP384 {
            return Err(wrong(format!(
                "tokens are signed with an EC-P384 key, and this is {}",
                key.algorithm()
            )));
        }
        let beside = beside(&key)?;
        let local = open_local(&settings).map_err(failed)?;
        let local = local.ok_or_else(|| {
            wrong("there is no passphrase for local keys: give it with --local-passphrase-file")
        })?;
        let uri = local.import(&key, self.role.into()).map_err(failed)?;
        self.show(&settings, &key, &uri, beside, form)
    }

    fn key_store<'a>(&self, settings: &'a Settings) -> &'a str {
        let stores = &settings.key_backends;
        match self.role {
            KeyRole::Ca(CaRole::Root) => &stores.root,
            KeyRole::Ca(CaRole::Services) => &stores.services,
            KeyRole::Ca(CaRole::Transport) => &stores.transport,
            KeyRole::Token => &stores.tokens,
        }
    }

    /// Asks for a password only where the file wants one.
    fn open(&self, content: &[u8]) -> Result<ImportedKey, Trouble> {
        let given = prompt::given_by(&self.inputs.environment, PASSWORD, PASSWORD_FILE)?;
        let opened = match ImportedKey::read(content, given.as_ref()) {
            Err(ImportError::PasswordWanted) => {
                let asked: SecretString = prompt::ask("Password of the file", PASSWORD_FILE)?;
                ImportedKey::read(content, Some(&asked))
            }
            other => other,
        };
        opened.map_err(|error| match error {
            ImportError::WrongPassword => BackupError::Closed(self.told(&error)).into(),
            other => wrong(self.told(&other)),
        })
    }

    fn told(&self, error: &ImportError) -> String {
        format!("nothing was imported from {}: {error}", self.file.display())
    }

    fn show(
        &self,
        settings: &Settings,
        key: &ImportedKey,
        uri: &KeyUri,
        beside: Option<Fingerprint>,
        form: Output,
    ) -> Result<ExitCode, Trouble> {
        let (name, setting) = (uri.rest(), setting(self.role));
        let spki = SpkiHash::of_spki(key.spki()).to_string();
        let path = key_file(settings, "local", uri.as_str()).unwrap_or_default().display().to_string();
        let printed = match form {
            Output::Json => json(&json!({
                "name": name, "keyUri": uri.as_str(), "algorithm": key.algorithm().name(), "spkiSha256": spki,
                "path": path, "setting": setting,
            }))?,
            Output::Text | Output::Markdown => format!(
                "{} Key imported: {name}\n  Algorithm:    {}\n  SPKI SHA-256: {spki}\n  Key file:     {}\n",
                ok(),
                key.algorithm(),
                printable(&path)
            ),
        };
        hint(&match self.role {
            KeyRole::Ca(CaRole::Root) => format!(
                "set {setting}={name}, then start the service, and make the CA: 'catalyst pki init --common-name NAME --algorithm {}'",
                key.algorithm()
            ),
            _ => format!(
                "set {setting}={name} before the next {} key is made; until then it belongs to nothing",
                self.role
            ),
        });
        if let Some(certificate) = beside {
            warn(&format!(
                "the certificate beside the key ({certificate}) is not taken: the CA makes one of its own for the key, which verifiers must be given"
            ));
        }
        hint("where the key came from it still lies: take it away from there, and from this machine's disks");
        Ok(print_with_files(&printed, &[&path]))
    }
}

/// Whether this program brings keys into that key store; otherwise how they come into it.
fn takes_keys(key_store: &str, role: KeyRole) -> Result<(), Trouble> {
    let way = match key_store.split(':').next() {
        Some("local") => return Ok(()),
        Some("pkcs11") => {
            "bring the key into the token with the HSM vendor's own tool, and name it with CATALYST_PKI_PKCS11_KEY (see docs/backends/pkcs11.md)"
        }
        Some("aws-kms") => {
            "import the key material with AWS's own tool, and name the key with CATALYST_PKI_KMS_KEY_ARN (see docs/backends/aws-kms.md)"
        }
        Some("gcp-kms") => {
            "import the key with an import job of Google's, and name its version with CATALYST_PKI_KMS_KEY_NAME (see docs/backends/gcp-kms.md)"
        }
        _ => "bring the key into it with its own tools",
    };
    Err(Trouble::Other(
        format!("the {role} key's key store is '{key_store}', into which this program brings no keys: {way}; or choose 'local' for it with CATALYST_PKI_KEY_BACKEND").into(),
    ))
}

/// The file, or standard input.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let failed = |error: io::Error| wrong(format!("cannot read {}: {error}", path.display()));
    // Never moved as it grows, so that no copy is left behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LARGEST as usize + 1));
    if path == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut content).map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(wrong(format!("{} is a directory: name the file of the key in it", path.display())));
        }
        let mode = metadata.mode() & 0o7777;
        if metadata.is_file() && mode & 0o077 != 0 {
            warn(&format!(
                "{} has mode {mode:04o}: others than its owner may have read the key",
                path.display()
            ));
        }
        file.take(LARGEST + 1).read_to_end(&mut content).map_err(failed)?;
    }
    if content.len() as u64 > LARGEST {
        return Err(wrong(format!(
            "{} has more than {} MiB: it is no file of a key",
            path.display(),
            LARGEST >> 20
        )));
    }
    Ok(content)
}

/// The certificate beside the key that is for it.
///
/// # Errors
/// There are certificates, and all are for other keys: so the file is not what it is taken for.
fn beside(key: &ImportedKey) -> Result<Option<Fingerprint>, Trouble> {
    let is_for_key = |der: &&Vec<u8>| {
        let der = CertificateDer::from(der.as_slice());
        let certificate = webpki::EndEntityCert::try_from(&der);
        certificate.is_ok_and(|certificate| certificate.subject_public_key_info().as_ref() == key.spki())
    };
    match (key.certificates().iter().find(is_for_key), key.certificates().is_empty()) {
        (Some(der), _) => Ok(Some(Fingerprint::of_certificate(der))),
        (None, true) => Ok(None),
        (None, false) => Err(wrong(
            "nothing was imported: the certificates in the file can't be read or are for other keys than the one in it; take them out if the key is right",
        )),
    }
}

fn setting(role: KeyRole) -> &'static str {
    let setting = match role {
        KeyRole::Ca(CaRole::Root) => LOCAL_KEYS.root,
        KeyRole::Ca(CaRole::Services) => LOCAL_KEYS.services,
        KeyRole::Ca(CaRole::Transport) => LOCAL_KEYS.transport,
        KeyRole::Token => LOCAL_KEYS.tokens,
    };
    setting.variable
}

fn failed(error: catalyst_local::LocalError) -> Trouble {
    Trouble::Other(Box::new(error))
}
