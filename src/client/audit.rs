//! The audit log's chain, computed here: what the service says of its own log proves nothing.

use crate::{
    api::{AuditItem, AuditPoint},
    identity::{hex, unhex},
};
use aws_lc_rs::digest;
use std::collections::BTreeMap;

/// A chain that is being followed, record by record.
#[derive(Clone, Debug)]
pub struct Chain {
    base: AuditPoint,
    end: AuditPoint,
    records: u64,
    /// The hash that each of these numbers has, once it was passed.
    seen: BTreeMap<i64, Option<String>>,
}

/// Where a chain breaks, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// A number is left out, or comes twice.
    #[error("record {wanted} is missing: record {found} comes in its place")]
    Gap {
        /// What should come.
        wanted: i64,
        /// What comes.
        found: i64,
    },
    /// A record does not continue the one before.
    #[error("record {0} does not carry the hash of the record before it")]
    Unlinked(i64),
    /// A record is not what its hash says.
    #[error("record {0} is not what its hash was computed from")]
    Altered(i64),
}

impl Break {
    /// The first wrong number.
    pub fn at(&self) -> i64 {
        match self {
            Self::Gap { wanted, .. } => *wanted,
            Self::Unlinked(seq) | Self::Altered(seq) => *seq,
        }
    }
}

impl Chain {
    /// A chain that continues from `base`, and remembers the hashes of the records of these numbers.
    pub fn new(base: AuditPoint, wanted: impl IntoIterator<Item = i64>) -> Self {
        let mut seen: BTreeMap<i64, Option<String>> = wanted.into_iter().map(|seq| (seq, None)).collect();
        seen.entry(base.seq).and_modify(|hash| *hash = Some(base.hash.clone()));
        Self { end: base.clone(), base, records: 0, seen }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// It does not follow.
    pub fn follow(&mut self, record: &AuditItem) -> Result<(), Break> {
        // The number before comes from elsewhere, and may be the last one that there is.
        let wanted = self.end.seq.saturating_add(1);
        if record.seq != wanted || wanted == self.end.seq {
            return Err(Break::Gap { wanted, found: record.seq });
        }
        if !record.prev_hash.eq_ignore_ascii_case(&self.end.hash) {
            return Err(Break::Unlinked(record.seq));
        }
        let computed = hash_of(record).filter(|hash| record.hash.eq_ignore_ascii_case(hash));
        let hash = computed.ok_or(Break::Altered(record.seq))?;
        self.seen.entry(record.seq).and_modify(|seen| *seen = Some(hash.clone()));
        self.end = AuditPoint { seq: record.seq, hash };
        self.records += 1;
        Ok(())
    }

    /// Where it began.
    pub fn base(&self) -> &AuditPoint {
        &self.base
    }

    /// How far it was followed.
    pub fn end(&self) -> &AuditPoint {
        &self.end
    }

    /// How many records were followed.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The hash of a record whose number was asked for, if the chain has come to it.
    pub fn hash_at(&self, seq: i64) -> Option<&str> {
        self.seen.get(&seq).and_then(|hash| hash.as_deref())
    }
}

/// SHA-256 over the previous hash, number, time (both 8 octets, big-endian), actor, action, subject and detail, each
/// with its length before it (8 octets, big-endian). `None` where the previous hash is no hash.
pub(super) fn hash_of(record: &AuditItem) -> Option<String> {
    let previous = unhex(&record.prev_hash).filter(|hash| hash.len() == 32)?;
    let fields: [&[u8]; 7] = [
        &previous,
        &record.seq.to_be_bytes(),
        &record.at.to_be_bytes(),
        record.actor.as_bytes(),
        record.action.as_bytes(),
        record.subject.as_bytes(),
        record.detail.as_bytes(),
    ];
    let mut context = digest::Context::new(&digest::SHA256);
    for field in fields {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    Some(hex(context.finish().as_ref()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{identity::Timestamp, store::AuditRecord};

    /// Records as the store makes them, each hashed by the store.
    pub(crate) fn stored(count: i64) -> Vec<AuditItem> {
        let mut previous = [0; 32];
        (1..=count)
            .map(|seq| {
                let mut record = AuditRecord {
                    seq,
                    at: Timestamp::from_millis(1_700_000_000_000 + seq),
                    actor: "token:ops:jti-1".into(),
                    action: "identity.denied".into(),
                    subject: format!("spiffe://example.org/node/n{seq}"),
                    detail: r#"{"reason":"Störung"}"#.into(),
                    prev_hash: previous,
                    hash: [0; 32],
                };
                record.hash = record.computed_hash();
                previous = record.hash;
                AuditItem {
                    seq,
                    at: record.at.millis(),
                    actor: record.actor,
                    action: record.action,
                    subject: record.subject,
                    detail: record.detail,
                    prev_hash: hex(&record.prev_hash),
                    hash: hex(&record.hash),
                }
            })
            .collect()
    }

    fn start() -> AuditPoint {
        AuditPoint { seq: 0, hash: hex(&[0; 32]) }
    }

    fn followed(base: AuditPoint, records: &[AuditItem]) -> Result<Chain, Break> {
        let mut chain = Chain::new(base, [2]);
        records.iter().try_for_each(|record| chain.follow(record))?;
        Ok(chain)
    }

    #[test]
    fn the_client_and_the_store_compute_the_same_chain() {
        let records = stored(5);
        let chain = followed(start(), &records).unwrap();
        assert_eq!(chain.end(), &AuditPoint { seq: 5, hash: records[4].hash.clone() });
        assert_eq!((chain.records(), chain.hash_at(2)), (5, Some(records[1].hash.as_str())));
        let base = AuditPoint { seq: 2, hash: records[1].hash.clone() };
        let rest = followed(base, &records[2..]).unwrap();
        assert_eq!((rest.end().seq, rest.hash_at(2)), (5, Some(records[1].hash.as_str())));
    }

    #[test]
    fn nothing_follows_the_last_number_that_there_is() {
        let base = AuditPoint { seq: i64::MAX, hash: hex(&[0; 32]) };
        let mut record = stored(1).remove(0);
        assert!(matches!(
            followed(base.clone(), &[record.clone()]).unwrap_err(),
            Break::Gap { found: 1, .. }
        ));
        record.seq = i64::MAX;
        record.hash = hash_of(&record).unwrap();
        assert!(matches!(followed(base, &[record]).unwrap_err(), Break::Gap { found: i64::MAX, .. }));
    }

    #[test]
    fn every_kind_of_change_breaks_the_chain() {
        let records = stored(5);
        let mut without = records.clone();
        without.remove(2);
        assert_eq!(followed(start(), &without).unwrap_err(), Break::Gap { wanted: 3, found: 4 });
        for change in [
            (|record: &mut AuditItem| record.actor = "token:other:jti-1".into()) as fn(&mut AuditItem),
            |record| record.at += 1,
            |record| record.detail = "{}".into(),
            // The border between two fields counts.
            |record| (record.actor, record.action) = ("token:ops:jti-1i".into(), "dentity.denied".into()),
        ] {
            let mut altered = records.clone();
            change(&mut altered[2]);
            assert_eq!(followed(start(), &altered).unwrap_err(), Break::Altered(3));
            // With its hash made to fit, the next record shows it.
            altered[2].hash = hash_of(&altered[2]).unwrap();
            assert_eq!(followed(start(), &altered).unwrap_err(), Break::Unlinked(4));
        }
        let mut unlinked = records;
        unlinked[0].prev_hash = "no hash".into();
        assert_eq!(followed(start(), &unlinked).unwrap_err(), Break::Unlinked(1));
    }
}
