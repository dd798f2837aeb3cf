//! CRLs that an operator gives to a restore: published after the backup, and still in some verifier's hands.

use super::{BackupError, Result};
use crate::{
    authority::x509::{check_crl, read_crl},
    identity::Timestamp,
    store::{NewerCrl, StoreFacts},
};
use rustls_pki_types::{
    CertificateRevocationListDer,
    pem::{self, PemObject as _},
};
use std::{fs::File, io::Read as _, path::Path};

/// No CRL is longer, in octets: more than a million lines.
const LONGEST: u64 = 64 << 20;
/// How a PEM block begins (RFC 7468, 2).
const BEGIN: &[u8] = b"-----BEGIN ";

/// Reads CRLs of the store's CAs, one in DER or all that stand in a PEM file, and checks those CAs' signatures.
///
/// # Errors
/// One that is no CRL, of another CA or with a signature that is not that CA's, or of a time to come: then none is taken.
pub(super) fn crls_in_file(path: &Path, facts: &StoreFacts, at: Timestamp) -> Result<Vec<NewerCrl>> {
    let failed = BackupError::io("read", path);
    let mut octets = Vec::new();
    let file = File::open(path).map_err(&failed)?;
    file.take(LONGEST + 1).read_to_end(&mut octets).map_err(&failed)?;
    if octets.len() as u64 > LONGEST {
        return Err(refused(path, "it is longer than any CRL"));
    }
    let blocks = blocks(&octets);
    if blocks.is_empty() {
        return newer_crl(octets, facts, at).map(|crl| vec![crl]).map_err(|clause| refused(path, &clause));
    }
    let mut crls = Vec::with_capacity(blocks.len());
    for (number, block) in (1..).zip(&blocks) {
        let read = from_pem(block).and_then(|der| newer_crl(der, facts, at));
        crls.push(read.map_err(|clause| {
            refused(
                path,
                &format!("of its {} PEM blocks the one number {number} is not taken: {clause}", blocks.len()),
            )
        })?);
    }
    Ok(crls)
}

/// The text from each `-----BEGIN` at the beginning of a line to the next.
fn blocks(octets: &[u8]) -> Vec<&[u8]> {
    let is_begin = |at: &usize| {
        octets[*at..].starts_with(BEGIN)
            && at.checked_sub(1).is_none_or(|before| b"\r\n".contains(&octets[before]))
    };
    let begins: Vec<usize> = (0..octets.len()).filter(is_begin).collect();
    let ends = begins.iter().skip(1).copied().chain([octets.len()]);
    begins.iter().zip(ends).map(|(begin, end)| &octets[*begin..end]).collect()
}

fn from_pem(block: &[u8]) -> std::result::Result<Vec<u8>, String> {
    match CertificateRevocationListDer::from_pem_slice(block) {
        Ok(der) => Ok(der.to_vec()),
        Err(pem::Error::NoItemsFound) => Err("it is no X509 CRL".into()),
        Err(error) => Err(format!("its PEM cannot be read: {error}")),
    }
}

fn refused(path: &Path, clause: &str) -> BackupError {
    BackupError::Usage(format!(
        "the CRL {} is not taken: {clause}; nothing was restored, and without it the restore goes on",
        path.display()
    ))
}

fn newer_crl(der: Vec<u8>, facts: &StoreFacts, at: Timestamp) -> std::result::Result<NewerCrl, String> {
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
