//! Signed heads of the audit log that were kept elsewhere: what the log was, at a time, under the token key.

use super::audit::Chain;
use crate::{api::SignedHead, identity::unhex};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::HashMap, fmt};

/// What heads sign comes after this.
const CONTEXT: &[u8] = b"catalyst-pki/audit/v1\0";

/// What a kept head says of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The log has this record with this hash.
    Holds,
    /// The same, and the key that signed is not published any more. The hash alone says that nothing was changed.
    HoldsUnsigned,
    /// The log begins after it: it lies in the sealed files.
    Sealed,
    /// The log ends before it.
    Truncated,
    /// The chain breaks before it, so that nothing can be said of it.
    Unchecked,
    /// The log has another record of this number.
    Rewritten,
    /// The signature is not the token key's.
    BadSignature,
}

impl Finding {
    /// Whether the log can be what it was.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Holds | Self::HoldsUnsigned | Self::Sealed)
    }

    /// One word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsUnsigned => "holds-unsigned",
            Self::Sealed => "sealed",
            Self::Truncated => "truncated",
            Self::Unchecked => "unchecked",
            Self::Rewritten => "rewritten",
            Self::BadSignature => "bad-signature",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::HoldsUnsigned => {
                "holds; its signature was not checked, for the service does not publish that key any more"
            }
            Self::Sealed => "lies in the sealed files, before the records of the service; check it there",
            Self::Truncated => {
                "truncated: the log ends before this record, which was there when the head was signed"
            }
            Self::Unchecked => "not checked: the chain is broken before this record",
            Self::Rewritten => {
                "rewritten: the log has another record of this number than when the head was signed"
            }
            Self::BadSignature => {
                "the signature is not the token key's: the head is altered, or another service's"
            }
        })
    }
}

/// The keys that tokens and heads verify under, by `kid`: uncompressed points of P-384.
#[derive(Debug, Default)]
pub struct HeadKeys(HashMap<String, Vec<u8>>);

impl HeadKeys {
    /// Those of a JWKS. Keys of other kinds are left out.
    pub fn from_jwks(jwks: &Value) -> Self {
        #[derive(Deserialize)]
        struct Jwk {
            kid: String,
            crv: String,
            x: String,
            y: String,
        }
        let keys = jwks.get("keys").and_then(Value::as_array).into_iter().flatten();
        let points = keys.filter_map(|key| {
            let key = Jwk::deserialize(key).ok().filter(|key| key.crv == "P-384")?;
            let (x, y) = (URL_SAFE_NO_PAD.decode(&key.x).ok()?, URL_SAFE_NO_PAD.decode(&key.y).ok()?);
            Some((key.kid, [&[4], x.as_slice(), y.as_slice()].concat()))
        });
        Self(points.collect())
    }

    /// Whether the head was signed by its key; `None` where the key is not known.
    fn verify(&self, head: &SignedHead) -> Option<bool> {
        let point = self.0.get(&head.kid)?;
        let signed = || {
            let hash = unhex(&head.hash).filter(|hash| hash.len() == 32)?;
            let message = [CONTEXT, &head.seq.to_be_bytes(), &head.at.to_be_bytes(), &hash].concat();
            let signature = URL_SAFE_NO_PAD.decode(&head.signature).ok()?;
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(&message, &signature).ok()
        };
        Some(signed().is_some())
    }
}

/// Compares a head with the chain, which was asked to remember its number.
pub fn check(head: &SignedHead, keys: &HeadKeys, chain: &Chain) -> Finding {
    let signed = keys.verify(head);
    if signed == Some(false) {
        return Finding::BadSignature;
    }
    if head.seq < chain.base().seq {
        return Finding::Sealed;
    }
    match chain.hash_at(head.seq) {
        None => Finding::Truncated,
        Some(hash) if !hash.eq_ignore_ascii_case(&head.hash) => Finding::Rewritten,
        Some(_) if signed.is_none() => Finding::HoldsUnsigned,
        Some(_) => Finding::Holds,
    }
}

/// The heads in a text: a JSON object a line, each a head or a log line that has one in its properties. Answers them
/// and the numbers of the lines that hold none.
pub fn parse(text: &str) -> (Vec<SignedHead>, Vec<usize>) {
    let whole = serde_json::from_str::<Value>(text).ok().and_then(|value| in_value(&value));
    if let Some(head) = whole {
        return (vec![head], Vec::new());
    }
    let (mut heads, mut others) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Value>(line).ok().and_then(|value| in_value(&value)) {
            Some(head) => heads.push(head),
            None => others.push(index + 1),
        }
    }
    (heads, others)
}

fn in_value(value: &Value) -> Option<SignedHead> {
    let here = |value: &Value| SignedHead::deserialize(value).ok();
    let properties = value.get("properties");
    let inside = || properties?.as_object()?.values().find_map(here);
    here(value).or_else(|| properties.and_then(here)).or_else(inside)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::{AuditItem, AuditPoint};
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use serde_json::json;

    /// A token key of tests.
    pub(crate) struct HeadKey(EcdsaKeyPair);

    impl HeadKey {
        pub(crate) fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
        }

        pub(crate) fn jwks(&self) -> Value {
            let point = self.0.public_key().as_ref();
            let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            json!({"keys": [{"kty": "EC", "crv": "P-384", "kid": "k1", "x": b64(&point[1..49]), "y": b64(&point[49..])}]})
        }

        pub(crate) fn sign(&self, seq: i64, hash: &str) -> SignedHead {
            let at = 1_707_818_400_000_i64;
            let mut message = b"catalyst-pki/audit/v1\0".to_vec();
            message.extend_from_slice(&seq.to_be_bytes());
            message.extend_from_slice(&at.to_be_bytes());
            message.extend_from_slice(&unhex(hash).unwrap());
            let signature = self.0.sign(&SystemRandom::new(), &message).unwrap();
            let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
            SignedHead { seq, hash: hash.into(), at, kid: "k1".into(), signature }
        }
    }

    /// A chain of one record after number 4, which remembers these numbers.
    fn chain(numbers: &[i64]) -> Chain {
        let base = AuditPoint { seq: 4, hash: "44".repeat(32) };
        let mut record = AuditItem {
            seq: 5,
            at: 1,
            actor: "service".into(),
            action: "a".into(),
            subject: "s".into(),
            detail: "{}".into(),
            prev_hash: base.hash.clone(),
            hash: String::new(),
        };
        record.hash = crate::client::audit::hash_of(&record).unwrap();
        let mut chain = Chain::new(base, numbers.iter().copied());
        chain.follow(&record).unwrap();
        chain
    }

    #[test]
    fn a_kept_head_shows_what_became_of_the_log() {
        let (key, stranger) = (HeadKey::new(), HeadKey::new());
        let keys = HeadKeys::from_jwks(&key.jwks());
        let chain = chain(&[3, 4, 5, 6]);
        let end = chain.end().hash.clone();
        let found = |head: &SignedHead| check(head, &keys, &chain);
        assert_eq!(found(&key.sign(5, &end)), Finding::Holds);
        assert_eq!(found(&key.sign(4, &"44".repeat(32))), Finding::Holds);
        assert_eq!(found(&key.sign(3, &"33".repeat(32))), Finding::Sealed);
        assert_eq!(found(&key.sign(6, &"66".repeat(32))), Finding::Truncated);
        assert_eq!(found(&key.sign(5, &"55".repeat(32))), Finding::Rewritten);
        assert_eq!(found(&stranger.sign(5, &end)), Finding::BadSignature);
        let good = key.sign(5, &end);
        for altered in [
            SignedHead { seq: 4, hash: "44".repeat(32), ..good.clone() },
            SignedHead { at: good.at + 1, ..good.clone() },
            SignedHead { signature: "AAAA".into(), ..good.clone() },
            SignedHead { hash: "55".into(), ..good.clone() },
        ] {
            assert_eq!(found(&altered), Finding::BadSignature);
        }
        let unknown = |head: SignedHead| SignedHead { kid: "k0".into(), ..head };
        assert_eq!(found(&unknown(good)), Finding::HoldsUnsigned);
        assert_eq!(found(&unknown(key.sign(6, &end))), Finding::Truncated);
    }

    #[test]
    fn heads_are_found_bare_and_in_log_lines() {
        let head = HeadKey::new().sign(7, &"77".repeat(32));
        let bare = serde_json::to_string(&head).unwrap();
        let line = json!({"timestamp": 1, "message": "Audit head", "properties": head}).to_string();
        let nested = json!({"message": "Audit head", "properties": {"head": head}}).to_string();
        let text = format!("{bare}\n\n{{\"message\": \"Listening\"}}\n{line}\nno JSON\n{nested}\n");
        let (heads, others) = parse(&text);
        assert_eq!((heads.len(), others), (3, vec![3, 5]));
        assert!(heads.iter().all(|found| *found == head));
        assert_eq!(parse(&serde_json::to_string_pretty(&head).unwrap()).0, [head]);
        assert_eq!(parse("").0, []);
    }
}
