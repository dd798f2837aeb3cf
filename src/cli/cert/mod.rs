//! `catalyst pki cert …`

mod generate;
mod issue;
mod list;
mod show;
mod sign;

use super::{
    arguments::{CertFilter, CertRequest, Output},
    confirm::confirm,
    output::{json, ok, print},
};
use crate::{
    api::{Done, RevokeRequest},
    client::{Client, Result},
    identity::Serial,
};
use std::process::ExitCode;

/// A request with what it needs on this machine: files that were read, and places for files that were looked at.
pub(super) enum Ready {
    Generate(generate::Ready),
    SignCsr(sign::Ready),
    List(CertFilter),
    Show(String),
    Export(show::Export),
    Revoke(Serial, String),
}

/// Looks at everything on this machine, before anybody is asked.
///
/// # Errors
/// A file that can't be read or written, or an answer that is not yes.
pub(super) fn prepare(request: CertRequest) -> Result<Ready> {
    Ok(match request {
        CertRequest::Generate(wanted) => Ready::Generate(generate::prepare(*wanted)?),
        CertRequest::SignCsr(wanted) => Ready::SignCsr(sign::prepare(*wanted)?),
        CertRequest::List(filter) => Ready::List(filter),
        CertRequest::Show(name) => Ready::Show(name),
        CertRequest::Export(wanted) => Ready::Export(show::prepare(wanted)?),
        CertRequest::Revoke(wanted) => {
            confirm(&format!("Revoke certificate {} for good?", wanted.serial), wanted.yes)?;
            Ready::Revoke(wanted.serial, wanted.reason)
        }
    })
}

pub(super) async fn run(client: &Client, request: Ready, form: Output) -> Result<ExitCode> {
    match request {
        Ready::Generate(ready) => generate::run(client, ready, form).await,
        Ready::SignCsr(ready) => sign::run(client, &ready, form).await,
        Ready::List(filter) => list::run(client, &filter, form).await,
        Ready::Show(name) => show::run(client, &name, form).await,
        Ready::Export(wanted) => show::export(client, &wanted, form).await,
        Ready::Revoke(serial, reason) => revoke(client, serial, reason, form).await,
    }
}

async fn revoke(client: &Client, serial: Serial, reason: String, form: Output) -> Result<ExitCode> {
    let why = RevokeRequest { reason: Some(reason.clone()) };
    let done: Done = client.post(&format!("/pki/certificates/{serial}/revoke"), &why).await?;
    if done.crl_pending {
        super::output::warn_of_pending_crl();
    }
    Ok(print(&match form {
        Output::Json => json(&done)?,
        Output::Text | Output::Markdown => {
            format!("{} Certificate revoked:\n  Serial:      {serial}\n  Reason:      {reason}\n", ok())
        }
    }))
}
