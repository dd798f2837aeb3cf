//! CRLs that an operator gives to a restore: published after the backup, and still in some verifier's hands.

use super::{BackupError, Result};
use crate::{
    authority::x509::{check_crl, read_crl},
    identity::Timestamp,
    store::{NewerCrl, StoreFacts},
};
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use std::{fs::File, io::Read as _, path::Path};

/// No CRL is longer, in octets: more than a million lines.
const LONGEST: u64 = 64 << 20;

/// Reads a CRL (DER or PEM) of one of the store's CAs, and checks that CA's signature.
///
/// # Errors
/// No CRL, one of another CA or with a signature that is not that CA's, one of a time to come.
pub(super) fn crl_in_file(path: &Path, facts: &StoreFacts, at: Timestamp) -> Result<NewerCrl> {
    let failed = BackupError::io("read", path);
    let mut octets = Vec::new();
    let file = File::open(path).map_err(&failed)?;
    file.take(LONGEST + 1).read_to_end(&mut octets).map_err(&failed)?;
    if octets.len() as u64 > LONGEST {
        return Err(refused(path, "it is longer than any CRL"));
    }
    newer_crl(octets, facts, at).map_err(|clause| refused(path, &clause))
}

fn refused(path: &Path, clause: &str) -> BackupError {
    BackupError::Usage(format!(
        "the CRL {} is not taken: {clause}; nothing was restored, and without it the restore goes on",
        path.display()
    ))
}

fn newer_crl(octets: Vec<u8>, facts: &StoreFacts, at: Timestamp) -> std::result::Result<NewerCrl, String> {
    let der = match octets.trim_ascii_start().starts_with(b"-----BEGIN") {
        true => CertificateRevocationListDer::from_pem_slice(&octets)
            .map_err(|error| format!("its PEM cannot be read: {error}"))?
            .to_vec(),
        false => octets,
    };
    let crl = read_crl(&der).map_err(|error| error.0)?;
    let ca = facts.cas.iter().find(|ca| ca.ski == crl.issuer);
    let ca = ca.ok_or_else(|| format!("it is of the CA {}, which is not in the backup", crl.issuer))?;
    check_crl(&der, &ca.der).map_err(|error| error.0)?;
    if crl.this_update > at {
        return Err(format!(
            "it was published at {}, and the clock of this machine stands at {at}: set the clock",
            crl.this_update
        ));
    }
    let (issuer, number, entries) = (crl.issuer, crl.number, crl.entries);
    let (this_update, next_update) = (crl.this_update, crl.next_update);
    Ok(NewerCrl { issuer, number, this_update, next_update, der, entries })
}
