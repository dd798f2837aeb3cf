//! `catalyst pki audit …`

use super::super::{Request, paths};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;
use time::{Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// Which audit records.
#[derive(Debug, Default)]
pub(in crate::cli) struct AuditFilter {
    pub(in crate::cli) after: Option<i64>,
    pub(in crate::cli) limit: Option<u64>,
    pub(in crate::cli) action: Option<String>,
    pub(in crate::cli) actor: Option<String>,
    pub(in crate::cli) subject: Option<String>,
    pub(in crate::cli) since: Option<i64>,
    pub(in crate::cli) until: Option<i64>,
    pub(in crate::cli) follow: bool,
}

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let number = |name, help| text(name, "N", help);
    let verify = Command::new("verify")
        .about("Recompute the audit log's chain here, and compare it with heads that were kept elsewhere")
        .after_help("Examples:\n  catalyst pki audit verify --head heads.json")
        .arg(paths::file(text(
            "head",
            "FILE",
            "Signed heads: JSON lines, or the log lines that hold them; '-' for standard input",
        )))
        .arg(paths::directory(text(
            "sealed",
            "DIR",
            "Sealed files, the directory audit of the service's data directory: begin there",
        )));
    Command::new("audit")
        .about("Show the audit log, oldest first")
        .after_help("Examples:\n  catalyst pki audit --action identity. --since 2026-02-13\n  catalyst pki audit --follow --output json")
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(verify)
        .arg(
            number("after", "Later ones than the record of this number")
                .value_parser(clap::value_parser!(i64).range(0..)),
        )
        .arg(
            number("limit", "At most so many; all unless said")
                .value_parser(clap::value_parser!(u64).range(1..)),
        )
        .arg(text(
            "action",
            "ACTION",
            "Of this action, or with a dot at the end of all that begin so: certificate.",
        ))
        .arg(text(
            "actor",
            "ACTOR",
            "By this actor: service, system, token:<sub>:<jti>, bootstrap:<jti>, svid:<SPIFFE ID>:<serial>",
        ))
        .arg(text("subject", "SUBJECT", "On this subject: a SPIFFE ID, a jti, a CA's key identifier"))
        .arg(text("since", "TIME", "At or after: ISO 8601, or ms since 1970").value_parser(moment))
        .arg(text("until", "TIME", "Before: ISO 8601, or ms since 1970").value_parser(moment))
        .arg(
            Arg::new("follow")
                .long("follow")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["until", "limit"])
                .help("Then wait for more"),
        )
}

/// ISO 8601, a day in UTC, or milliseconds since the epoch; answers the milliseconds.
fn moment(text: &str) -> Result<i64, String> {
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(millis);
    }
    let day = || {
        Date::parse(text, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc())
    };
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| day())
        .ok()
        .and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok())
        .ok_or_else(|| {
            "ISO 8601 with a time zone, a day, or ms since 1970 is wanted: 2026-02-13T16:00:00Z".into()
        })
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Request {
    if let Some((_, verify)) = matches.subcommand() {
        let path = |name: &str| verify.get_one::<PathBuf>(name).cloned();
        return Request::VerifyAudit { heads: path("head"), sealed: path("sealed") };
    }
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let number = |name: &str| matches.get_one::<i64>(name).copied();
    Request::Audit(AuditFilter {
        after: number("after"),
        limit: matches.get_one("limit").copied(),
        action: one("action"),
        actor: one("actor"),
        subject: one("subject"),
        since: number("since"),
        until: number("until"),
        follow: matches.get_flag("follow"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_three_forms() {
        for text in ["1707782400000", "2024-02-13T00:00:00Z", "2024-02-13T01:00:00.000+01:00", "2024-02-13"] {
            assert_eq!(moment(text), Ok(1_707_782_400_000), "{text}");
        }
        for bad in ["", "yesterday", "2024-02-13T00:00:00", "13.2.2024", "2024-13-01"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
