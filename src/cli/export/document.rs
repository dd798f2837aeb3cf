//! One JSON document (RFC 8259), written as it is read; each certificate on a line of its own.

use super::{Export, To, certificate, certificates, pem};
use crate::{
    api::{Ca, CaBundle, DeniedIdentity},
    cli::output::json,
    client::{Client, Result},
    identity::{Clock as _, SystemClock},
};
use serde::Serialize;

/// What this form is called; the number rises when a field changes its meaning or goes.
const FORMAT: &str = "catalyst-pki-export/1";

/// What comes before the certificates.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    format: &'static str,
    exported_at: String,
    trust_domain: String,
    bundle_version: i64,
    cas: Vec<Ca>,
    crls: Vec<String>,
    denied: Vec<DeniedIdentity>,
}

pub(super) async fn write(client: &Client, wanted: &Export, to: &mut To) -> Result<u64> {
    let bundle: CaBundle = client.get("/pki/ca/bundle", &[]).await?;
    let head = Head {
        format: FORMAT,
        exported_at: SystemClock.now().to_string(),
        trust_domain: bundle.trust_domain,
        bundle_version: bundle.version,
        cas: client.get("/pki/ca", &[]).await?,
        crls: pem::crls(client).await?,
        denied: client.get("/pki/identities/denied", &[]).await?,
    };
    let head = json(&head)?;
    // All of the object but its end.
    to.put(head.trim_end().trim_end_matches('}').as_bytes())?;
    to.put(b",\n\"certificates\":[")?;
    let mut separator = "\n";
    let listed = certificates(client, wanted, to, |detail| {
        certificate(detail)?;
        let line = format!("{separator}{}", json(detail)?.trim_end());
        separator = ",\n";
        Ok(line)
    });
    let count = listed.await?;
    to.put(format!("\n],\"certificateCount\":{count}}}\n").as_bytes())?;
    Ok(count)
}
