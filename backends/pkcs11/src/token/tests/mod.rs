//! The way to a real token: SoftHSM's.

mod faults;
mod hangs;
mod logins;
mod opening;
mod sessions;

use super::{Desk, Purpose, Token};
use crate::{
    Opening, TokenConfig,
    config::{Pin, TokenChoice},
    tests::{config, softhsm as token_of_softhsm},
    trouble::Trouble,
};
use catalyst_rigs::pkcs11::{SoftHsm, TestToken};
use catalyst_signing::{Refusal, Result, SignError};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, ObjectClass, ObjectHandle},
};
use secrecy::SecretString;

/// OBJECT IDENTIFIER secp384r1 (RFC 5480, 2.1.1.1), DER.
const SECP384R1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// Where a P-384 signature ends: r and s of 48 octets each.
const P384_LENGTH: usize = 96;

/// Makes a P-384 key; a look-up before, for it may run twice.
fn make_key(desk: &Desk<'_>) -> std::result::Result<(), Trouble> {
    if find_key(desk).is_ok() {
        return Ok(());
    }
    let public = [Attribute::Token(true), Attribute::EcParams(SECP384R1.to_vec()), Attribute::Id(vec![1])];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
        Attribute::Id(vec![1]),
    ];
    desk.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    Ok(())
}

fn find_key(desk: &Desk<'_>) -> std::result::Result<ObjectHandle, Trouble> {
    desk.handle("key", || {
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(vec![1])];
        let found = desk.session.find_objects(&template)?;
        found.first().copied().ok_or_else(|| SignError::refused(Refusal::Missing, "no such key").into())
    })
}

fn sign(desk: &Desk<'_>) -> std::result::Result<Vec<u8>, Trouble> {
    let key = find_key(desk)?;
    desk.sign(&Mechanism::Ecdsa, key, &[7; 48], P384_LENGTH, false)
}

async fn signature(token: &Token) -> Result<Vec<u8>> {
    token.run(Purpose::Use, sign).await
}
