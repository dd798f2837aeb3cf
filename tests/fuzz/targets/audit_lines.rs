//! What the audit commands read from files and servers: kept heads, records, and the keys that heads verify under.
#![no_main]

use catalyst_pki::{
    api::{AuditItem, AuditPoint},
    client::{
        audit::Chain,
        heads::{self, Finding, HeadKeys},
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (found, others) = heads::parse(text);
    assert!(found.len() + others.len() <= text.lines().count().max(1));
    let values = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let (mut keys, mut base, mut records) = (HeadKeys::default(), None, Vec::new());
    for value in values {
        if value.get("keys").is_some() {
            keys = HeadKeys::from_jwks(&value);
        } else if let Ok(record) = serde_json::from_value::<AuditItem>(value.clone()) {
            records.push(record);
        } else if let Ok(point) = serde_json::from_value::<AuditPoint>(value) {
            base.get_or_insert(point);
        }
    }
    let base = base.unwrap_or_else(|| AuditPoint { seq: 0, hash: "00".repeat(32) });
    let mut chain = Chain::new(base.clone(), found.iter().map(|head| head.seq));
    for record in &records {
        if let Err(error) = chain.follow(record) {
            assert!(!error.to_string().is_empty());
            let _ = error.at();
            break;
        }
        assert_eq!(chain.end().seq, record.seq);
    }
    for head in &found {
        // Nobody without a key signs.
        assert_ne!(heads::check(head, &keys, &chain), Finding::Holds);
    }
});
