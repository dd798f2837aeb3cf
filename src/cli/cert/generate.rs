//! `catalyst pki cert generate`: the key is made here, and does not leave this machine.

use super::{
    super::{
        arguments::{Curve, Generate, Output},
        files::{Draft, Place, Readers},
        output::{json, ok, print},
    },
    issue::{Issued, issue},
};
use crate::{
    client::{Client, ClientError, Result, printable},
    identity::Workload,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, SanType};
use std::{path::Path, process::ExitCode};
use zeroize::{Zeroize as _, Zeroizing};

/// A key that lies on the disk, under another name, and a place for its certificate that takes files.
pub(in crate::cli) struct Ready {
    wanted: Generate,
    key: Draft,
    certificate: Draft,
    csr_pem: String,
    spki: Vec<u8>,
}

/// Makes the key and writes it down, so that a full disk shows before anybody is asked.
pub(super) fn prepare(wanted: Generate) -> Result<Ready> {
    let key_place = Place::look(&wanted.output_key, wanted.force)?;
    let place = Place::look(&wanted.output_cert, wanted.force)?;
    if key_place.is(&place) {
        return Err(ClientError::usage(format!(
            "--output-cert and --output-key are both {}",
            wanted.output_key.display()
        ))
        .with_hint("give each a file of its own"));
    }
    let (mut key, certificate) = (key_place.begin(Readers::Owner)?, place.begin(Readers::Anybody)?);
    let failed = |error: rcgen::Error| ClientError::failed(format!("no key could be made: {error}"));
    let mut pair = KeyPair::generate_for(match wanted.curve {
        Curve::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        Curve::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
    })
    .map_err(failed)?;
    let csr_pem = csr(&pair, &wanted.workload).map_err(failed)?;
    let spki = pair.subject_public_key_info();
    let pem = Zeroizing::new(pair.serialize_pem());
    pair.zeroize();
    key.fill(pem.as_bytes()).map_err(|error| {
        ClientError::failed(format!("cannot write {}: {error}", wanted.output_key.display()))
            .with_hint("make room, or name another directory; nothing was asked of the service")
    })?;
    Ok(Ready { wanted, key, certificate, csr_pem, spki })
}

/// A request for the identity alone; the service adds the DNS names that go with it.
fn csr(key: &KeyPair, workload: &Workload) -> std::result::Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(workload.spiffe_id().as_str().try_into()?)];
    params.serialize_request(key)?.pem()
}

pub(super) async fn run(client: &Client, ready: Ready, form: Output) -> Result<ExitCode> {
    let Ready { wanted, key, certificate, csr_pem, spki } = ready;
    let issued = issue(client, &wanted.workload, wanted.ttl, csr_pem, &spki).await?;
    write(&issued, &wanted, key, certificate)?;
    let shown = |path: &Path| printable(&path.display().to_string());
    let (cert, key) = (shown(&wanted.output_cert), shown(&wanted.output_key));
    Ok(print(&match form {
        Output::Json => {
            let mut fields = issued.json();
            fields["certPath"] = cert.into();
            fields["keyPath"] = key.into();
            json(&fields)?
        }
        Output::Text | Output::Markdown => format!(
            "{} Certificate generated:\n{}  Cert:        {cert}\n  Key:         {key}\n",
            ok(),
            issued.lines()
        ),
    }))
}

/// Puts both files at their places. The certificate is on the disk before the key is moved, so that from then on only
/// renaming can fail; whatever fails, the key stays somewhere, for the certificate is good for no other.
fn write(issued: &Issued, wanted: &Generate, mut key: Draft, mut certificate: Draft) -> Result<()> {
    let pem = issued.pem()?;
    let written =
        certificate.fill(pem.as_bytes()).and_then(|()| key.publish()).and_then(|()| certificate.publish());
    let Err(error) = written else { return Ok(()) };
    let (serial, path) = (issued.serial(), wanted.output_cert.display());
    Err(ClientError::failed(format!(
        "certificate {serial} is issued, but cannot be written to {path}: {error}; its key is in {}",
        key.keep().display()
    ))
    .with_hint(format!(
        "make room, then run the same again, or fetch it: catalyst pki cert export {serial} --chain --output-cert {path}; the key belongs at {}",
        wanted.output_key.display()
    )))
}
