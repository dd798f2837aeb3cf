//! `local`: keys in encrypted files.

use super::{Factory, Failure, Named};
use crate::settings::{BackendSettings, Settings};
use catalyst_local::LocalBackend;
use std::sync::Arc;

/// Its rows are the service's own, for `--dev` needs them in every build.
pub(super) const FACTORY: Factory =
    Factory { settings: BackendSettings::new("local", &[]), takes_root_credentials: false, open };

/// None without a passphrase: then no role makes keys there, and those of before stay down.
fn open(settings: &Settings, _: Option<&str>) -> Result<Named, Failure> {
    let Some(passphrase) = settings.local_passphrase.clone() else { return Ok(Vec::new()) };
    let local = LocalBackend::open(settings.local_keys.clone(), passphrase)?;
    Ok(vec![("local".to_owned(), Arc::new(local))])
}
