//! Making keys.

use super::{
    find::find,
    label,
    mechanism::pair_maker,
    public::{ED25519_NAME, ED25519_OID, ED25519_OLD_OID, P256_PARAMS, P384_PARAMS},
};
use crate::{TokenConfig, token::Desk, trouble::Trouble};
use catalyst_signing::{KeyIntent, KeyPin, Refusal, SignError, SignatureAlgorithm as Algorithm};
use cryptoki::{
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, MlDsaParameterSetType},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Makes the key of an intent, or gives the one made before. It looks first, and again before each further attempt, so
/// it may be repeated; and once more at the end, for a key is taken only if the token says that it keeps it.
pub(crate) fn create(desk: &Desk<'_>, config: &TokenConfig, intent: &KeyIntent) -> Result<KeyPin, Trouble> {
    if let Some(made_before) = find(desk, config, intent)? {
        return Ok(made_before);
    }
    let maker = maker(desk, config, intent.algorithm)?;
    let mut refused = None;
    for template in templates(intent) {
        if refused.is_some()
            && let Some(made_after_all) = find(desk, config, intent)?
        {
            return Ok(made_after_all);
        }
        match desk.session.generate_key_pair(&maker, &template.public, &template.private) {
            Ok(_) => return made(desk, config, intent),
            Err(error) if is_about_the_template(&error) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let why = refused.map_or_else(|| "it knows no template for it".to_owned(), |error| error.to_string());
    let reason = format!(
        "{} makes no {} keys as they are wanted here: {why}; make one with the token's own tools, and name it",
        config.name, intent.algorithm
    );
    Err(SignError::refused(Refusal::Unsupported, reason).into())
}

fn made(desk: &Desk<'_>, config: &TokenConfig, intent: &KeyIntent) -> Result<KeyPin, Trouble> {
    let pin = find(desk, config, intent)?;
    let lost =
        || SignError::integrity(format!("{} made a key and does not find it by its CKA_ID", config.name));
    Ok(pin.ok_or_else(lost)?)
}

fn maker(
    desk: &Desk<'_>,
    config: &TokenConfig,
    algorithm: Algorithm,
) -> Result<Mechanism<'static>, SignError> {
    let maker = pair_maker(algorithm);
    let offered = maker.filter(|maker| desk.facts.mechanisms.contains(&maker.mechanism_type()));
    offered.ok_or_else(|| {
        let missing = pair_maker(algorithm).map_or(String::new(), |m| format!(" ({})", m.mechanism_type()));
        let reason = format!(
            "{} makes no {algorithm} keys: the token does not offer the mechanism{missing}; choose another algorithm, or \
             name an existing key",
            config.name
        );
        SignError::refused(Refusal::Unsupported, reason)
    })
}

/// Nothing was made: the token did not like how the key was described.
fn is_about_the_template(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::TemplateInconsistent
                | RvError::TemplateIncomplete
                | RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::AttributeReadOnly
                | RvError::DomainParamsInvalid
                | RvError::CurveNotSupported
                | RvError::ArgumentsBad,
            _
        )
    )
}

/// How a pair is described to the token.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) public: Vec<Attribute>,
    pub(crate) private: Vec<Attribute>,
}

/// From the fullest to the shortest, in each form that tokens take the algorithm's parameters in.
pub(crate) fn templates(intent: &KeyIntent) -> Vec<Template> {
    let (id, label) = (intent.nonce.as_bytes().to_vec(), label::of(intent).into_bytes());
    let named = [Attribute::Token(true), Attribute::Id(id), Attribute::Label(label)];
    let signs = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    // What is left out is mostly false; said where the token lets it be said.
    let nothing_else = [
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::SignRecover(false),
        Attribute::Derive(false),
    ];
    let verifies = [Attribute::Private(false), Attribute::Verify(true)];
    let mut templates = Vec::new();
    for form in forms(intent.algorithm) {
        for more in [&nothing_else[..], &[]] {
            templates.push(Template {
                public: [&named[..], &verifies, &form].concat(),
                private: [&named[..], &signs, more].concat(),
            });
        }
    }
    templates
}

/// The algorithm's parameters in a public key template, in each form that is met.
fn forms(algorithm: Algorithm) -> Vec<Vec<Attribute>> {
    let curve = |params: &[u8]| vec![Attribute::EcParams(params.to_vec())];
    let rsa = |bits: u32| {
        let bits = Attribute::ModulusBits(u64::from(bits).into());
        vec![vec![bits, Attribute::PublicExponent(vec![1, 0, 1])]]
    };
    let ml_dsa = |set: MlDsaParameterSetType| vec![vec![Attribute::ParameterSet(set.into())]];
    match algorithm {
        Algorithm::EcP384 => vec![curve(P384_PARAMS)],
        Algorithm::EcP256 => vec![curve(P256_PARAMS)],
        Algorithm::Ed25519 => vec![curve(ED25519_NAME), curve(ED25519_OID), curve(ED25519_OLD_OID)],
        Algorithm::Rsa3072 | Algorithm::Rsa3072Pss => rsa(3072),
        Algorithm::Rsa4096 | Algorithm::Rsa4096Pss => rsa(4096),
        Algorithm::MlDsa65 => ml_dsa(MlDsaParameterSetType::ML_DSA_65),
        Algorithm::MlDsa87 => ml_dsa(MlDsaParameterSetType::ML_DSA_87),
        _ => Vec::new(),
    }
}

/// Whose turn it is: of two calls for one intent, the second looks when the first has made the key or failed.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<[u8; 16], Weak<AsyncMutex<()>>>>);

impl Turns {
    /// Held by the work itself, so that a caller who goes away does not end it before its time.
    pub(crate) async fn take(&self, intent: &KeyIntent) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(intent.nonce.as_bytes()).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(AsyncMutex::new(()));
                turns.insert(*intent.nonce.as_bytes(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}
