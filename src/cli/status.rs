//! `catalyst pki status`, and how a CA's standing and days are put in words.

use super::{
    arguments::Output,
    exit::FAILED,
    output::{self, json, print},
};
use crate::{
    api::{BackupStatus, Ca, Status},
    client::{Client, Result, printable},
    identity::{Clock as _, SystemClock, Timestamp},
};
use std::process::ExitCode;

pub(super) async fn run(client: &Client, form: Output) -> Result<ExitCode> {
    let status: Status = client.get("/pki/status", &[]).await?;
    let printed = print(&match form {
        Output::Json => json(&status)?,
        Output::Text | Output::Markdown => text(&status, SystemClock.now()),
    });
    match status.status.as_str() {
        "healthy" => return Ok(printed),
        "recovery" => output::hint(
            "once the instance that ran before the restore is gone for good: catalyst pki recovery confirm --old-instance-is-gone",
        ),
        "uninitialized" => output::hint("make the root CA: catalyst pki init --common-name NAME"),
        _ => {}
    }
    Ok(ExitCode::from(FAILED))
}

fn text(status: &Status, now: Timestamp) -> String {
    let word = printable(&status.status.to_uppercase());
    let mut text = format!("PKI Status: {}\n", output::verdict(&word, status.status == "healthy"));
    if let Some(recovery) = &status.recovery {
        text.push_str(&format!(
            "Recovery:\n  Backup of:   {}\n  Restored at: {}\n",
            printable(&recovery.snapshot_at),
            printable(&recovery.restored_at)
        ));
    }
    match &status.root_ca {
        None => text.push_str("Root CA: none\n"),
        Some(root) => text.push_str(&format!(
            "Root CA:\n  Fingerprint: {}\n  Common Name: {}\n  Algorithm:   {}\n  Expires:     {}\n",
            printable(&root.fingerprint),
            printable(&root.common_name),
            printable(&root.algorithm),
            end(root, now),
        )),
    }
    text.push_str(&format!("Intermediate CAs: {}\n", status.intermediates.len()));
    for ca in &status.intermediates {
        text.push_str(&intermediate(ca, now));
    }
    text.push_str(&format!(
        "Active Certificates: {}\nDenied Identities:   {}\n",
        status.active_cert_count, status.denied_identity_count
    ));
    if let Some(backup) = &status.backup {
        text.push_str(&backups(backup));
    }
    if !status.warnings.is_empty() {
        text.push_str("Warnings:\n");
    }
    for warning in &status.warnings {
        text.push_str(&format!("  - {}\n", printable(warning)));
    }
    text
}

fn backups(backup: &BackupStatus) -> String {
    let shown = |at: &Option<String>| at.as_deref().map_or("none".to_owned(), printable);
    let size = backup.last_size.map_or(String::new(), |size| format!(" ({size} octets)"));
    let reported = backup.verified_at.as_deref().map(|at| format!(" (verified {})", printable(at)));
    format!(
        "Last Backup:         {}{size}\nLast Verified:       {}{}\n",
        shown(&backup.last_at),
        shown(&backup.verified_created_at),
        reported.unwrap_or_default()
    )
}

fn intermediate(ca: &Ca, now: Timestamp) -> String {
    let day = ca.expires_at.split('T').next().unwrap_or_default();
    let days = days_left(ca, now).map(|days| format!(" ({})", in_days(days))).unwrap_or_default();
    let standing = match Standing::of(ca) {
        Standing::Active => "",
        Standing::Waiting => ", waits for activation",
        Standing::Replaced => ", replaced",
        Standing::Retired => ", retired",
        Standing::Revoked => ", revoked",
    };
    let (name, fingerprint) = (printable(&ca.common_name), printable(&ca.fingerprint));
    format!("  - {name} ({fingerprint}) expires {}{days}{standing}\n", printable(day))
}

/// When a CA ends: the moment, and the days until then.
pub(super) fn end(ca: &Ca, now: Timestamp) -> String {
    let days = match days_left(ca, now) {
        Some(days) if days >= 0 => format!(" ({} remaining)", in_days(days)),
        Some(days) => format!(" ({} ago)", in_days(-days)),
        None => String::new(),
    };
    format!("{}{days}", printable(&ca.expires_at))
}

fn in_days(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

/// The nearest number of whole days until a CA ends; below zero after it. A CA that was just made has all its days.
pub(super) fn days_left(ca: &Ca, now: Timestamp) -> Option<i64> {
    let end: Timestamp = ca.expires_at.parse().ok()?;
    Some((end.seconds_since(now) + 43_200).div_euclid(86_400))
}

/// What has become of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It issues.
    Active,
    /// Made, and never active.
    Waiting,
    /// Another one of its role took its place.
    Replaced,
    /// Out of the bundle.
    Retired,
    /// Out of the bundle, on the root's CRL.
    Revoked,
}

impl Standing {
    pub(super) fn of(ca: &Ca) -> Self {
        match ca.state.as_str() {
            "active" => Self::Active,
            "retired" => Self::Retired,
            "revoked" => Self::Revoked,
            _ if ca.activated_at.is_none() => Self::Waiting,
            _ => Self::Replaced,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Replaced => "replaced",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn ca(role: &str, name: &str, days: i64) -> Ca {
        Ca {
            fingerprint: format!("{role}456"),
            ski: "00".repeat(20),
            role: role.into(),
            generation: 1,
            common_name: name.into(),
            algorithm: "EC-P384".into(),
            state: "active".into(),
            published_at: NOW.to_string(),
            activated_at: Some(NOW.to_string()),
            expires_at: NOW.plus_seconds(days * 86_400).to_string(),
            issued_cert_count: 0,
            key_uri: "local:services-1".into(),
            spki_sha256: "abc".into(),
        }
    }

    pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_770_940_800);

    fn status(status: &str) -> Status {
        Status {
            status: status.into(),
            recovery: None,
            trust_domain: "example.org".into(),
            root_ca: Some(ca("root", "Acme Corp Catalyst Root CA", 3650)),
            services_ca: None,
            transport_ca: None,
            intermediates: vec![
                ca("services", "Catalyst Services CA", 730),
                ca("transport", "Catalyst Transport CA", 730),
            ],
            active_cert_count: 0,
            denied_identity_count: 0,
            backup: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_healthy_service_is_shown_as_the_guide_has_it() {
        let shown = text(&status("healthy"), NOW.plus_seconds(90));
        assert_eq!(
            shown,
            "PKI Status: HEALTHY\n\
             Root CA:\n\
             \x20 Fingerprint: root456\n\
             \x20 Common Name: Acme Corp Catalyst Root CA\n\
             \x20 Algorithm:   EC-P384\n\
             \x20 Expires:     2036-02-11T00:00:00.000Z (3650 days remaining)\n\
             Intermediate CAs: 2\n\
             \x20 - Catalyst Services CA (services456) expires 2028-02-13 (730 days)\n\
             \x20 - Catalyst Transport CA (transport456) expires 2028-02-13 (730 days)\n\
             Active Certificates: 0\n\
             Denied Identities:   0\n"
        );
    }

    #[test]
    fn what_is_to_be_done_comes_last_and_steers_no_terminal() {
        let mut degraded = status("degraded");
        degraded.intermediates[0].state = "certified".into();
        degraded.intermediates[1].state = "certified".into();
        degraded.intermediates[1].activated_at = None;
        degraded.warnings = vec!["there is no active services CA\u{1b}[2J".into()];
        let shown = text(&degraded, NOW);
        assert!(shown.starts_with("PKI Status: DEGRADED\n"), "{shown}");
        assert!(shown.contains("(730 days), replaced\n"), "{shown}");
        assert!(shown.contains("(730 days), waits for activation\n"), "{shown}");
        assert!(shown.ends_with("Warnings:\n  - there is no active services CA\u{fffd}[2J\n"), "{shown}");
    }

    #[test]
    fn a_recovery_is_said_first() {
        let mut restored = status("recovery");
        restored.recovery = Some(crate::api::Recovery {
            snapshot_at: "2026-02-12T00:00:00.000Z".into(),
            restored_at: "2026-02-13T00:00:00.000Z".into(),
            confirmed_at: None,
        });
        let shown = text(&restored, NOW);
        assert!(
            shown.starts_with(
                "PKI Status: RECOVERY\nRecovery:\n  Backup of:   2026-02-12T00:00:00.000Z\n  Restored at: 2026-02-13T00:00:00.000Z\nRoot CA:\n"
            ),
            "{shown}"
        );
    }

    #[test]
    fn the_last_backup_and_the_last_verified_one_have_their_lines() {
        let mut backed_up = status("healthy");
        let at = NOW.to_string();
        let (last_at, last_size) = (Some(at.clone()), Some(14_650));
        backed_up.backup =
            Some(BackupStatus { last_at, last_size, verified_created_at: None, verified_at: None });
        let shown = text(&backed_up, NOW);
        assert!(
            shown
                .ends_with(&format!("Last Backup:         {at} (14650 octets)\nLast Verified:       none\n")),
            "{shown}"
        );
    }

    #[test]
    fn nothing_made_is_said_in_a_line() {
        let mut empty = status("uninitialized");
        (empty.root_ca, empty.intermediates) = (None, Vec::new());
        let shown = text(&empty, NOW);
        assert!(
            shown.starts_with("PKI Status: UNINITIALIZED\nRoot CA: none\nIntermediate CAs: 0\n"),
            "{shown}"
        );
    }

    #[test]
    fn days_are_counted_to_the_nearest() {
        let days = |seconds| days_left(&ca("root", "R", 10), NOW.plus_seconds(seconds)).unwrap();
        assert_eq!([0, 3_600, 9 * 86_400, 10 * 86_400, 12 * 86_400].map(days), [10, 10, 1, 0, -2]);
        assert_eq!(end(&ca("root", "R", -1), NOW), "2026-02-12T00:00:00.000Z (1 day ago)");
    }
}
