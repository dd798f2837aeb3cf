//! `catalyst pki cert show` and `export`

use super::{
    super::{
        arguments::{self, Output},
        files::{Place, Readers},
        output::{json, ok, print, print_with_files},
    },
    list::{kind, seconds_left},
    sign::place,
};
use crate::{
    api::CertificateDetail,
    client::{Certificate, Client, ClientError, Result, printable},
    identity::{Clock as _, Serial, SystemClock, Timestamp},
};
use serde_json::json;
use std::process::ExitCode;

pub(super) async fn run(client: &Client, name: &str, form: Output) -> Result<ExitCode> {
    let detail = fetch(client, name).await?;
    Ok(print(&match form {
        Output::Json => json(&detail)?,
        Output::Text | Output::Markdown => text(&detail, SystemClock.now()),
    }))
}

/// `name`: a serial number or a fingerprint, in the service's own form.
pub(super) async fn fetch(client: &Client, name: &str) -> Result<CertificateDetail> {
    client.get(&format!("/pki/certificates/{name}"), &[]).await
}

/// The certificate of an answer, if it is the one of that name.
fn certificate(detail: &CertificateDetail, name: &str) -> Result<Certificate> {
    let certificate = Certificate::from_pem(&detail.certificate_pem)?;
    let is_serial = || name.parse().is_ok_and(|serial| certificate.has_serial(serial));
    if certificate.fingerprint().to_string() == name || is_serial() {
        return Ok(certificate);
    }
    Err(ClientError::failed(format!("the service answered another certificate than {name}"))
        .with_hint("is this the service that is meant? Something between here and it may alter its answers"))
}

fn text(detail: &CertificateDetail, now: Timestamp) -> String {
    let item = &detail.item;
    let left = seconds_left(&item.expires_at, now);
    let fields = [
        ("Serial", item.serial.as_str()),
        ("SPIFFE ID", item.spiffe_id.as_deref().unwrap_or("-")),
        ("Common Name", if item.common_name.is_empty() { "-" } else { &item.common_name }),
        ("Type", kind(&item.certificate_type)),
        ("Status", &item.status),
        ("Fingerprint", &item.fingerprint),
        ("Issuer", &detail.issuer_serial),
        ("Not Before", &detail.not_before),
        ("Expires", &format!("{} ({left} seconds left)", item.expires_at)),
        ("Recorded", &detail.created_at),
    ];
    fields.iter().map(|(name, value)| format!("{:<13}{}\n", format!("{name}:"), printable(value))).collect()
}

/// A certificate to write, and the place for it, if it is a file.
pub(in crate::cli) struct Export {
    wanted: arguments::Export,
    place: Option<Place>,
}

pub(super) fn prepare(wanted: arguments::Export) -> Result<Export> {
    Ok(Export { place: place(wanted.output_cert.as_deref(), wanted.force)?, wanted })
}

pub(super) async fn export(client: &Client, ready: &Export, form: Output) -> Result<ExitCode> {
    let Export { wanted, place } = ready;
    let detail = fetch(client, &wanted.name).await?;
    let certificate = certificate(&detail, &wanted.name)?;
    let mut pem = certificate.pem()?;
    // The root is for verifiers to have, and signs itself.
    if wanted.chain && detail.issuer_serial != detail.item.serial {
        let issuer = issuer(client, &detail, &certificate).await?;
        pem += &issuer.map_or_else(|| Ok(String::new()), |issuer| issuer.pem())?;
    }
    if let Some(place) = place {
        place.write(Readers::Anybody, pem.as_bytes())?;
    }
    let path = wanted.output_cert.as_ref().map(|path| printable(&path.display().to_string()));
    let fingerprint = certificate.fingerprint();
    let result = match (form, &path) {
        (Output::Json, path) => json(&json!({
            "serial": detail.item.serial,
            "fingerprint": fingerprint.to_string(),
            "certPath": path,
            "certificatePem": pem,
        }))?,
        (_, Some(path)) => {
            format!("{} Certificate exported:\n  Fingerprint: {fingerprint}\n  Cert:        {path}\n", ok())
        }
        (_, None) => pem,
    };
    Ok(print_with_files(&result, &path.as_deref().into_iter().collect::<Vec<_>>()))
}

/// The CA that signed a certificate; nothing where that is the root.
async fn issuer(
    client: &Client,
    detail: &CertificateDetail,
    leaf: &Certificate,
) -> Result<Option<Certificate>> {
    let unlike = || ClientError::failed("the service answered an issuer that has not signed the certificate");
    let serial: Serial = detail.issuer_serial.parse().map_err(|_| unlike())?;
    let issuer = fetch(client, &serial.to_string()).await?;
    if issuer.item.certificate_type == "root-ca" {
        return Ok(None);
    }
    let certificate = Certificate::from_pem(&issuer.certificate_pem)?;
    if leaf.is_signed_by(&certificate) { Ok(Some(certificate)) } else { Err(unlike()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::CertificateItem, client::tests::fake::TestCa, identity::Fingerprint};

    fn detail(certificate_pem: String) -> CertificateDetail {
        CertificateDetail {
            item: CertificateItem {
                serial: "01".into(),
                spiffe_id: None,
                fingerprint: "f".into(),
                expires_at: "2026-02-13T16:00:00.000Z".into(),
                status: "active".into(),
                certificate_type: "services-ca".into(),
                common_name: "Services\u{1b}[31m CA".into(),
            },
            certificate_pem,
            issuer_serial: "02".into(),
            not_before: "2024-02-14T00:00:00.000Z".into(),
            created_at: "2024-02-14T00:00:00.000Z".into(),
        }
    }

    #[test]
    fn only_the_certificate_that_was_asked_for_is_exported() {
        let (wanted, other) = (TestCa::new(), TestCa::new());
        let name = Fingerprint::of_certificate(&wanted.der).to_string();
        let found = |ca: &TestCa, name: &str| certificate(&detail(ca.pem.clone()), name);
        assert_eq!(found(&wanted, &name).unwrap().fingerprint().to_string(), name);
        assert!(found(&other, &name).unwrap_err().message.contains("another certificate"));
        assert!(found(&wanted, &"1f".repeat(16)).is_err());
    }

    #[test]
    fn every_field_has_a_line_and_steers_no_terminal() {
        let detail = detail(String::new());
        let shown = text(&detail, "2026-02-13T15:00:00Z".parse().unwrap());
        assert!(shown.starts_with("Serial:      01\nSPIFFE ID:   -\nCommon Name: Services\u{fffd}[31m CA\nType:        intermediate\n"), "{shown}");
        assert!(shown.contains("Expires:     2026-02-13T16:00:00.000Z (3600 seconds left)\n"), "{shown}");
    }
}
