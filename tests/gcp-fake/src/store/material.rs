//! The key of a version, made while the service goes on.

use crate::key::Key;
use catalyst_rigs::gcp::api::Algorithm;
use std::{
    fmt,
    sync::{Arc, OnceLock},
    thread,
};

/// A key that is being made, or is there. Every version has its own.
#[derive(Clone)]
pub(crate) struct Material(Arc<OnceLock<Option<Key>>>);

impl Material {
    /// Begins to make a key.
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let material = Self(Arc::new(OnceLock::new()));
        let making = material.clone();
        thread::spawn(move || making.0.get_or_init(|| Key::generate(algorithm).ok()).is_some());
        material
    }

    /// Whether it is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.get().is_some()
    }

    /// The key, once it is there; `None` if there can be none.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.0.wait().as_ref()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material")
    }
}
