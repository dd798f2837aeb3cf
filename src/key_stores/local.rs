//! `local`: keys in encrypted files.

use super::{Factory, Failure, Named};
use crate::settings::{BackendSettings, Settings};
use catalyst_local::LocalBackend;
use std::{path::PathBuf, sync::Arc};

/// Its rows are the service's own, for `--dev` needs them in every build.
pub(super) const FACTORY: Factory =
    Factory { settings: BackendSettings::new("local", &[]), takes_root_credentials: false, open };

/// The file in which a key lies, of a key store and key URI as they are stored; `None` for keys that lie in no file.
pub(super) fn key_file(settings: &Settings, backend: &str, uri: &str) -> Option<PathBuf> {
    let name = uri.strip_prefix("local:").filter(|_| backend == "local")?;
    // Roles and generations, and what an operator has named; never a path.
    (!name.contains('/')).then(|| settings.local_keys.join(format!("{name}.pem")))
}

/// None without a passphrase: then no role makes keys there, and those of before stay down.
fn open(settings: &Settings, _: Option<&str>) -> Result<Named, Failure> {
    let Some(passphrase) = settings.local_passphrase.clone() else { return Ok(Vec::new()) };
    let local = LocalBackend::open(settings.local_keys.clone(), passphrase)?;
    Ok(vec![("local".to_owned(), Arc::new(local))])
}
