//! What the suite works with: a hierarchy of CAs that are bytes only, and certificates to be recorded.

use crate::{
    identity::{Actor, CaRole, DnsName, InstanceId, KeyId, Serial, SpiffeId, SpkiHash, Timestamp},
    store::{
        CaIntention, CaPlan, InitPlan, IssuanceRecord, IssuedCertificate, KeyIntention, KeyRole, MadeKey,
        RecordOutcome, SignedCa, SignedCertificate, Stamp, Store, TokenRecord,
    },
};

/// The suite's beginning of time: 2026-01-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_767_225_600);
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

/// So many seconds after the start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    START.plus_seconds(seconds)
}

/// A step of the service, so many seconds after the start.
pub(crate) fn stamp(seconds: i64) -> Stamp {
    Stamp { at: at(seconds), by: Actor::Service }
}

pub(crate) fn serial() -> Serial {
    Serial::random().unwrap()
}

pub(crate) fn spiffe(name: &str) -> SpiffeId {
    format!("spiffe://td.example/node/{name}").parse().unwrap()
}

pub(crate) fn dns(name: &str) -> DnsName {
    name.parse().unwrap()
}

pub(crate) fn instance(name: &str) -> InstanceId {
    name.parse().unwrap()
}

/// A public key that has this name.
pub(crate) fn key(name: &str) -> SpkiHash {
    SpkiHash::of_spki(name.as_bytes())
}

/// A token of `n1` that lives a day from the start.
pub(crate) fn token(jti: &str) -> TokenRecord {
    TokenRecord {
        jti: jti.to_owned(),
        subject: "n1".to_owned(),
        principal: "CATALYST::NODE".to_owned(),
        entity: r#"{"id":"n1"}"#.to_owned(),
        sans: Vec::new(),
        certificate_fingerprint: None,
        bootstrap: None,
        issued_at: at(0),
        expires_at: at(DAY),
        revoked_at: None,
    }
}

pub(crate) fn plan(roles: &[CaRole]) -> InitPlan {
    let ca = |role: &CaRole| CaPlan {
        role: role.as_str().to_owned(),
        common_name: role.default_common_name(),
        algorithm: "EC-P384".to_owned(),
        ttl_days: 3650,
        backend: "local".to_owned(),
    };
    InitPlan { trust_domain: "td.example".to_owned(), cas: roles.iter().map(ca).collect() }
}

pub(crate) fn intention(role: KeyRole, generation: u32) -> KeyIntention {
    KeyIntention {
        role,
        generation,
        algorithm: "EC-P384".to_owned(),
        backend: "local".to_owned(),
        reference: None,
        nonce: [7; 16],
    }
}

pub(crate) fn made(role: KeyRole, generation: u32) -> MadeKey {
    let name = format!("{role}-{generation}");
    MadeKey { uri: format!("local:{name}"), spki: format!("SPKI of {name}").into_bytes() }
}

/// The key identifier of the suite's CA of that role and generation.
pub(crate) fn ski(role: CaRole, generation: u32) -> KeyId {
    KeyId::of_public_key(format!("{role}-{generation}").as_bytes())
}

/// A key that is made and whose certificate is intended; the certificate, as signed by `root`.
pub(crate) async fn signed_ca(
    store: &dyn Store,
    role: CaRole,
    generation: u32,
    root: Option<&SignedCa>,
    when: i64,
) -> SignedCa {
    let key = KeyRole::Ca(role);
    store.intend_key(&intention(key, generation), &stamp(when)).await.unwrap();
    store.record_key_made(key, generation, &made(key, generation), &stamp(when)).await.unwrap();
    let own = serial();
    let tbs = format!("TBS of {role}-{generation}").into_bytes();
    let intention = CaIntention { role, generation, serial: own, tbs };
    let intention = store.intend_ca(&intention, &stamp(when)).await.unwrap();
    SignedCa {
        role,
        generation,
        ski: ski(role, generation),
        issuer: root.map_or(ski(role, generation), |root| root.ski),
        issuer_serial: root.map_or(intention.serial, |root| root.serial),
        serial: intention.serial,
        common_name: role.default_common_name(),
        der: format!("certificate of {role}-{generation}").into_bytes(),
        not_before: at(when - 60),
        not_after: at(when + if root.is_some() { 730 * DAY } else { 3650 * DAY }),
    }
}

/// A store with root, services and transport CA, initialised at the start.
pub(crate) struct World<'s> {
    pub(crate) store: &'s dyn Store,
    pub(crate) root: SignedCa,
    pub(crate) services: SignedCa,
    pub(crate) transport: SignedCa,
}

impl<'s> World<'s> {
    pub(crate) async fn new(store: &'s dyn Store) -> Self {
        store.begin_initialization(&plan(&CaRole::ALL), &stamp(0)).await.unwrap();
        let root = signed_ca(store, CaRole::Root, 1, None, 0).await;
        let services = signed_ca(store, CaRole::Services, 1, Some(&root), 0).await;
        let transport = signed_ca(store, CaRole::Transport, 1, Some(&root), 0).await;
        let cas = [root.clone(), services.clone(), transport.clone()];
        store.complete_initialization(&cas, &stamp(0)).await.unwrap();
        Self { store, root, services, transport }
    }

    /// What would be recorded of a certificate for `node/<name>` with a key of its own, an hour long, from the
    /// services CA.
    pub(crate) fn record(&self, name: &str, when: i64) -> IssuanceRecord {
        let serial = serial();
        IssuanceRecord {
            serial,
            spiffe_id: spiffe(name),
            instance_id: instance(name),
            common_name: Some(name.to_owned()),
            issuer: self.services.ski,
            issuer_serial: self.services.serial,
            spki: key(&serial.to_string()),
            not_before: at(when - 60),
            not_after: at(when + HOUR),
            owned_names: vec![dns(name)],
            limit: None,
            ticket: None,
        }
    }

    pub(crate) async fn outcome(&self, record: IssuanceRecord, when: i64) -> RecordOutcome {
        self.store.record_issued(signed(record), &stamp(when)).await.unwrap()
    }

    pub(crate) async fn issue_record(&self, record: IssuanceRecord, when: i64) -> IssuedCertificate {
        match self.outcome(record, when).await {
            RecordOutcome::Recorded(issued) => *issued,
            refused => panic!("refused: {refused:?}"),
        }
    }

    pub(crate) async fn issue(&self, name: &str, when: i64) -> IssuedCertificate {
        self.issue_record(self.record(name, when), when).await
    }
}

/// Bytes that pass for a certificate.
pub(crate) fn signed(record: IssuanceRecord) -> SignedCertificate {
    let der = format!("certificate {} of {}", record.serial, record.spiffe_id).repeat(8).into_bytes();
    SignedCertificate::new(der, record)
}
