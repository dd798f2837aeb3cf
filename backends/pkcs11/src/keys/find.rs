//! Looking for keys on a token.

use super::{
    address::{Address, encode_octets},
    label,
    mechanism::{self, Recipe},
    private::{PrivateKey, names, wrong_type},
    public::Parts,
};
use crate::{TokenConfig, token::Desk, trouble::Trouble};
use catalyst_signing::{FoundKey, KeyIntent, KeyPin, Nonce, Refusal, SignError, SignatureAlgorithm};
use cryptoki::{
    error::RvError,
    object::{Attribute, ObjectClass, ObjectHandle},
};

/// What is signed to tell two public keys apart: no certificate, and nothing that could become one.
const PROBE: &[u8] = b"catalyst-pki/probe/v1\0";

/// The handle of the one private key at an address.
///
/// # Errors
/// [`Refusal::Missing`] where there is none or the token is another one, [`Refusal::Ambiguous`] where there are several.
pub(crate) fn find_private(
    desk: &Desk<'_>,
    config: &TokenConfig,
    address: &Address,
) -> Result<ObjectHandle, Trouble> {
    match all_private(desk, config, address)?[..] {
        [one] => Ok(one),
        [] => Err(missing(config, address).into()),
        ref several => {
            let mut ids = Vec::new();
            for handle in several {
                let key = PrivateKey::read(desk, *handle)?;
                ids.push(format!(
                    "id={} ('{}', {})",
                    encode_octets(&key.id),
                    key.label.escape_debug(),
                    key.public
                ));
            }
            let reason = format!(
                "{address} names {} private keys on {}: {}; name one by a URI that fits it alone",
                several.len(),
                config.name,
                ids.join(", ")
            );
            Err(SignError::refused(Refusal::Ambiguous, reason).into())
        }
    }
}

/// The handles of all private keys at an address.
pub(crate) fn all_private(
    desk: &Desk<'_>,
    config: &TokenConfig,
    address: &Address,
) -> Result<Vec<ObjectHandle>, Trouble> {
    address.check_token(&config.name, desk.facts)?;
    Ok(desk.session.find_objects(&address.private_template())?)
}

/// Nothing is at an address.
pub(crate) fn missing(config: &TokenConfig, address: &Address) -> SignError {
    let (name, list) = (&config.name, how_to_list(config));
    SignError::refused(
        Refusal::Missing,
        format!("{address} names no private key on {name}: {list} lists what is there"),
    )
}

/// Pins the key that an operator named.
pub(crate) fn resolve(
    desk: &Desk<'_>,
    config: &TokenConfig,
    address: &Address,
    algorithm: SignatureAlgorithm,
) -> Result<KeyPin, Trouble> {
    let key = PrivateKey::read(desk, find_private(desk, config, address)?)?;
    key.check(&address.to_string(), algorithm, config)?;
    recipe(desk, config, algorithm)?;
    let spki = public_of(desk, config, &key, &address.to_string(), algorithm, Proof::Always)?;
    let shares = !key.id.is_empty() && private_by_id(desk, &key.id)?.len() > 1;
    let uri = Address::uri_of(desk.facts, &key.id, &key.name, shares)?;
    Ok(KeyPin { uri, algorithm, spki })
}

/// The key that was made for an intent, if there is one: its CKA_ID is the intent's nonce.
pub(crate) fn find(
    desk: &Desk<'_>,
    config: &TokenConfig,
    intent: &KeyIntent,
) -> Result<Option<KeyPin>, Trouble> {
    let name = format!("the key with the CKA_ID {} on {}", intent.nonce, config.name);
    let found = match private_by_id(desk, intent.nonce.as_bytes())?[..] {
        [] => return Ok(None),
        [one] => PrivateKey::read(desk, one)?,
        ref several => {
            let reason = format!(
                "{} private keys on {} have the CKA_ID {}, and either could be the one that was made: find out whose they are \
                 ({} lists them), then remove the wrong ones by hand and try again",
                several.len(),
                config.name,
                intent.nonce,
                how_to_list(config)
            );
            return Err(SignError::refused(Refusal::Ambiguous, reason).into());
        }
    };
    let doubts = found.doubts(intent.algorithm);
    if !doubts.is_empty() {
        let reason = format!(
            "{name} ('{}') is not taken for the one that was wanted: {}; find out whose it is, then remove it by hand and \
             try again",
            found.label.escape_debug(),
            doubts.join("; ")
        );
        return Err(SignError::refused(Refusal::Ambiguous, reason).into());
    }
    let spki = public_of(desk, config, &found, &name, intent.algorithm, Proof::Always)?;
    let uri = Address::uri_of(desk.facts, &found.id, &found.name, false)?;
    Ok(Some(KeyPin { uri, algorithm: intent.algorithm, spki }))
}

/// The keys that were made for a deployment and not given up.
pub(crate) fn list(desk: &Desk<'_>, deployment: &str) -> Result<Vec<FoundKey>, Trouble> {
    let mut listed = Vec::new();
    let every = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    for handle in desk.session.find_objects(&every)? {
        let (id, label) = match names(desk, handle) {
            // Another process has removed it since it was found.
            Err(trouble) if trouble.is(RvError::ObjectHandleInvalid) => continue,
            read => read?,
        };
        let ours = std::str::from_utf8(&label)
            .ok()
            .and_then(label::read)
            .filter(|ours| ours.deployment == deployment);
        let (Some(ours), Ok(nonce)) = (ours, <[u8; 16]>::try_from(&id[..])) else { continue };
        listed.push(FoundKey {
            uri: Address::uri_of(desk.facts, &id, &label, false)?,
            nonce: Nonce::from_bytes(nonce),
            role: ours.role,
            generation: ours.generation,
            made_at: None,
        });
    }
    Ok(listed)
}

/// Whether a private key shows by a signature that a public key is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Before it is pinned: what lies beside a private key could be anybody's.
    Always,
    /// Where there are several: a crash left a public key alone, and a whole pair came later.
    WhenInDoubt,
}

/// SubjectPublicKeyInfo (DER) of a private key: from the public key object beside it, else from itself.
///
/// # Errors
/// [`Refusal::WrongType`] where the key is of another algorithm, [`Refusal::Missing`] where nothing tells it, an integrity
/// error where the private key is of none of what is there.
pub(crate) fn public_of(
    desk: &Desk<'_>,
    config: &TokenConfig,
    key: &PrivateKey,
    name: &str,
    algorithm: SignatureAlgorithm,
    proof: Proof,
) -> Result<Vec<u8>, Trouble> {
    let (mut fitting, mut others, mut unread) = (Vec::new(), Vec::new(), None);
    let mut sort = |parts: Parts| match parts.spki() {
        Ok(spki) if algorithm.verifier(&spki).is_none() => others.push(parts),
        Ok(spki) if fitting.contains(&spki) => {}
        Ok(spki) => fitting.push(spki),
        Err(why) => unread = Some(why),
    };
    let beside = public_beside(desk, key)?;
    for object in &beside {
        sort(Parts::of_public(desk, *object)?);
    }
    if beside.is_empty() {
        sort(key.public.clone());
    }
    match (&fitting[..], &others[..]) {
        ([one], _) if proof == Proof::WhenInDoubt => Ok(one.clone()),
        ([], [other, ..]) => Err(wrong_type(name, other, algorithm).into()),
        ([], []) => {
            let why = unread.map_or(String::new(), |why| format!(" ({why})"));
            let reason = format!(
                "the public key of {name} can't be read{why}: no public key object beside it has the same CKA_ID and tells it. \
                 Put one there, or, if the making of this key was cut off, remove the private key by hand and try again: {} \
                 lists what is there",
                how_to_list(config)
            );
            Err(SignError::refused(Refusal::Missing, reason).into())
        }
        (told, _) => {
            let signature = sign(desk, config, key.handle, key.wants_consent, algorithm, PROBE)?;
            let right = told.iter().find(|spki| algorithm.verify(spki, PROBE, &signature));
            let none = || {
                let reason = format!(
                    "{name} signs, but not under the public key that has its CKA_ID ({} tried): remove the wrong public key \
                     object, and put the right one there",
                    told.len()
                );
                SignError::integrity(reason)
            };
            Ok(right.ok_or_else(none)?.clone())
        }
    }
}

/// The public key objects that belong to a private key: by CKA_ID, by label where it has none.
pub(crate) fn public_beside(desk: &Desk<'_>, key: &PrivateKey) -> Result<Vec<ObjectHandle>, Trouble> {
    let name = match (&key.id[..], &key.name[..]) {
        ([], []) => return Ok(Vec::new()),
        ([], label) => Attribute::Label(label.to_vec()),
        (id, _) => Attribute::Id(id.to_vec()),
    };
    let mut template = vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Token(true), name];
    template.extend(key.public.kind.map(Attribute::KeyType));
    Ok(desk.session.find_objects(&template)?)
}

/// One signature over a message, as X.509 wants it.
pub(crate) fn sign(
    desk: &Desk<'_>,
    config: &TokenConfig,
    key: ObjectHandle,
    consent: bool,
    algorithm: SignatureAlgorithm,
    message: &[u8],
) -> Result<Vec<u8>, Trouble> {
    let first = recipe(desk, config, algorithm)?;
    let most = mechanism::longest(algorithm);
    let with = |recipe: Recipe| -> Result<Vec<u8>, Trouble> {
        let given = desk.sign(&recipe.mechanism(), key, &recipe.input(message), most, consent)?;
        Ok(recipe.value(given)?)
    };
    match with(first) {
        // Too much at once for this token, a long CRL: it is hashed here.
        Err(trouble) if trouble.is(RvError::DataLenRange) => {
            match first.of_a_digest(&desk.facts.mechanisms) {
                Some(second) => with(second),
                None => Err(trouble),
            }
        }
        other => other,
    }
}

/// How this token signs with an algorithm.
fn recipe(desk: &Desk<'_>, config: &TokenConfig, algorithm: SignatureAlgorithm) -> Result<Recipe, SignError> {
    Recipe::choose(algorithm, &desk.facts.mechanisms).ok_or_else(|| {
        let wanted = mechanism::wanted(algorithm);
        let reason =
            format!("{} can't sign with {algorithm}: the token does not offer {wanted}", config.name);
        SignError::refused(Refusal::Unsupported, reason)
    })
}

fn private_by_id(desk: &Desk<'_>, id: &[u8]) -> Result<Vec<ObjectHandle>, Trouble> {
    let template =
        [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true), Attribute::Id(id.to_vec())];
    Ok(desk.session.find_objects(&template)?)
}

/// For an operator who wants to see for himself.
pub(crate) fn how_to_list(config: &TokenConfig) -> String {
    format!("`pkcs11-tool --module {} --login --list-objects`", config.module.display())
}
