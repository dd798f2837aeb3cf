//! `catalyst pki cert …`

mod generate;
mod issue;
mod list;
mod revoke;
mod show;
mod sign;

use super::{
    arguments::{CertFilter, CertRequest, Output, Revoke},
    output,
};
use crate::client::{Client, Result};
use std::process::ExitCode;

/// A request with what it needs on this machine: files that were read, and places for files that were looked at.
pub(super) enum Ready {
    Generate(generate::Ready),
    SignCsr(sign::Ready),
    List(CertFilter),
    Show(String),
    Export(show::Export),
    Revoke(Revoke),
}

/// Looks at everything on this machine, before anybody is asked.
///
/// # Errors
/// A file that can't be read or written.
pub(super) fn prepare(request: CertRequest) -> Result<Ready> {
    Ok(match request {
        CertRequest::Generate(wanted) => Ready::Generate(generate::prepare(*wanted)?),
        CertRequest::SignCsr(wanted) => Ready::SignCsr(sign::prepare(*wanted)?),
        CertRequest::List(filter) => Ready::List(filter),
        CertRequest::Show(name) => Ready::Show(name),
        CertRequest::Export(wanted) => Ready::Export(show::prepare(wanted)?),
        CertRequest::Revoke(wanted) => Ready::Revoke(wanted),
    })
}

/// Interrupted while a key was made for a certificate: the key has gone.
pub(super) fn interrupted() {
    output::warn("interrupted: no file was written, and what was asked may have been done all the same");
    output::hint(
        "'catalyst pki cert list' shows whether a certificate was issued; without its key it is good for nothing",
    );
}

pub(super) async fn run(client: &Client, request: Ready, form: Output) -> Result<ExitCode> {
    match request {
        Ready::Generate(ready) => generate::run(client, ready, form).await,
        Ready::SignCsr(ready) => sign::run(client, &ready, form).await,
        Ready::List(filter) => list::run(client, &filter, form).await,
        Ready::Show(name) => show::run(client, &name, form).await,
        Ready::Export(wanted) => show::export(client, &wanted, form).await,
        Ready::Revoke(wanted) => revoke::run(client, wanted, form).await,
    }
}
