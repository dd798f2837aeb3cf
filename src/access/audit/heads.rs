//! Signed heads: where the log ends, at a time, under the token key. They are logged, so that heads live elsewhere:
//! who holds one can show that records before it were taken away or written anew.

use crate::{
    access::{Access, AccessError},
    identity::Timestamp,
    store::AuditHead,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_signing::Purpose;

/// A head and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// The newest record, whose number is also the count of all records ever written.
    pub head: AuditHead,
    /// When it was signed.
    pub at: Timestamp,
    /// The token key that signed.
    pub kid: String,
    /// ES384, r and s side by side, base64url.
    pub signature: String,
}

/// What is signed: `catalyst-pki/audit/v1`, a zero octet, number and time (8 octets each, big-endian; the time in ms)
/// and the hash.
pub fn head_octets(head: AuditHead, at: Timestamp) -> Vec<u8> {
    let mut octets = b"catalyst-pki/audit/v1\0".to_vec();
    octets.extend(head.seq.to_be_bytes());
    octets.extend(at.millis().to_be_bytes());
    octets.extend(head.hash);
    octets
}

impl Access {
    /// Signs where the audit log ends now; `None` where it ends at `last`, of which a head is out already.
    ///
    /// # Errors
    /// The key store's and the store's.
    pub async fn sign_head(&self, last: Option<AuditHead>) -> Result<Option<SignedHead>, AccessError> {
        let head = self.store.audit_head().await?;
        if last == Some(head) {
            return Ok(None);
        }
        self.sign_this_head(head).await.map(Some)
    }

    pub(super) async fn sign_this_head(&self, head: AuditHead) -> Result<SignedHead, AccessError> {
        let at = self.clock.now();
        let ring = self.ring()?;
        let signer = ring.signer()?;
        let signature = signer.sign_octets(Purpose::AuditHead, head_octets(head, at)).await?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(SignedHead { head, at, kid: signer.kid().to_owned(), signature })
    }
}
