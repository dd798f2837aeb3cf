//! The certificate of the beginning, and of times without a CA that can sign: made in memory, good for one process.
//! Operators pin its fingerprint, which the log names.

use super::Failure;
use crate::{
    identity::{Fingerprint, Timestamp},
    settings::HostName,
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use std::{fmt::Write as _, sync::Arc};
use time::OffsetDateTime;

const LIFETIME_SECONDS: i64 = 30 * 86_400;
/// A new one is made so long before the end.
const REMAKE_SECONDS: i64 = 5 * 86_400;
/// notBefore lies a day back, for clients whose clocks are behind.
const BACKDATE_SECONDS: i64 = 86_400;

/// A self-signed certificate with its key.
#[derive(Debug)]
pub(super) struct SelfSigned {
    names: Vec<HostName>,
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
    not_after: Timestamp,
}

impl SelfSigned {
    /// P-256, for `localhost` and these names.
    ///
    /// # Errors
    /// No random numbers, or a name that no certificate can hold.
    pub(super) fn new(names: &[HostName], at: Timestamp) -> Result<Self, Failure> {
        let mut alternative = vec!["localhost".to_owned()];
        for name in names {
            let text = match name {
                HostName::Dns(name) => name.clone(),
                HostName::Ip(address) => address.to_string(),
            };
            if !alternative.contains(&text) {
                alternative.push(text);
            }
        }
        let not_after = at.plus_seconds(LIFETIME_SECONDS);
        let mut params = CertificateParams::new(alternative)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Catalyst PKI self-signed");
        params.not_before =
            OffsetDateTime::from_unix_timestamp(at.plus_seconds(-BACKDATE_SECONDS).seconds())?;
        params.not_after = OffsetDateTime::from_unix_timestamp(not_after.seconds())?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&pair)?.der().clone();
        let fingerprint = Fingerprint::of_certificate(&certificate);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let key = Arc::new(CertifiedKey::from_der(vec![certificate], key, &super::provider())?);
        Ok(Self { names: names.to_vec(), key, fingerprint, not_after })
    }

    /// What connections are shown.
    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// Its successor, once its end is near.
    pub(super) fn successor(&self, at: Timestamp) -> Option<Result<Self, Failure>> {
        (self.not_after.seconds_since(at) < REMAKE_SECONDS).then(|| Self::new(&self.names, at))
    }

    /// Says at the start what to pin.
    pub(super) fn announce(&self) {
        tracing::info!(target: "catalyst.pki", fingerprint = %self.fingerprint, sha256 = colons(self.fingerprint),
            expires_at = %self.not_after, "Serving a self-signed certificate");
    }

    /// Says what to pin when the service had something better, and why it has not now.
    pub(super) fn announce_instead(&self, reason: &str) {
        tracing::warn!(target: "catalyst.pki", fingerprint = %self.fingerprint, sha256 = colons(self.fingerprint),
            expires_at = %self.not_after, reason, "Serving a self-signed certificate");
    }
}

/// As OpenSSL and browsers show it: upper-case hex with colons.
fn colons(fingerprint: Fingerprint) -> String {
    let mut text = String::with_capacity(95);
    for (place, byte) in fingerprint.as_bytes().iter().enumerate() {
        let colon = if place == 0 { "" } else { ":" };
        // Writing to a String never fails.
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::x509::validity_of;

    #[test]
    fn it_has_the_names_of_the_settings_and_is_made_again_before_its_end() {
        let names = [HostName::Dns("pki.example.org".into()), HostName::Ip("192.0.2.1".parse().unwrap())];
        let at = Timestamp::from_seconds(1_800_000_000);
        let made = SelfSigned::new(&names, at).unwrap();
        let certificate = webpki::EndEntityCert::try_from(&made.key().cert[0]).unwrap();
        for name in ["localhost", "pki.example.org", "192.0.2.1"] {
            let name = rustls::pki_types::ServerName::try_from(name).unwrap();
            assert_eq!(certificate.verify_is_valid_for_subject_name(&name), Ok(()), "{name:?}");
        }
        assert_eq!(validity_of(&made.key().cert[0]).unwrap().1, at.plus_seconds(LIFETIME_SECONDS));
        assert!(made.successor(at.plus_seconds(24 * 86_400)).is_none());
        let next = made.successor(at.plus_seconds(26 * 86_400)).unwrap().unwrap();
        assert_ne!(next.fingerprint, made.fingerprint);
    }

    #[test]
    fn the_two_forms_of_its_fingerprint_mean_the_same() {
        let made = SelfSigned::new(&[], Timestamp::from_seconds(1_800_000_000)).unwrap();
        assert_eq!(colons(made.fingerprint).parse(), Ok(made.fingerprint));
    }
}
