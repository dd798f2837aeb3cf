//! The key store over a directory of encrypted files.

use crate::{
    carried::{self, Carried},
    envelope::{self, Cost, Opened},
    error::LocalError,
    files,
    import::ImportedKey,
    key::LocalKey,
    material::{CAPABILITIES, Material},
};
use async_trait::async_trait;
use catalyst_signing::{
    Capability, FoundKey, KeyIntent, KeyLifecycle, KeyPin, KeyRole, KeyUri, Refusal, Result, SignError,
    SignatureAlgorithm, SigningBackend, SigningKey,
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// The fewest characters of a passphrase.
pub(crate) const PASSPHRASE_MIN: usize = 16;

type Outcome<T> = std::result::Result<T, LocalError>;

/// Keys in encrypted PKCS#8 files.
///
/// A key is decrypted when it is opened and stays in memory as long as it is held; the files are not watched. Giving a
/// key up ([`KeyLifecycle::schedule_destruction`]) renames its file to `<name>.pem.destroyed-<unix seconds>`: deleting it
/// is left to the operator's own hand. Only probe keys, which nothing was ever signed with that counts, are deleted here.
#[derive(Clone)]
pub struct LocalBackend {
    store: Arc<Store>,
}

struct Store {
    directory: PathBuf,
    passphrase: SecretString,
    cost: Cost,
}

impl LocalBackend {
    /// Takes a directory for key files: made with mode 0700 if it is missing, refused if group or others have any
    /// right to it. A passphrase under 16 characters is refused. Half-written files of an earlier crash are cleared
    /// away. No key is opened yet, so a wrong passphrase shows at the first one.
    pub fn open(directory: PathBuf, passphrase: SecretString) -> Outcome<Self> {
        Self::with_cost(directory, passphrase, Cost::FULL)
    }

    pub(crate) fn with_cost(directory: PathBuf, passphrase: SecretString, cost: Cost) -> Outcome<Self> {
        let length = passphrase.expose_secret().chars().count();
        if length < PASSPHRASE_MIN {
            return Err(LocalError::ShortPassphrase { length });
        }
        files::prepare(&directory)?;
        Ok(Self { store: Arc::new(Store { directory, passphrase, cost }) })
    }

    /// The private key that is pinned, as PKCS#8 (PEM) without this deployment's intent. It takes as long as scrypt does.
    ///
    /// # Errors
    /// The key file is missing, does not open, or holds another key than the pinned one.
    pub fn export(&self, pin: &KeyPin) -> Outcome<Zeroizing<String>> {
        let path = self.store.path(&pin.uri)?;
        let opened = self.store.unlock(&path)?;
        let key = LocalKey::new(opened.pkcs8.as_bytes(), pin.algorithm, path.clone(), None)?;
        if key.spki() != pin.spki {
            return Err(LocalError::Another(path));
        }
        envelope::plain_pem(opened.pkcs8.as_bytes()).map_err(|_| LocalError::Damaged(path))
    }

    /// Puts a key that was made elsewhere into the directory, encrypted as the others, and answers its URI:
    /// `local:imported-<role>-<the first 16 hexadecimal digits of the SHA-256 of its SPKI>`. It belongs to nothing until
    /// it is named by that. It takes as long as scrypt does.
    ///
    /// # Errors
    /// [`LocalError::Imported`] where it is there already, which is left as it is; the operating system's.
    pub fn import(&self, key: &ImportedKey, role: KeyRole) -> Outcome<KeyUri> {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.spki());
        let short: String = hash.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        let uri = parse_reference(&format!("imported-{role}-{short}"))?;
        let path = self.store.path(&uri)?;
        let pem = envelope::lock_plain(&key.pkcs8, &self.store.passphrase, self.store.cost)?;
        match files::write_new(&path, pem.as_bytes())? {
            true => Ok(uri),
            false => Err(LocalError::Imported { path, name: uri.rest().to_owned() }),
        }
    }

    /// Runs blocking work (scrypt, fsync) off the async threads.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        let done = spawn_blocking(move || work(&store)).await;
        done.map_err(|_| SignError::unavailable("the work on a local key was cut off"))?
            .map_err(SignError::from)
    }
}

impl fmt::Debug for LocalBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBackend").field("directory", &self.store.directory).finish_non_exhaustive()
    }
}

#[async_trait]
impl SigningBackend for LocalBackend {
    fn scheme(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    /// Takes `services-3` or `local:services-3`, or an imported key's name, and pins the file that is there.
    async fn resolve(&self, reference: &str, algorithm: SignatureAlgorithm) -> Result<KeyPin> {
        let uri = parse_reference(reference)?;
        self.off_thread(move |store| store.pin(uri, algorithm)).await
    }

    async fn open(&self, pin: &KeyPin) -> Result<Arc<dyn SigningKey>> {
        let pin = pin.clone();
        let key = self.off_thread(move |store| store.key(&pin.uri, pin.algorithm)).await?;
        Ok(Arc::new(key))
    }

    fn lifecycle(&self) -> Option<&dyn KeyLifecycle> {
        Some(self)
    }
}

#[async_trait]
impl KeyLifecycle for LocalBackend {
    async fn find(&self, intent: &KeyIntent) -> Result<Option<KeyPin>> {
        let intent = intent.clone();
        self.off_thread(move |store| store.find(&intent)).await
    }

    async fn create(&self, intent: &KeyIntent) -> Result<KeyPin> {
        let intent = intent.clone();
        self.off_thread(move |store| store.create(&intent)).await
    }

    /// Opens every key file, which takes as long as scrypt does. One that does not open, or carries no intent, is
    /// nobody's whom anybody could tell, and is left out.
    async fn list(&self, deployment: &str) -> Result<Vec<FoundKey>> {
        let deployment = deployment.to_owned();
        self.off_thread(move |store| store.list(&deployment)).await
    }

    /// Renames the key's file, or removes that of a probe key, after checking that it holds the pinned key. A process that has the key open still
    /// signs with it until it closes it.
    async fn schedule_destruction(&self, pin: &KeyPin) -> Result<()> {
        let wanted = pin.clone();
        let found = self.off_thread(move |store| store.pin(wanted.uri, wanted.algorithm)).await?;
        if found.spki != pin.spki {
            let reason = format!("{} holds another key than the pinned one: nothing was destroyed", pin.uri);
            return Err(SignError::refused(Refusal::Ambiguous, reason));
        }
        self.off_thread(move |store| {
            let path = store.path(&found.uri)?;
            match is_probe(&found.uri) {
                true => files::remove(&path),
                false => files::set_aside(&path, SystemTime::now()).map(drop),
            }
        })
        .await
    }
}

impl Store {
    fn find(&self, intent: &KeyIntent) -> Outcome<Option<KeyPin>> {
        let uri = uri_of(intent)?;
        let path = self.path(&uri)?;
        match self.unlock(&path) {
            Err(LocalError::Missing(_)) => Ok(None),
            Err(other) => Err(other),
            Ok(opened) => {
                carried::check(intent, opened.carried.as_deref(), &opened.private_key)
                    .map_err(|why| LocalError::Foreign(path.clone(), why))?;
                let key = LocalKey::new(opened.pkcs8.as_bytes(), intent.algorithm, path, None)?;
                Ok(Some(KeyPin { uri, algorithm: intent.algorithm, spki: key.spki().to_vec() }))
            }
        }
    }

    fn create(&self, intent: &KeyIntent) -> Outcome<KeyPin> {
        if let Some(made_before) = self.find(intent)? {
            return Ok(made_before);
        }
        let uri = uri_of(intent)?;
        let path = self.path(&uri)?;
        let pkcs8 = Material::generate(intent.algorithm)
            .ok_or(LocalError::Unsupported(intent.algorithm))?
            .map_err(|_| LocalError::Crypto("making a key"))?;
        let carried = carried::seal(intent, SystemTime::now(), &envelope::private_key(&pkcs8)?);
        let pem = envelope::lock(&pkcs8, &carried, &self.passphrase, self.cost)?;
        if files::write_new(&path, pem.as_bytes())? {
            let key = LocalKey::new(&pkcs8, intent.algorithm, path, None)?;
            return Ok(KeyPin { uri, algorithm: intent.algorithm, spki: key.spki().to_vec() });
        }
        // Somebody made that file meanwhile: ours by another call, or not ours, which `find` tells apart.
        self.find(intent)?.ok_or(LocalError::Missing(path))
    }

    fn list(&self, deployment: &str) -> Outcome<Vec<FoundKey>> {
        let names = files::key_names(&self.directory)?;
        let found = |name: String| {
            let uri = parse_reference(&name).ok()?;
            let opened = self.unlock(&self.path(&uri).ok()?).ok()?;
            let carried = Carried::read(opened.carried.as_deref(), &opened.private_key).ok()?;
            let Carried { tags, made } = carried;
            (tags.deployment == deployment).then(|| tags.found(uri, Some(made)))
        };
        Ok(names.into_iter().filter_map(found).collect())
    }

    fn pin(&self, uri: KeyUri, algorithm: SignatureAlgorithm) -> Outcome<KeyPin> {
        let spki = self.key(&uri, algorithm)?.spki().to_vec();
        Ok(KeyPin { uri, algorithm, spki })
    }

    fn key(&self, uri: &KeyUri, algorithm: SignatureAlgorithm) -> Outcome<LocalKey> {
        let path = self.path(uri)?;
        let opened = self.unlock(&path)?;
        LocalKey::new(opened.pkcs8.as_bytes(), algorithm, path.clone(), Some(path))
    }

    fn unlock(&self, path: &Path) -> Outcome<Opened> {
        envelope::unlock(&files::read(path)?, &self.passphrase, path)
    }

    /// The URI's grammar leaves no way out of the directory.
    fn path(&self, uri: &KeyUri) -> Outcome<PathBuf> {
        match uri.scheme() {
            "local" => Ok(self.directory.join(format!("{}.pem", uri.rest()))),
            _ => Err(LocalError::Reference(uri.to_string())),
        }
    }
}

fn is_probe(uri: &KeyUri) -> bool {
    uri.rest().split_once('-').is_some_and(|(role, _)| role == KeyRole::Probe.name())
}

pub(crate) fn uri_of(intent: &KeyIntent) -> Outcome<KeyUri> {
    parse_reference(&format!("{}-{}", intent.role, intent.generation))
}

pub(crate) fn parse_reference(reference: &str) -> Outcome<KeyUri> {
    let name = reference.strip_prefix("local:").unwrap_or(reference);
    KeyUri::parse(&format!("local:{name}")).map_err(|_| LocalError::Reference(reference.to_owned()))
}
