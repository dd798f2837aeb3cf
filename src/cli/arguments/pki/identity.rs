//! `catalyst pki identity …`

use super::{
    super::{Request, group, yes},
    cert::workload,
};
use crate::identity::{DnsName, Workload};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// What is wanted of identities.
#[derive(Debug)]
pub(in crate::cli) enum IdentityRequest {
    Deny { workload: Workload, reason: String, compromised: bool, yes: bool },
    Allow(Workload),
    ListDenied,
    Release { name: DnsName, yes: bool },
}

pub(super) fn command() -> Command {
    group("identity", "Identities: deny them certificates, allow them again").subcommands([
        deny(),
        allow(),
        Command::new("list-denied").about("Show all denied identities, with the reason"),
        release(),
    ])
}

fn id() -> Arg {
    Arg::new("spiffe-id")
        .value_name("SPIFFE_ID")
        .required(true)
        .value_parser(workload)
        .help("Whom: spiffe://<trust domain>/<type>/<instance>")
}

fn deny() -> Command {
    Command::new("deny")
        .about("Issue nothing to an identity from now on, and put its certificates on the CRL")
        .arg(id())
        .arg(
            Arg::new("reason")
                .long("reason")
                .value_name("TEXT")
                .required(true)
                .value_parser(reason)
                .help("Why, in your words; the list of denied identities shows it"),
        )
        .arg(
            Arg::new("compromised")
                .long("compromised")
                .action(ArgAction::SetTrue)
                .help("Revoke its certificates for good: its key is in other hands"),
        )
        .arg(yes())
        .after_help(
            "Without --compromised its certificates are only held, and 'pki identity allow' makes them good again.\n\nExamples:\n  catalyst pki identity deny \\\n    spiffe://catalyst.example.com/node/node-a \\\n    --reason \"Key compromise, incident 1234\" --compromised",
        )
}

fn allow() -> Command {
    Command::new("allow")
        .about("Lift a denial, so that certificates are issued to the identity again")
        .arg(id())
        .after_help("Examples:\n  catalyst pki identity allow spiffe://catalyst.example.com/node/node-a")
}

fn release() -> Command {
    Command::new("release")
        .about("Give a DNS name free, so that another instance may have it")
        .arg(
            Arg::new("dns-name")
                .value_name("DNS_NAME")
                .required(true)
                .value_parser(|text: &str| text.parse::<DnsName>().map_err(|error| error.to_string()))
                .help("The name, in lower case"),
        )
        .arg(yes())
        .after_help("Examples:\n  catalyst pki identity release node-a.example.org")
}

/// As the service takes it; here so that nothing else is asked before.
fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.into())
    } else {
        Err("say why in 1 to 500 characters, none of them a control character".into())
    }
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    let (command, matches) = matches.subcommand().unwrap_or(("list-denied", matches));
    let workload = || matches.get_one::<Workload>("spiffe-id").cloned().ok_or("a SPIFFE ID is missing");
    Ok(Request::Identity(match command {
        "deny" => IdentityRequest::Deny {
            workload: workload()?,
            reason: matches.get_one::<String>("reason").cloned().unwrap_or_default(),
            compromised: matches.get_flag("compromised"),
            yes: matches.get_flag("yes"),
        },
        "allow" => IdentityRequest::Allow(workload()?),
        "release" => IdentityRequest::Release {
            name: matches.get_one::<DnsName>("dns-name").cloned().ok_or("a DNS name is missing")?,
            yes: matches.get_flag("yes"),
        },
        _ => IdentityRequest::ListDenied,
    }))
}
