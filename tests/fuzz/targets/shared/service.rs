//! A service without its network: a CA in memory, and access over it.
#![allow(dead_code, reason = "each target uses a part of it")]

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_pki::{
    EphemeralCa,
    access::{Access, Caller, Config, Policies, Presented},
    identity::{ServiceType, SpkiHash, Workload},
};
use catalyst_signing::{
    GuardedKey, Purpose,
    ecdsa::{Curve, fixed_from_der},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::{runtime::Runtime, time::Instant};

pub const TRUST_DOMAIN: &str = "example.org";
pub const SYSTEM_TOKEN: &str = "the preset system secret of the fuzz targets";

pub struct Service {
    pub runtime: Runtime,
    pub ca: EphemeralCa,
    pub access: Access,
    key: GuardedKey,
}

impl Service {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ca, access, key) = runtime.block_on(async {
            let ca = EphemeralCa::new(TRUST_DOMAIN.parse().unwrap()).await.unwrap();
            let config = Config {
                own: workload(&ca, ServiceType::Auth, "auth.example.org"),
                domains: vec!["example.org".into(), "a.example.org".into()],
                dev: false,
                bootstrap_ttl: Duration::from_secs(3_600),
            };
            let authority = ca.authority();
            let policies = Policies::built_in().unwrap();
            let (store, clock) = (authority.store().clone(), authority.clock().clone());
            let mut access = Access::new(config, store, clock, policies);
            access.preset_system_token(&SYSTEM_TOKEN.into()).await.unwrap();
            access.open(authority.token_key().await.unwrap()).await.unwrap();
            let key = authority.token_key().await.unwrap();
            (ca, access, key)
        });
        Self { runtime, ca, access, key }
    }

    /// Who the value of an `Authorization` header speaks for.
    pub fn caller(&self, authorization: &[u8]) -> Option<Caller> {
        let presented = Presented { authorization: Some(authorization), certificate: None, for_csr: true };
        self.runtime.block_on(self.access.authenticate(presented)).ok()
    }

    pub fn workload(&self, service_type: ServiceType, instance: &str) -> Workload {
        workload(&self.ca, service_type, instance)
    }

    /// `kid` of the key that signs tokens.
    pub fn kid(&self) -> String {
        SpkiHash::of_spki(&self.key.pin().spki).to_string()
    }

    /// A JWT with this header and these claims under the key that signs tokens.
    pub fn signed(&self, header: &str, claims: &str) -> String {
        compact(header, claims, |input| {
            let deadline = Instant::now() + Duration::from_secs(10);
            let signing = self.key.sign(Purpose::Token, input.to_vec(), deadline);
            let signature = self.runtime.block_on(signing).unwrap().signature;
            fixed_from_der(Curve::P384, &signature).unwrap()
        })
    }
}

fn workload(ca: &EphemeralCa, service_type: ServiceType, instance: &str) -> Workload {
    Workload::new(ca.trust_domain(), service_type, instance.parse().unwrap()).unwrap()
}

/// A certificate of the CA, with its key.
pub struct Issued {
    pub der: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Issued {
    pub fn to(service: &Service, instance: &str) -> Self {
        let workload = service.workload(ServiceType::Node, instance);
        let (key, svid) = service.runtime.block_on(service.ca.issue(workload)).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pem(&key)).unwrap();
        Self { der: pem(&svid.certificate_pem), key }
    }

    pub fn signed(&self, header: &str, claims: &str) -> String {
        compact(header, claims, |input| self.key.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec())
    }
}

/// A compact JWS (RFC 7515, 3.1).
fn compact(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn pem(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
