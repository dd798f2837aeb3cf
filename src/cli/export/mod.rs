//! `catalyst pki export`: what is public, for other programs.
//!
//! CAs, CRLs and the deny list are read first, then the certificates page by page, the newest first: those that are
//! issued meanwhile are left out, and the status of each is that of the moment its page was read.

mod csv;
mod document;
mod pem;
mod to;

use super::{
    arguments::Output,
    files::Place,
    output::{self, ok, print_with_files, warn},
    pages,
};
use crate::{
    api::{CertificateDetail, ExportPage},
    client::{Certificate, Client, ClientError, Result, printable},
    identity::Fingerprint,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use to::To;

/// How many certificates are asked for at once.
const PAGE: u64 = 1_000;

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Pem,
    Json,
    Csv,
    Spiffe,
}

impl Format {
    pub(super) const ALL: [(&str, Self); 4] =
        [("pem", Self::Pem), ("json", Self::Json), ("csv", Self::Csv), ("spiffe", Self::Spiffe)];
}

/// An export that is wanted.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) format: Format,
    /// Only certificates of this status.
    pub(super) status: Option<String>,
    /// Only this identity's certificates.
    pub(super) spiffe_id: Option<String>,
    /// `None` is standard output.
    pub(super) file: Option<PathBuf>,
    pub(super) force: bool,
}

/// An export with the place that was looked at.
#[derive(Debug)]
pub(super) struct Ready {
    wanted: Export,
    place: Option<Place>,
}

/// # Errors
/// A file that can't be written; a filter of certificates for what has none.
pub(super) fn prepare(wanted: Export) -> Result<Ready> {
    if wanted.format == Format::Spiffe && (wanted.status.is_some() || wanted.spiffe_id.is_some()) {
        return Err(ClientError::usage("a SPIFFE bundle holds no certificates of services to choose from")
            .with_hint("leave --status and --spiffe-id out, or choose another --format"));
    }
    let place = wanted.file.as_deref().map(|path| Place::look(path, wanted.force)).transpose()?;
    Ok(Ready { wanted, place })
}

pub(super) async fn run(client: &Client, ready: Ready, form: Output) -> Result<ExitCode> {
    let Ready { wanted, place } = ready;
    let mut to = To::begin(place)?;
    let count = match wanted.format {
        Format::Spiffe => {
            let bundle = client.download("/.well-known/spiffe-bundle", &[], "application/json").await?;
            to.put(&bundle)?;
            None
        }
        Format::Pem => Some(pem::write(client, &wanted, &mut to).await?),
        Format::Json => Some(document::write(client, &wanted, &mut to).await?),
        Format::Csv => Some(csv::write(client, &wanted, &mut to).await?),
    };
    to.end()?;
    wanted.file.as_deref().map_or(Ok(ExitCode::SUCCESS), |path| show(path, count, form))
}

fn show(path: &Path, count: Option<u64>, form: Output) -> Result<ExitCode> {
    let path = path.display().to_string();
    let printed = match (form, count) {
        (Output::Json, _) => output::json(&json!({ "path": path, "certificateCount": count }))?,
        (_, Some(count)) => format!("{} Exported: {} ({count} certificates)\n", ok(), printable(&path)),
        (_, None) => format!("{} Exported: {}\n", ok(), printable(&path)),
    };
    Ok(print_with_files(&printed, &[&path]))
}

/// Interrupted: what was begun has gone.
pub(super) fn interrupted() {
    warn("interrupted: no file was written");
}

/// Hands on every certificate that is wanted, until `to` wants no more; answers how many there were.
async fn certificates(
    client: &Client,
    wanted: &Export,
    to: &mut To,
    mut text: impl FnMut(&CertificateDetail) -> Result<String>,
) -> Result<u64> {
    let mut count = 0;
    let fetch = async |limit: u64, cursor| {
        let query =
            [("limit", Some(limit.to_string())), ("cursor", cursor), ("spiffeId", wanted.spiffe_id.clone())];
        let page: ExportPage = client.get("/pki/export/certificates", &query).await?;
        Ok((page.certificates, page.next_cursor))
    };
    pages::each(PAGE, fetch, |page| {
        let mut part = String::new();
        let is_wanted = |detail: &&CertificateDetail| {
            wanted.status.as_ref().is_none_or(|status| *status == detail.item.status)
        };
        for detail in page.iter().filter(is_wanted) {
            part.push_str(&text(detail)?);
            count += 1;
        }
        to.put(part.as_bytes())
    })
    .await?;
    Ok(count)
}

/// The certificate of an entry, which must be the one that its fingerprint says: nothing else comes into an export.
fn certificate(detail: &CertificateDetail) -> Result<Certificate> {
    let certificate = Certificate::from_pem(&detail.certificate_pem)?;
    let is_same = detail.item.fingerprint.parse() == Ok(certificate.fingerprint());
    is_same.then_some(certificate).ok_or_else(|| {
        ClientError::failed("the service answered a certificate with the fingerprint of another one")
            .with_hint("something between here and the service may alter its answers")
    })
}

/// The fingerprint in hexadecimal.
fn hexadecimal(fingerprint: &str) -> Result<String> {
    let read: Fingerprint = fingerprint
        .parse()
        .map_err(|_| ClientError::failed("the service answered a fingerprint that is none"))?;
    Ok(crate::identity::hex(read.as_bytes()))
}
