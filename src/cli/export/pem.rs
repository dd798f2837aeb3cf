//! PEM (RFC 7468): the live CAs, the CRLs, then all other certificates, each once, with a line before it that says what
//! it is.

use super::{Export, To, certificate, certificates};
use crate::{
    api::{CaBundle, CertificateDetail},
    client::{Certificate, Client, ClientError, Result},
};
use std::collections::HashSet;

pub(super) async fn write(client: &Client, wanted: &Export, to: &mut To) -> Result<u64> {
    let bundle: CaBundle = client.get("/pki/ca/bundle", &[]).await?;
    let mut text = String::new();
    let mut written = HashSet::new();
    for pem in bundle.services_bundle.iter().chain(&bundle.transport_bundle) {
        let ca = Certificate::from_pem(pem)?;
        if written.insert(ca.fingerprint()) {
            text += &format!("# CA {}\n{}", ca.fingerprint(), ca.pem()?);
        }
    }
    for crl in crls(client).await? {
        text += &format!("# CRL\n{crl}");
    }
    to.put(text.as_bytes())?;
    let listed = certificates(client, wanted, to, |detail| {
        let certificate = certificate(detail)?;
        if written.contains(&certificate.fingerprint()) {
            return Ok(String::new());
        }
        Ok(format!("# {}\n{}", heading(detail), certificate.pem()?))
    });
    listed.await
}

/// Of words of ours alone: a name that somebody chose might hold what begins a certificate.
fn heading(detail: &CertificateDetail) -> String {
    let item = &detail.item;
    let plain = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).collect::<String>();
    let identity = item.spiffe_id.as_deref().map(|id| format!(" {}", plain(id))).unwrap_or_default();
    format!("{} {} {}{identity}", plain(&item.certificate_type), plain(&item.status), plain(&item.serial))
}

/// The CRLs of all CAs that are neither retired nor at their end, each as the service signed it.
pub(super) async fn crls(client: &Client) -> Result<Vec<String>> {
    let all = client.download("/pki/crl", &[], "application/x-pem-file").await?;
    let text = std::str::from_utf8(&all).map_err(|_| odd())?;
    const END: &str = "-----END X509 CRL-----\n";
    let crls: Vec<String> = text.split_inclusive(END).map(str::to_owned).collect();
    let is_one = |crl: &String| crl.starts_with("-----BEGIN X509 CRL-----\n") && crl.ends_with(END);
    if crls.iter().all(is_one) { Ok(crls) } else { Err(odd()) }
}

fn odd() -> ClientError {
    ClientError::failed("the service answered something that is no list of CRLs")
        .with_hint("'catalyst version' tells this command's version; is the service's the same?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CertificateItem;

    #[test]
    fn a_heading_is_one_line_that_begins_nothing() {
        let detail = CertificateDetail {
            item: CertificateItem {
                serial: "0a".into(),
                spiffe_id: Some("spiffe://td/node/a\n-----BEGIN CERTIFICATE-----".into()),
                fingerprint: "f".into(),
                expires_at: String::new(),
                status: "active".into(),
                certificate_type: "end-entity".into(),
                common_name: "-----BEGIN CERTIFICATE-----".into(),
            },
            certificate_pem: String::new(),
            issuer_serial: "02".into(),
            not_before: String::new(),
            created_at: String::new(),
        };
        assert_eq!(heading(&detail), "end-entity active 0a spiffe://td/node/a-----BEGINCERTIFICATE-----");
    }
}
