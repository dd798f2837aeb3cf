//! `catalyst pki cert list`

use super::super::{
    arguments::{CertFilter, Output},
    output::{self, json, print},
    pages,
};
use crate::{
    api::{CertificateItem, CertificatePage},
    client::{Client, Result},
    identity::{Clock as _, SystemClock, Timestamp},
};
use serde_json::json;
use std::process::ExitCode;

/// How many are asked for at once.
const PAGE: u64 = 10_000;

pub(super) async fn run(client: &Client, filter: &CertFilter, form: Output) -> Result<ExitCode> {
    let certificates = fetch(client, filter).await?;
    let now = SystemClock.now();
    Ok(print(&match form {
        Output::Json => json(&json!({ "certificates": certificates }))?,
        Output::Text | Output::Markdown => {
            let rows: Vec<_> = certificates.iter().map(|item| row(item, now)).collect();
            output::rows(["SERIAL", "IDENTITY", "TYPE", "STATUS", "EXPIRES", "SECONDS LEFT"], &rows)
        }
    }))
}

async fn fetch(client: &Client, filter: &CertFilter) -> Result<Vec<CertificateItem>> {
    pages::all(PAGE, filter.limit, async |wanted, cursor| {
        let query = [
            ("limit", Some(wanted.to_string())),
            ("cursor", cursor),
            ("status", filter.status.clone()),
            ("spiffeId", filter.spiffe_id.clone()),
        ];
        let page: CertificatePage = client.get("/pki/certificates", &query).await?;
        Ok((page.certificates, page.next_cursor))
    })
    .await
}

/// The last cell is a bare number, so that a script can compare it.
fn row(item: &CertificateItem, now: Timestamp) -> [String; 6] {
    [
        item.serial.clone(),
        item.spiffe_id.clone().unwrap_or_else(|| item.common_name.clone()),
        kind(&item.certificate_type).into(),
        item.status.clone(),
        item.expires_at.clone(),
        seconds_left(&item.expires_at, now),
    ]
}

/// The type as the operations guide greps it: which intermediate it is stands in its name.
pub(super) fn kind(certificate_type: &str) -> &str {
    match certificate_type {
        "services-ca" | "transport-ca" => "intermediate",
        other => other,
    }
}

/// Negative once it has expired; nothing where the service says no time.
pub(super) fn seconds_left(expires_at: &str, now: Timestamp) -> String {
    expires_at.parse().map(|at: Timestamp| at.seconds_since(now).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(certificate_type: &str, spiffe_id: Option<&str>) -> CertificateItem {
        CertificateItem {
            serial: "01".repeat(16),
            spiffe_id: spiffe_id.map(Into::into),
            fingerprint: "f".into(),
            expires_at: "2026-02-13T16:00:00.000Z".into(),
            status: "active".into(),
            certificate_type: certificate_type.into(),
            common_name: "Catalyst Services CA".into(),
        }
    }

    #[test]
    fn a_row_ends_with_the_bare_seconds_that_are_left() {
        let expiry: Timestamp = "2026-02-13T16:00:00Z".parse().unwrap();
        let last = |now| row(&item("end-entity", Some("spiffe://td/node/a")), now)[5].clone();
        assert_eq!(last(expiry.plus_seconds(-7_200)), "7200");
        assert_eq!(last(expiry.plus_seconds(30)), "-30");
    }

    #[test]
    fn cas_have_their_names_and_the_guides_types() {
        let now = Timestamp::from_seconds(0);
        let cells = |kind: &str| row(&item(kind, None), now);
        for (kind, shown) in
            [("root-ca", "root-ca"), ("services-ca", "intermediate"), ("transport-ca", "intermediate")]
        {
            assert_eq!(cells(kind)[1..3], ["Catalyst Services CA", shown]);
        }
        assert_eq!(
            row(&item("end-entity", Some("spiffe://td/node/a")), now)[1..3],
            ["spiffe://td/node/a", "end-entity"]
        );
    }
}
