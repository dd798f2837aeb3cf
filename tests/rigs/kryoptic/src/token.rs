//! `kryoptic-token MODULE SLOT LABEL` makes a token in a slot that `KRYOPTIC_CONF` names, as `softhsm2-util
//! --init-token` does for SoftHSM. The security officer's PIN and the user's are two lines on standard input.

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    session::UserType,
    types::AuthPin,
};
use std::{env, error::Error, io};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [module, slot, label] = args.as_slice() else {
        return Err("usage: kryoptic-token MODULE SLOT LABEL".into());
    };
    let pins = io::stdin().lines().take(2).collect::<Result<Vec<String>, _>>()?;
    let [so_pin, pin] = pins.as_slice() else {
        return Err("standard input has no two lines: the PIN of the security officer, and the user's".into());
    };

    let module = Pkcs11::new(module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = slot.parse::<u64>()?.try_into()?;
    let (so_pin, pin) = (AuthPin::new(so_pin.as_str().into()), AuthPin::new(pin.as_str().into()));
    module.init_token(slot, &so_pin, label)?;
    let session = module.open_rw_session(slot)?;
    session.login(UserType::So, Some(&so_pin))?;
    session.init_pin(&pin)?;
    session.close()?;
    module.finalize()?;
    Ok(())
}
