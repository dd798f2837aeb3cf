//! A program that uses a token.

use catalyst_rigs::pkcs11::TestToken;
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, Result, RvError},
    mechanism::Mechanism,
    object::{Attribute, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use std::{ffi::CString, ptr::NonNull};

/// The OID of the curve P-256, in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The module, initialised, and the token's slot.
pub(crate) struct Program {
    pub(crate) module: Pkcs11,
    pub(crate) slot: Slot,
}

impl Program {
    /// Loads the module, initialises it unless it is, and finds the token.
    pub(crate) fn of(token: &TestToken) -> Self {
        let module = Pkcs11::new(&token.module).unwrap();
        match initialise(&module, token) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => panic!("{error}"),
        }
        let slots = module.get_slots_with_initialized_token().unwrap();
        let slot =
            slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == token.label);
        Self { slot: slot.unwrap(), module }
    }

    /// A read-write session in which the user is logged in.
    pub(crate) fn login(&self, token: &TestToken) -> Result<Session> {
        let session = self.module.open_rw_session(self.slot)?;
        match session.login(UserType::User, Some(&AuthPin::new(token.pin.as_str().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn finish(self) {
        self.module.finalize().unwrap();
    }
}

pub(crate) fn initialise(module: &Pkcs11, token: &TestToken) -> Result<()> {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let text = token.initialisation.as_deref().map(|text| CString::new(text).unwrap());
    let args = match &text {
        // SAFETY: Kryoptic, whose tokens alone have such a text, takes a string here, which lives through the call.
        Some(text) => unsafe {
            CInitializeArgs::new_with_reserved(flags, NonNull::new(text.as_ptr().cast_mut().cast()).unwrap())
        },
        None => CInitializeArgs::new(flags),
    };
    module.initialize(args)
}

/// Makes a P-256 key pair in the token, and gives the private key.
pub(crate) fn p256_key(session: &Session) -> Result<ObjectHandle> {
    let public = [Attribute::Token(true), Attribute::Verify(true), Attribute::EcParams(P256.to_vec())];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    Ok(session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?.1)
}
