//! Whom `access` asks about certificates that the store does not know.

use crate::{
    access::Adopter,
    authority::Authority,
    store::{CertificateRow, Result},
};

#[async_trait::async_trait]
impl Adopter for Authority {
    async fn adopt(&self, der: &[u8]) -> Result<Option<CertificateRow>> {
        Self::adopt(self, der).await
    }
}
