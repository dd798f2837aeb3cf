//! A certificate for a key that the CA makes and forgets.

use super::{
    Authority, IssueRequest, Result, Svid,
    error::AuthorityError,
    x509::{self, VerifiedCsr},
};
use crate::{
    identity::{Actor, Ttl, Workload},
    store::Ticket,
};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use std::sync::Arc;
use zeroize::Zeroizing;

impl Authority {
    /// Makes a P-384 key and a certificate for it. The key (PKCS#8, PEM) is answered once and kept nowhere. It uses
    /// up the ticket, if there is one.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub async fn issue_with_new_key(
        self: &Arc<Self>,
        workload: Workload,
        ttl: Option<Ttl>,
        ticket: Option<Ticket>,
        by: Actor,
    ) -> Result<(Zeroizing<String>, Svid)> {
        let failed = |_| AuthorityError::Internal("no key could be made".into());
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
        let pem = x509::private_key_pem(pkcs8.as_ref())?;
        let csr = VerifiedCsr::of_own_key(spki.as_ref().to_vec());
        let request = IssueRequest { csr, workload, ttl, uri_may_be_missing: true, ticket };
        Ok((pem, self.issue(request, by).await?))
    }
}
