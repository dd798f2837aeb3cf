//! Keys and CSRs, made before anything is measured.

use crate::Outcome;
use catalyst_pki::identity::{ServiceType, TrustDomain, Workload};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use std::thread;

pub(crate) const TRUST_DOMAIN: &str = "bench.example.org";

/// One identity's request.
pub(crate) struct Request {
    pub(crate) workload: Workload,
    /// With a P-384 key.
    pub(crate) csr_pem: String,
}

/// So many nodes, each with a key of its own.
pub(crate) fn make(count: usize) -> Outcome<Vec<Request>> {
    make_for(ServiceType::Node, count)
}

/// So many identities of this type, each with a key of its own.
pub(crate) fn make_for(service_type: ServiceType, count: usize) -> Outcome<Vec<Request>> {
    let threads = thread::available_parallelism()?.get();
    let share = count.div_ceil(threads);
    let made = thread::scope(|scope| {
        let making: Vec<_> = (0..count)
            .step_by(share.max(1))
            .map(|first| {
                scope.spawn(move || {
                    (first..count.min(first + share))
                        .map(|number| one(service_type, number))
                        .collect::<Outcome<Vec<_>>>()
                })
            })
            .collect();
        making
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked")?)
            .collect::<Outcome<Vec<_>>>()
    });
    Ok(made?.into_iter().flatten().collect())
}

fn one(service_type: ServiceType, number: usize) -> Outcome<Request> {
    let domain: TrustDomain = TRUST_DOMAIN.parse()?;
    let workload = Workload::new(&domain, service_type, format!("bench-{number}.example.org").parse()?)?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(workload.spiffe_id().as_str().try_into()?)];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let csr_pem = params.serialize_request(&key)?.pem()?;
    Ok(Request { workload, csr_pem })
}

impl Request {
    /// As `POST /pki/csr/sign`, whole.
    pub(crate) fn http(&self, token: &str) -> Vec<u8> {
        let body = serde_json::json!({
            "csrPem": self.csr_pem,
            "serviceType": self.workload.service_type().to_string(),
            "instanceId": self.workload.instance_id().as_str(),
        })
        .to_string();
        format!(
            "POST /pki/csr/sign HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}
