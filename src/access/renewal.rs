//! Renewal: a certificate of this CA proves who asks for its successor, by mutual TLS on that very connection, or by
//! a JWT that its key has signed for one CSR.

use super::{
    Access, AccessError, Caller, Credential, Facts, PeerCertificate, remembered::Checked,
    vocabulary::PrincipalKind,
};
use crate::{
    identity::{Actor, CaRole, Fingerprint, Timestamp, sha256},
    store::{CertificateStatus, RenewalUse, TicketRefusal},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The `typ` of a renewal proof: no other JWT is one, and it is none of the others.
const PROOF_TYPE: &str = "catalyst-renew+jwt";
/// The longest life of a proof, in seconds.
const PROOF_SECONDS: i64 = 60;
/// How far the prover's clock may be ahead of ours, in seconds; behind, it has the proof's whole life.
const CLOCK_AHEAD_SECONDS: i64 = 60;
const LONGEST_PROOF: usize = 16 * 1024;
const LONGEST_JTI: usize = 256;

/// What a renewal proof says.
#[derive(Deserialize)]
struct ProofClaims {
    /// SHA-256 of the CSR's DER, base64url.
    csr: String,
    iat: i64,
    exp: i64,
    jti: String,
}

impl Access {
    /// Who has proven a certificate by mutual TLS. Checked again whenever anything was revoked.
    pub(super) async fn by_certificate(&self, presented: &PeerCertificate) -> Result<Caller, AccessError> {
        let hash = *presented.fingerprint.as_bytes();
        let epoch = self.epoch();
        if let Some(checked) = self.proven.get(&hash, epoch, self.clock.now()) {
            return Ok(checked.caller);
        }
        let (caller, not_after) = self.svid(&presented.der).await?;
        let checked = Checked { caller: caller.clone(), bound_to: None, until: Some(not_after) };
        self.proven.put(hash, checked, epoch);
        Ok(caller)
    }

    /// Whether the certificate that was proven on a connection was put on hold or revoked, so that the connection is
    /// to end. One that is nobody's, or past its end, only proves nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_cut_off(&self, presented: &PeerCertificate) -> Result<bool, AccessError> {
        match self.by_certificate(presented).await {
            Err(AccessError::IdentityDenied(_) | AccessError::Ticket(TicketRefusal::CertificateGone)) => {
                Ok(true)
            }
            Err(error @ AccessError::Store(_)) => Err(error),
            Ok(_) | Err(_) => Ok(false),
        }
    }

    /// Who has signed a renewal proof.
    pub(super) async fn by_renewal_proof(&self, proof: &str) -> Result<Caller, AccessError> {
        if proof.len() > LONGEST_PROOF {
            return Err(AccessError::Malformed("too long"));
        }
        let header = jsonwebtoken::decode_header(proof).map_err(|_| AccessError::Malformed("no JWT"))?;
        if header.typ.as_deref() != Some(PROOF_TYPE) {
            return Err(AccessError::Malformed("no renewal proof"));
        }
        let chain = header.x5c.ok_or(AccessError::Malformed("without x5c"))?;
        let leaf = chain.first().ok_or(AccessError::Malformed("without x5c"))?;
        let leaf = STANDARD.decode(leaf).map_err(|_| AccessError::Malformed("x5c is not base64"))?;
        // First, so that nobody learns of a certificate whose key they lack, nor costs the store more than this.
        let claims = self.proof_claims(proof, header.alg, &leaf)?;
        let (mut caller, _) = self.svid(&leaf).await?;
        let csr = URL_SAFE_NO_PAD.decode(&claims.csr).ok().and_then(|hash| hash.try_into().ok());
        let csr: [u8; 32] = csr.ok_or(AccessError::Malformed("csr is no SHA-256"))?;
        caller.credential = Credential::Svid {
            renewal: RenewalUse {
                certificate: Fingerprint::of_certificate(&leaf),
                proof: Some((sha256(claims.jti.as_bytes()), Timestamp::from_seconds(claims.exp))),
            },
            csr: Some(csr),
        };
        Ok(caller)
    }

    /// Checks the proof's signature under the certificate's key, its audience and its times.
    fn proof_claims(&self, proof: &str, alg: Algorithm, leaf: &[u8]) -> Result<ProofClaims, AccessError> {
        let der = CertificateDer::from(leaf);
        let certificate = EndEntityCert::try_from(&der).map_err(|_| AccessError::Malformed("x5c"))?;
        let key = decoding_key(&certificate.subject_public_key_info(), alg)?;
        let mut validation = Validation::new(alg);
        validation.set_audience(&[self.config.own.spiffe_id().trust_domain()]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<ProofClaims>(proof, &key, &validation)
            .map_err(|_| AccessError::Invalid("proof: signature, audience or claims do not fit"))?
            .claims;
        let now = self.clock.now().seconds();
        if claims.exp <= now {
            return Err(AccessError::Expired);
        }
        let lives = claims.exp.checked_sub(claims.iat);
        if !lives.is_some_and(|lives| (1..=PROOF_SECONDS).contains(&lives)) {
            return Err(AccessError::Invalid("proof: lives longer than 60 seconds"));
        }
        if claims.iat > now + CLOCK_AHEAD_SECONDS {
            return Err(AccessError::Invalid("proof: made in the future"));
        }
        if claims.jti.is_empty() || claims.jti.len() > LONGEST_JTI {
            return Err(AccessError::Malformed("jti"));
        }
        Ok(claims)
    }

    /// The holder of this certificate, and when it ends: it chains to a live CA of ours, is for clients, and stands
    /// in the store, unexpired and neither held nor revoked. One that a restore has lost is taken up first.
    async fn svid(&self, der: &[u8]) -> Result<(Caller, Timestamp), AccessError> {
        let now = self.clock.now();
        let fingerprint = Fingerprint::of_certificate(der);
        let known = self.store.certificate_by_fingerprint(fingerprint, now).await?;
        let row = match (known, &self.adopter) {
            (None, Some(adopter)) => adopter.adopt(der).await?,
            (known, _) => known,
        };
        let row = row.ok_or(AccessError::Invalid("the certificate is not recorded here"))?;
        let spiffe_id = row.spiffe_id.ok_or(AccessError::Invalid("a CA's certificate"))?;
        match row.status {
            CertificateStatus::Active => {}
            CertificateStatus::Held => return Err(AccessError::IdentityDenied(spiffe_id)),
            CertificateStatus::Revoked => return Err(AccessError::Ticket(TicketRefusal::CertificateGone)),
            CertificateStatus::Expired => return Err(AccessError::Expired),
        }
        self.check_chain(der, now).await?;
        let facts = Facts {
            kind: PrincipalKind::Svid,
            cedar_id: spiffe_id.to_string(),
            sub: spiffe_id.to_string(),
            id: row.serial.to_string(),
            name: row.common_name,
            entity_type: "service".to_owned(),
            node_id: None,
            spiffe_id: Some(spiffe_id.clone()),
            trusted_nodes: Vec::new(),
            trusted_domains: Vec::new(),
        };
        let caller = Caller {
            actor: Actor::Svid { spiffe_id, serial: row.serial },
            facts: Arc::new(facts),
            credential: Credential::Svid {
                renewal: RenewalUse { certificate: fingerprint, proof: None },
                csr: None,
            },
        };
        Ok((caller, row.not_after))
    }

    async fn check_chain(&self, der: &[u8], now: Timestamp) -> Result<(), AccessError> {
        let unfit = |_| AccessError::Invalid("the certificate does not chain to a live CA of ours");
        let hierarchy = self.store.hierarchy().await?;
        let live = hierarchy.cas.iter().filter(|ca| ca.certificate.role != CaRole::Root && ca.is_live(now));
        let live: Vec<CertificateDer<'_>> = live.map(|ca| ca.certificate.der.as_slice().into()).collect();
        let anchors: Vec<_> =
            live.iter().map(anchor_from_trusted_cert).collect::<Result<_, _>>().map_err(unfit)?;
        let leaf = CertificateDer::from(der);
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.millis().unsigned_abs()));
        let leaf = EndEntityCert::try_from(&leaf).map_err(unfit)?;
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &[], time, KeyUsage::client_auth(), None, None)
            .map(drop)
            .map_err(unfit)
    }
}

/// The key of an SPKI, for the algorithm that fits its curve (RFC 7518, 3.4): its point is the end of it.
fn decoding_key(spki: &[u8], alg: Algorithm) -> Result<DecodingKey, AccessError> {
    // Bytes of a coordinate, and of the whole SPKI (RFC 5480, 2): the curve follows from the latter.
    let (coordinate, whole) = match alg {
        Algorithm::ES384 => (48, 120),
        Algorithm::ES256 => (32, 91),
        _ => return Err(AccessError::Malformed("of another algorithm than ES384 and ES256")),
    };
    let unfit = AccessError::Invalid("proof: its algorithm does not fit the certificate's key");
    if spki.len() != whole {
        return Err(unfit);
    }
    let (x, y) = spki[whole - 2 * coordinate..].split_at(coordinate);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    DecodingKey::from_ec_components(&x, &y).map_err(|_| unfit)
}
