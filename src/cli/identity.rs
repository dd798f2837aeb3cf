//! `catalyst pki identity …`

use super::{
    arguments::{IdentityRequest, Output},
    confirm::confirm,
    output::{self, json, ok, print},
};
use crate::{
    api::{AllowRequest, DeniedIdentity, DenyAnswer, DenyRequest, Done, ReleaseRequest},
    client::{Client, Result, printable},
    identity::{ServiceType, Timestamp, Workload},
};
use std::process::ExitCode;

/// Asks the person at the terminal about what cannot be taken back.
///
/// # Errors
/// The answer is not yes.
pub(super) fn look_first(request: &IdentityRequest) -> Result<()> {
    match request {
        IdentityRequest::Deny { workload, compromised, yes, .. } => {
            let how = if *compromised { ", and revoke its certificates for good" } else { "" };
            confirm(&format!("Deny {}{how}?", workload.spiffe_id()), *yes)
        }
        IdentityRequest::Release { name, yes } => {
            confirm(&format!("Release '{name}', so that another instance may have it?"), *yes)
        }
        IdentityRequest::Allow(_) | IdentityRequest::ListDenied => Ok(()),
    }
}

pub(super) async fn run(client: &Client, request: IdentityRequest, form: Output) -> Result<ExitCode> {
    match request {
        IdentityRequest::Deny { workload, reason, compromised, .. } => {
            let spiffe_id = workload.spiffe_id().to_string();
            deny(client, &workload, &DenyRequest { spiffe_id, reason, compromised }, form).await
        }
        IdentityRequest::Allow(workload) => allow(client, &workload, form).await,
        IdentityRequest::ListDenied => list_denied(client, form).await,
        IdentityRequest::Release { name, .. } => {
            let wanted = ReleaseRequest { dns_name: name.to_string() };
            let done: Done = client.post("/pki/identities/release", &wanted).await?;
            finish(&done, form, &format!("{} Name released:\n  DNS name:    {name}\n", ok()))
        }
    }
}

async fn deny(client: &Client, workload: &Workload, wanted: &DenyRequest, form: Output) -> Result<ExitCode> {
    let answer: DenyAnswer = client.post("/pki/identities/deny", wanted).await?;
    if answer.crl_pending {
        output::warn_of_pending_crl();
    }
    if answer.journal_pending {
        output::warn_of_pending_journal();
    }
    let printed = print(&match form {
        Output::Json => json(&answer)?,
        Output::Text | Output::Markdown => denial(wanted, &answer),
    });
    for sentence in after_denial(workload, &answer) {
        output::hint(&sentence);
    }
    Ok(printed)
}

/// What the operator may not have meant.
fn after_denial(workload: &Workload, answer: &DenyAnswer) -> Vec<String> {
    let id = workload.spiffe_id();
    let mut sentences = Vec::new();
    if answer.expiring_certs.is_empty() {
        sentences.push(format!(
            "{id} has no unexpired certificate: check that this is the SPIFFE ID that is meant; 'catalyst pki cert list' shows those that have one"
        ));
    }
    if workload.service_type() == ServiceType::Auth {
        sentences.push(format!(
            "{id} is the identity of a CA service: one that runs under it is no longer trusted by its clients; 'catalyst pki identity allow {id}' lifts the denial"
        ));
    }
    sentences
}

fn denial(wanted: &DenyRequest, answer: &DenyAnswer) -> String {
    let state = if wanted.compromised { "revoked" } else { "held until the identity is allowed again" };
    let certificates = match answer.expiring_certs.len() {
        0 => "none unexpired".to_owned(),
        count => format!("{count} unexpired, {state}"),
    };
    let alive = answer.expiring_certs.iter().map(|certificate| {
        format!("    {} expires {}\n", printable(&certificate.serial), printable(&certificate.expires_at))
    });
    format!(
        "{} Identity denied:\n  SPIFFE ID:    {}\n  Reason:       {}\n  Certificates: {certificates}\n{}",
        ok(),
        wanted.spiffe_id,
        printable(&wanted.reason),
        alive.collect::<String>()
    )
}

async fn allow(client: &Client, workload: &Workload, form: Output) -> Result<ExitCode> {
    let spiffe_id = workload.spiffe_id().to_string();
    let text = format!("{} Identity allowed:\n  SPIFFE ID:   {spiffe_id}\n", ok());
    let done: Done = client.post("/pki/identities/allow", &AllowRequest { spiffe_id }).await?;
    finish(&done, form, &text)
}

fn finish(done: &Done, form: Output, text: &str) -> Result<ExitCode> {
    if done.crl_pending {
        output::warn_of_pending_crl();
    }
    if done.journal_pending {
        output::warn_of_pending_journal();
    }
    Ok(match form {
        Output::Json => print(&json(done)?),
        Output::Text | Output::Markdown => print(text),
    })
}

async fn list_denied(client: &Client, form: Output) -> Result<ExitCode> {
    let denied: Vec<DeniedIdentity> = client.get("/pki/identities/denied", &[]).await?;
    Ok(print(&match form {
        Output::Json => json(&denied)?,
        Output::Text | Output::Markdown => {
            let row = |denial: &DeniedIdentity| {
                let at = Timestamp::from_millis(denial.denied_at).to_string();
                [denial.spiffe_id.clone(), denial.reason.clone(), at]
            };
            output::columns(["SPIFFE ID", "Reason", "Denied At"], &denied.iter().map(row).collect::<Vec<_>>())
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ExpiringCert;

    #[test]
    fn a_denial_names_the_certificates_that_are_still_alive() {
        let mut wanted = DenyRequest {
            spiffe_id: "spiffe://td/node/a".into(),
            reason: "Störung — 12".into(),
            compromised: false,
        };
        let mut answer = DenyAnswer {
            success: true,
            expiring_certs: Vec::new(),
            crl_pending: false,
            journal_pending: false,
        };
        assert!(
            denial(&wanted, &answer)
                .ends_with("  Reason:       Störung — 12\n  Certificates: none unexpired\n")
        );
        let certificate =
            ExpiringCert { serial: "01ab".into(), expires_at: "2026-02-13T17:00:00.000Z".into() };
        answer.expiring_certs = vec![certificate.clone(), certificate];
        let shown = denial(&wanted, &answer);
        assert!(shown.contains("Certificates: 2 unexpired, held until"), "{shown}");
        assert!(shown.ends_with("    01ab expires 2026-02-13T17:00:00.000Z\n"), "{shown}");
        let hints = |id: &str, answer: &DenyAnswer| {
            let workload = Workload::of(&"td".parse().unwrap(), id.parse().unwrap()).unwrap();
            after_denial(&workload, answer)
        };
        assert_eq!(hints("spiffe://td/node/a", &answer), [""; 0]);
        assert!(hints("spiffe://td/auth/a", &answer)[0].contains("no longer trusted by its clients"));
        let none = DenyAnswer { expiring_certs: Vec::new(), ..answer.clone() };
        assert!(hints("spiffe://td/node/a", &none)[0].contains("check that this is the SPIFFE ID"));
        wanted.compromised = true;
        assert!(denial(&wanted, &answer).contains("2 unexpired, revoked\n"));
    }
}
