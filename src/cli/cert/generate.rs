//! `catalyst pki cert generate`: the key is made here, and does not leave this machine.

use super::{
    super::{
        arguments::{Curve, Generate, Output},
        files::{Draft, Place, Readers},
        output::{json, ok, print_with_files},
    },
    issue::{Issued, issue},
};
use crate::{
    client::{Client, ClientError, Result, printable},
    identity::{Serial, Workload},
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, SanType};
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};
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
    let result = match form {
        Output::Json => {
            let mut fields = issued.json();
            fields["certPath"] = cert.as_str().into();
            fields["keyPath"] = key.as_str().into();
            json(&fields)?
        }
        Output::Text | Output::Markdown => format!(
            "{} Certificate generated:\n{}  Cert:        {cert}\n  Key:         {key}\n",
            ok(),
            issued.lines()
        ),
    };
    Ok(print_with_files(&result, &[&cert, &key]))
}

/// Puts both files at their places. The certificate is on the disk before the key is moved, so that from then on only
/// renaming can fail; whatever fails, the key stays somewhere, for the certificate is good for no other.
fn write(issued: &Issued, wanted: &Generate, mut key: Draft, mut certificate: Draft) -> Result<()> {
    let pem = issued.pem()?;
    let at = |path| move |error| (path, error);
    let (cert_path, key_path) = (wanted.output_cert.as_path(), wanted.output_key.as_path());
    let written = certificate
        .fill(pem.as_bytes())
        .map_err(at(cert_path))
        .and_then(|()| key.publish().map_err(at(key_path)))
        .and_then(|()| certificate.publish().map_err(at(cert_path)));
    written.map_err(|(path, error)| unwritten(issued.serial(), wanted, path, &error, key.keep()))
}

/// What is true when a file could not be put at `path`. `key`: where the key is now, if it is anywhere.
fn unwritten(
    serial: Serial,
    wanted: &Generate,
    path: &Path,
    error: &io::Error,
    key: Option<PathBuf>,
) -> ClientError {
    let (cert_path, key_path) = (wanted.output_cert.display(), wanted.output_key.display());
    let failed = format!("certificate {serial} is issued, but {} cannot be written: {error}", path.display());
    let Some(key) = key else {
        return ClientError::failed(format!("{failed}; its key is gone with the directory it was in")).with_hint(
            format!("the certificate is good for nothing without it: catalyst pki cert revoke {serial} --reason cessationOfOperation; make the directory, then run the same again"),
        );
    };
    let first = match error.kind() {
        io::ErrorKind::AlreadyExists => format!("move away what has come to be at {}", path.display()),
        io::ErrorKind::NotFound => "make the directory".to_owned(),
        _ => "make room".to_owned(),
    };
    ClientError::failed(format!("{failed}; its key is in {}", key.display())).with_hint(format!(
        "{first}, then run the same again, or fetch it: catalyst pki cert export {serial} --chain --output-cert {cert_path}; the key belongs at {key_path}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, kind: io::ErrorKind, key: Option<&str>) -> (String, String) {
        let wanted = Generate {
            workload: Workload::of(&"td".parse().unwrap(), "spiffe://td/node/a".parse().unwrap()).unwrap(),
            ttl: None,
            curve: Curve::P384,
            output_cert: "x/c.pem".into(),
            output_key: "x/k.pem".into(),
            force: false,
        };
        let serial = "1f".repeat(16).parse().unwrap();
        let error = unwritten(serial, &wanted, Path::new(path), &kind.into(), key.map(PathBuf::from));
        (error.message, error.hint.unwrap())
    }

    #[test]
    fn the_file_that_could_not_be_written_is_the_one_that_is_named() {
        let (error, hint) = told("x/k.pem", io::ErrorKind::AlreadyExists, Some("x/.catalyst-0.new"));
        assert!(error.contains("x/k.pem cannot be written") && !error.contains("c.pem"), "{error}");
        assert!(error.ends_with("its key is in x/.catalyst-0.new"), "{error}");
        assert!(hint.starts_with("move away what has come to be at x/k.pem, "), "{hint}");
        let (error, hint) = told("x/c.pem", io::ErrorKind::StorageFull, Some("x/k.pem"));
        assert!(error.contains("x/c.pem cannot be written") && hint.starts_with("make room"), "{error}");
    }

    #[test]
    fn a_key_that_went_away_with_its_directory_is_not_said_to_be_there() {
        let (error, hint) = told("x/k.pem", io::ErrorKind::NotFound, None);
        assert!(error.ends_with("its key is gone with the directory it was in"), "{error}");
        assert!(hint.contains("cert revoke 1f1f"), "{hint}");
    }
}
