//! Who knows certificates that the store does not.

use crate::store::{CertificateRow, Result};

/// Records certificates that a restore has lost.
#[async_trait::async_trait]
pub trait Adopter: Send + Sync + std::fmt::Debug {
    /// Takes up a certificate (DER) whose key somebody has proven to hold, if it is one of ours; `None` if not.
    ///
    /// # Errors
    /// The store's.
    async fn adopt(&self, der: &[u8]) -> Result<Option<CertificateRow>>;
}
