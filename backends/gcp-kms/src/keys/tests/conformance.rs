//! The signing contract, on the fake: every rule, with nothing left out.

use super::{RING, SECRET, backend, config, fake, of, over, permissions::roles, plant};
use crate::{GcpKmsBackend, GcpKmsConfig, Protection};
use async_trait::async_trait;
use catalyst_rigs::gcp::{
    Alteration, Binding, FakeKms, Grant, Plant,
    api::{Algorithm, ProtectionLevel},
};
use catalyst_signing::{
    KeyIntent, SignatureAlgorithm, SigningBackend,
    conformance::{self, Harness, LookAlike},
};
use std::{collections::BTreeMap, sync::Arc};

const SIGNER: &str = "signer";

/// Where everybody may do what the documentation gives, and no more.
struct InRing {
    fake: FakeKms,
    protection: Protection,
}

impl InRing {
    fn new(protection: Protection) -> Self {
        let fake = fake();
        for grant in roles(&["provisioner", "give-up"]) {
            bind(&fake, SECRET, grant);
        }
        bind(&fake, SIGNER, Grant::Role("roles/cloudkms.signer".to_owned()));
        Self { fake, protection }
    }

    fn store(&self) -> GcpKmsBackend {
        over(GcpKmsConfig { protection: self.protection, ..config(&self.fake) })
    }

    /// What the key of an intent would be.
    fn own(&self, intent: &KeyIntent) -> Plant {
        let algorithm = match intent.algorithm {
            SignatureAlgorithm::EcP384 => Algorithm::EcSignP384Sha384,
            SignatureAlgorithm::EcP256 => Algorithm::EcSignP256Sha256,
            other => panic!("the suite tries this with a quick algorithm, and not with {other}"),
        };
        let protection_level = match self.protection {
            Protection::Hsm => ProtectionLevel::Hsm,
            Protection::Software => ProtectionLevel::Software,
        };
        Plant { algorithm, protection_level, ..plant::of(intent) }
    }

    fn altered(&self, intent: &KeyIntent, alteration: &Alteration) -> String {
        let version = self.fake.plant(&self.own(intent)).unwrap();
        self.fake.alter(&version, alteration).unwrap();
        version
    }
}

fn bind(fake: &FakeKms, caller: &str, grant: Grant) {
    let caller = Some(caller.to_owned());
    fake.bind(&Binding { caller, grant, resource: RING.to_owned() }).unwrap();
}

#[async_trait]
impl Harness for InRing {
    async fn backend(&self) -> Arc<dyn SigningBackend> {
        Arc::new(self.store())
    }

    async fn sign_only(&self) -> Option<Arc<dyn SigningBackend>> {
        let (protection, credentials) = (self.protection, of(SIGNER));
        Some(Arc::new(over(GcpKmsConfig { protection, credentials, ..config(&self.fake) })))
    }

    async fn plant(&self, kind: LookAlike, intent: &KeyIntent) -> Option<Vec<u8>> {
        let version = match kind {
            LookAlike::Foreign => {
                self.fake.plant(&Plant { labels: BTreeMap::new(), ..self.own(intent) }).unwrap()
            }
            LookAlike::Older => {
                self.altered(intent, &Alteration { made_later: Some(-600), ..Alteration::default() })
            }
            LookAlike::Imported => {
                let import_job = Some(format!("{RING}/importJobs/theirs"));
                self.altered(intent, &Alteration { import_job, ..Alteration::default() })
            }
            LookAlike::Twin => {
                let version = plant::another_version(&self.fake, &plant::name(intent));
                while plant::described(&self.fake, &version)["state"] == "PENDING_GENERATION" {}
                version
            }
            _ => return None,
        };
        Some(self.store().resolve(&version, intent.algorithm).await.unwrap().spki)
    }

    fn leaks(&self, text: &str) -> bool {
        text.contains(SECRET)
    }
}

async fn keeps_the_contract(protection: Protection) {
    let report = conformance::run_all(&InRing::new(protection)).await;
    report.assert();
    assert!(!report.to_string().contains("skipped"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_an_hsm_keep_the_signing_contract() {
    keeps_the_contract(Protection::Hsm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_software_keep_the_signing_contract() {
    let software = InRing::new(Protection::Software).store();
    let has = |algorithm| software.capabilities().iter().any(|one| one.algorithm == algorithm);
    assert!(has(SignatureAlgorithm::MlDsa65) && has(SignatureAlgorithm::MlDsa87));
    assert!(!backend(&fake()).capabilities().iter().any(|one| one.algorithm == SignatureAlgorithm::MlDsa87));
    keeps_the_contract(Protection::Software).await;
}
