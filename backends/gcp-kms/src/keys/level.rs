//! Where keys are held, and whether that is good enough.

use crate::Protection;
use catalyst_signing::{Refusal, Result, SignError};
use google_cloud_kms::model::ProtectionLevel;

/// What new keys get.
pub(super) fn of_new(protection: Protection) -> ProtectionLevel {
    match protection {
        Protection::Hsm => ProtectionLevel::Hsm,
        Protection::Software => ProtectionLevel::Software,
    }
}

/// Refuses a key (`name`) that is held less safely than is wanted, or outside Google.
pub(super) fn check(protection: Protection, level: &ProtectionLevel, name: &str) -> Result<()> {
    let fits = match level {
        ProtectionLevel::Hsm | ProtectionLevel::HsmSingleTenant => true,
        ProtectionLevel::Software => protection == Protection::Software,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let advice = match level {
        ProtectionLevel::Software => "choose another, or set CATALYST_PKI_GCP_PROTECTION=software",
        _ => "choose another",
    };
    let reason =
        format!("{name} is held at protection level {}, and HSM is wanted: {advice}", written(level));
    Err(SignError::refused(Refusal::WrongType, reason))
}

/// As Google writes it.
pub(super) fn written(level: &ProtectionLevel) -> &str {
    level.name().unwrap_or("unknown")
}
