//! `catalyst pki cert revoke`

use super::{
    super::{
        arguments::{Output, Revoke},
        confirm::{confirm, will_ask},
        output::{json, ok, print, warn_of_pending_crl, warn_of_pending_journal},
    },
    show::fetch,
};
use crate::{
    api::{CertificateItem, Done, RevokeRequest},
    client::{Client, Kind, Result},
    identity::Serial,
};
use std::process::ExitCode;

/// Asks the person at the terminal, who is shown whose certificate it is, and revokes it.
///
/// # Errors
/// The answer is not yes, or a refusal.
pub(super) async fn run(client: &Client, wanted: Revoke, form: Output) -> Result<ExitCode> {
    let Revoke { serial, reason, yes } = wanted;
    if will_ask(yes) {
        confirm(&question(serial, record(client, serial).await?.as_ref()), yes)?;
    }
    let why = RevokeRequest { reason: Some(reason.clone()) };
    let done: Done = client.post(&format!("/pki/certificates/{serial}/revoke"), &why).await?;
    if done.journal_pending {
        warn_of_pending_journal();
    }
    if done.crl_pending {
        warn_of_pending_crl();
    }
    Ok(print(&match form {
        Output::Json => json(&done)?,
        Output::Text | Output::Markdown => {
            format!("{} Certificate revoked:\n  Serial:      {serial}\n  Reason:      {reason}\n", ok())
        }
    }))
}

/// What the service knows of it; nothing where the token may revoke and not read.
async fn record(client: &Client, serial: Serial) -> Result<Option<CertificateItem>> {
    match fetch(client, &serial.to_string()).await {
        Ok(detail) => Ok(Some(detail.item)),
        Err(error) if error.kind == Kind::NotAuthorised => Ok(None),
        Err(error) => Err(error),
    }
}

fn question(serial: Serial, record: Option<&CertificateItem>) -> String {
    let whose = record.map(|item| {
        let name = item.spiffe_id.as_deref().unwrap_or(&item.common_name);
        format!(" of {name}, which is {} and expires {},", item.status, item.expires_at)
    });
    format!("Revoke certificate {serial}{} for good?", whose.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_whose_certificate_it_is() {
        let serial: Serial = "1f".repeat(16).parse().unwrap();
        let item = CertificateItem {
            serial: serial.to_string(),
            spiffe_id: Some("spiffe://td/node/a".into()),
            fingerprint: "f".into(),
            expires_at: "2026-02-13T16:00:00.000Z".into(),
            status: "active".into(),
            certificate_type: "end-entity".into(),
            common_name: "a".into(),
        };
        assert_eq!(
            question(serial, Some(&item)),
            format!(
                "Revoke certificate {serial} of spiffe://td/node/a, which is active and expires 2026-02-13T16:00:00.000Z, for good?"
            )
        );
        assert_eq!(question(serial, None), format!("Revoke certificate {serial} for good?"));
    }
}
