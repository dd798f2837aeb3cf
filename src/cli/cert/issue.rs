//! Asks for a certificate, and looks at what comes before anything is written.

use crate::{
    api::{CaBundle, SignCsrRequest, SignedCertificate},
    client::{Certificate, Client, ClientError, Result, printable},
    identity::{Serial, Ttl, Workload},
};
use serde_json::{Value, json};

/// A certificate that is for the identity and the key that were asked for.
#[derive(Debug)]
pub(super) struct Issued {
    workload: Workload,
    leaf: Certificate,
    issuer: Certificate,
    serial: Serial,
    expires_at: String,
    renew_after: String,
}

/// Has a CSR signed. `spki`: its public key, DER.
///
/// # Errors
/// A refusal, or a certificate for something else.
pub(super) async fn issue(
    client: &Client,
    workload: &Workload,
    ttl: Option<Ttl>,
    csr_pem: String,
    spki: &[u8],
) -> Result<Issued> {
    same_trust_domain(client, workload).await?;
    let wanted = SignCsrRequest {
        csr_pem,
        service_type: workload.service_type().to_string(),
        instance_id: workload.instance_id().to_string(),
        ttl_seconds: ttl.map(Ttl::seconds),
    };
    let answer: SignedCertificate = client.post("/pki/csr/sign", &wanted).await?;
    Issued::check(workload.clone(), answer, spki)
}

/// The request names no trust domain where the CSR names no identity; so this asks whose service it is.
async fn same_trust_domain(client: &Client, workload: &Workload) -> Result<()> {
    let bundle: CaBundle = client.get("/pki/ca/bundle", &[]).await?;
    let wanted = workload.spiffe_id().trust_domain();
    if bundle.trust_domain == wanted {
        return Ok(());
    }
    Err(ClientError::failed(format!(
        "the trust domain of {} is '{wanted}', this CA's is '{}'",
        workload.spiffe_id(),
        printable(&bundle.trust_domain)
    ))
    .with_hint("give an ID of this CA's trust domain, or the address of the other CA with --auth-url"))
}

impl Issued {
    fn check(workload: Workload, answer: SignedCertificate, spki: &[u8]) -> Result<Self> {
        let other = |what: &str| {
            ClientError::failed(format!(
                "the certificate that came is for {what}; it was not written (serial number {})",
                printable(&answer.serial)
            ))
            .with_hint(
                "is this the service that is meant? Something between here and it may alter its answers",
            )
        };
        let leaf = Certificate::from_pem(&answer.certificate_pem)?;
        if leaf.spiffe_id() != Some(workload.spiffe_id()) {
            return Err(other("another identity"));
        }
        if !leaf.is_for_key(spki) {
            return Err(other("another key"));
        }
        let serial = answer.serial.parse().ok().filter(|serial| leaf.has_serial(*serial));
        let issuer = answer.chain.first().map(|issuer| Certificate::from_pem(issuer)).transpose()?;
        let issuer =
            issuer.ok_or_else(|| ClientError::failed("the certificate came without its issuing CA"))?;
        if !leaf.is_signed_by(&issuer) {
            return Err(ClientError::failed(
                "the certificate came with a CA that has not signed it; it was not written",
            )
            .with_hint("something between here and the service may alter its answers"));
        }
        Ok(Self {
            workload,
            leaf,
            issuer,
            serial: serial
                .ok_or_else(|| ClientError::failed("the certificate came without its serial number"))?,
            expires_at: printable(&answer.expires_at),
            renew_after: printable(&answer.renew_after),
        })
    }

    /// Its serial number.
    pub(super) fn serial(&self) -> Serial {
        self.serial
    }

    /// The certificate, then the CA that issued it: what TLS servers send. The root is for verifiers to have.
    pub(super) fn pem(&self) -> Result<String> {
        Ok(self.leaf.pem()? + &self.issuer.pem()?)
    }

    /// The fields that people read, a line each.
    pub(super) fn lines(&self) -> String {
        format!(
            "  Fingerprint: {}\n  SPIFFE ID:   {}\n  Expires:     {}\n",
            self.leaf.fingerprint(),
            self.workload.spiffe_id(),
            self.expires_at
        )
    }

    /// The fields that programs read.
    pub(super) fn json(&self) -> Value {
        json!({
            "serial": self.serial.to_string(),
            "fingerprint": self.leaf.fingerprint().to_string(),
            "spiffeId": self.workload.spiffe_id().as_str(),
            "expiresAt": self.expires_at,
            "renewAfter": self.renew_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::fake::{Identity, TestCa};
    use rcgen::PublicKeyData as _;

    const ID: &str = "spiffe://td/gateway/gateway-a";

    fn pem(der: &[u8]) -> String {
        der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap()
    }

    /// With the serial number that the answer names.
    fn server(ca: &TestCa, names: &[&str]) -> Identity {
        ca.server_with(names, |params| params.serial_number = Some(vec![0x1f; 16].into()))
    }

    /// What the client makes of an answer that holds this certificate, for a key that it has made.
    fn checked(answered: &Identity, chain: Vec<String>, spki: &[u8]) -> Result<Issued> {
        let domain = "td".parse().unwrap();
        let answer = SignedCertificate {
            certificate_pem: pem(&answered.chain[0]),
            chain,
            expires_at: "2026-02-13T16:00:00.000Z\u{1b}[31m".into(),
            renew_after: "2026-02-13T15:30:00.000Z".into(),
            fingerprint: "not looked at".into(),
            serial: "1f".repeat(16),
        };
        Issued::check(Workload::of(&domain, ID.parse().unwrap()).unwrap(), answer, spki)
    }

    #[test]
    fn a_certificate_for_the_key_and_the_identity_is_taken_with_its_issuer() {
        let ca = TestCa::new();
        let answered = server(&ca, &[ID, "gateway-a"]);
        let chain = vec![ca.pem.clone(), "the root is not written".into()];
        let issued = checked(&answered, chain, &answered.key.subject_public_key_info()).unwrap();
        assert_eq!(issued.pem().unwrap(), pem(&answered.chain[0]) + &pem(&ca.der));
        assert!(!issued.lines().contains('\u{1b}') && issued.lines().contains(ID), "{}", issued.lines());
    }

    #[test]
    fn a_certificate_for_something_else_is_not() {
        let ca = TestCa::new();
        let (good, other) = (server(&ca, &[ID]), server(&ca, &["spiffe://td/gateway/gateway-b"]));
        let spki = |identity: &Identity| identity.key.subject_public_key_info();
        let chain = || vec![ca.pem.clone()];
        let refused = |answered: &Identity, chain: Vec<String>, spki: &[u8]| {
            checked(answered, chain, spki).unwrap_err().to_string()
        };
        assert!(refused(&other, chain(), &spki(&other)).contains("another identity"));
        assert!(refused(&server(&ca, &["gateway-a"]), chain(), &spki(&good)).contains("another identity"));
        assert!(refused(&good, chain(), &spki(&other)).contains("another key"));
        assert!(refused(&good, Vec::new(), &spki(&good)).contains("without its issuing CA"));
        assert!(refused(&good, vec!["-----BEGIN".into()], &spki(&good)).contains("no certificate"));
        assert!(refused(&good, vec![TestCa::new().pem], &spki(&good)).contains("has not signed it"));
        let numbered_otherwise = ca.server(&[ID]);
        let why = refused(&numbered_otherwise, chain(), &spki(&numbered_otherwise));
        assert!(why.contains("without its serial number"), "{why}");
    }
}
