//! Keys that LocalStack has not: it keeps a P-384 key in the place of each, with its tags, aliases and state, and the
//! proxy signs in its stead.

use super::{answer::Answer, pairs::Pair, request::Request, strict, upstream::Upstream};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What LocalStack keeps in the place of a key that it has not.
const STAND_IN: &str = "ECC_NIST_P384";

/// The proxy's own key pairs, by the id of the key that stands for them: all replicas of a key have one id.
#[derive(Debug, Default)]
pub(super) struct Emulated {
    pairs: Mutex<HashMap<String, Arc<Pair>>>,
}

impl Emulated {
    pub(super) fn pair(&self, id: &str) -> Option<Arc<Pair>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Has LocalStack make the key that stands for one of these. `None`: LocalStack has such keys.
    ///
    /// `own` is whether the proxy signs too where LocalStack could.
    pub(super) async fn create(&self, upstream: &Upstream, request: &Request, own: bool) -> Option<Answer> {
        let key_spec = request.text("KeySpec")?;
        let pair = match key_spec {
            "ECC_NIST_P256" | "ECC_NIST_P384" if !own => return None,
            _ => Arc::new(Pair::new(key_spec)?),
        };
        let mut body = request.body.clone();
        body["KeySpec"] = json!(STAND_IN);
        let mut answer = upstream.ask(&request.instead("CreateKey", body)).await;
        if let Some(id) = answer.body["KeyMetadata"]["KeyId"].as_str().map(str::to_owned) {
            self.pairs.lock().unwrap_or_else(PoisonError::into_inner).insert(id, pair);
            self.rewrite(&mut answer.body);
        }
        Some(answer)
    }

    /// Signs in the stead of the key that stands there, if LocalStack would with that.
    pub(super) async fn sign(&self, upstream: &Upstream, request: &Request, signer: Signer<'_>) -> Answer {
        let mut answer = match signer.asks {
            true => {
                let body = json!({
                    "KeyId": request.named(),
                    "Message": STANDARD.encode([0; 48]),
                    "MessageType": "DIGEST",
                    "SigningAlgorithm": "ECDSA_SHA_384",
                });
                upstream.ask(&request.instead("Sign", body)).await
            }
            false => Answer::of(json!({"KeyId": signer.arn})),
        };
        if !answer.is_ok() {
            return answer;
        }
        let message_type = request.text("MessageType").unwrap_or("RAW");
        let Some(signature) = signer.pair.sign(signer.message, message_type) else {
            return Answer::failure("KMSInternalException", "the proxy cannot sign that");
        };
        answer.body["Signature"] = json!(STANDARD.encode(signature));
        answer.body["SigningAlgorithm"] = request.body["SigningAlgorithm"].clone();
        answer
    }

    /// Puts the key in the place of the one that stands for it, wherever an answer tells of it.
    pub(super) fn rewrite(&self, answer: &mut Value) {
        for metadata in ["KeyMetadata", "ReplicaKeyMetadata"] {
            let Some(metadata) = answer.get_mut(metadata) else { continue };
            if let Some(pair) = metadata["KeyId"].as_str().and_then(|id| self.pair(id)) {
                name(&pair, metadata);
            }
        }
        if answer.get("PublicKey").is_some() {
            let id = answer["KeyId"].as_str().map(super::request::bare);
            if let Some(pair) = id.and_then(|id| self.pair(id)) {
                name(&pair, answer);
                answer["PublicKey"] = json!(STANDARD.encode(pair.spki().unwrap_or_default()));
            }
        }
    }
}

/// Who signs in the stead of LocalStack.
pub(super) struct Signer<'a> {
    pub(super) pair: &'a Pair,
    pub(super) arn: &'a str,
    pub(super) message: &'a [u8],
    /// Whether LocalStack is asked if the key that stands there signs.
    pub(super) asks: bool,
}

fn name(pair: &Pair, of: &mut Value) {
    let key_spec = pair.key_spec();
    of["KeySpec"] = json!(key_spec);
    of["CustomerMasterKeySpec"] = json!(key_spec);
    of["SigningAlgorithms"] = json!(strict::algorithms(key_spec));
}
