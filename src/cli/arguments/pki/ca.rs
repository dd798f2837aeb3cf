//! `catalyst pki init`, `catalyst pki ca …`

use super::super::{Request, group, paths, yes};
use crate::{
    api::{InitializeRequest, IntermediaryRequest, RepinRequest},
    identity::CaRole,
};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use std::path::PathBuf;

const ALGORITHMS: &str =
    "Signature algorithm, such as EC-P384, EC-P256, RSA-3072, ED25519; the service's setting unless said";
const NAMED: &str = "Its key id, at least the first 8 digits of that, or its exact common name";
const REASONS: [&str; 5] =
    ["unspecified", "keyCompromise", "cACompromise", "superseded", "cessationOfOperation"];

/// What is to be done with CAs. A CA is named as [`NAMED`] says.
#[derive(Debug)]
pub(in crate::cli) enum CaRequest {
    Create(IntermediaryRequest),
    List,
    Bundle(BundleRequest),
    Activate { ca: String, now: bool },
    Retire { ca: String },
    Revoke { ca: String, reason: String, yes: bool },
    Repin { ca: String, to: RepinRequest },
}

/// Which bundle, and where to.
#[derive(Debug)]
pub(in crate::cli) struct BundleRequest {
    /// As JSON, where that is said for the bundle alone.
    pub(in crate::cli) json: Option<bool>,
    pub(in crate::cli) role: Option<String>,
    /// Without the roots.
    pub(in crate::cli) issuing_only: bool,
    pub(in crate::cli) file: Option<PathBuf>,
    /// A file that is there may be replaced.
    pub(in crate::cli) force: bool,
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn days(help: &'static str) -> Arg {
    text("ttl-days", "DAYS", help).value_parser(value_parser!(u32).range(1..))
}

fn role(help: &'static str) -> Arg {
    text("role", "ROLE", help).value_parser(PossibleValuesParser::new(["services", "transport"]))
}

pub(super) fn init() -> Command {
    Command::new("init")
        .about("Make the root CA, once for the life of a deployment")
        .after_help("Examples:\n  catalyst pki init --common-name 'Acme Corp Root CA' --algorithm EC-P384 --ttl-days 3650\n  catalyst pki init --with-intermediates")
        .arg(text("common-name", "NAME", "The root's name").default_value("Catalyst Root CA"))
        .arg(text("algorithm", "ALGORITHM", ALGORITHMS))
        .arg(days("Lifetime of the root; 3650 unless said"))
        .arg(switch(
            "with-intermediates",
            "Make the services and the transport CA as well, with their default names",
        ))
}

pub(super) fn init_request(matches: &ArgMatches) -> Request {
    Request::Init(InitializeRequest {
        common_name: matches.get_one("common-name").cloned(),
        algorithm: matches.get_one("algorithm").cloned(),
        ttl_days: matches.get_one("ttl-days").copied(),
        with_intermediates: Some(matches.get_flag("with-intermediates")),
    })
}

pub(super) fn command() -> Command {
    let named = || Arg::new("ca").value_name("CA").required(true).help(NAMED);
    group("ca", "The CAs of the hierarchy").subcommands([
        create(),
        Command::new("list")
            .about("List all CAs that were ever made")
            .after_help("Examples:\n  catalyst pki ca list\n  catalyst pki ca list | awk -F'\\t' '$4 == \"active\"'"),
        bundle(),
        Command::new("activate")
            .about("Let a CA issue for its role, a day after it came into the bundle")
            .after_help("Examples:\n  catalyst pki ca activate 'Acme Corp Services CA v2'\n  catalyst pki ca activate 9676036d --now")
            .arg(named())
            .arg(switch("now", "Do not wait until verifiers have had 24 hours to fetch the bundle")),
        Command::new("retire")
            .about("Take a CA out of the bundle that does not issue any more and whose certificates have ended")
            .after_help("Examples:\n  catalyst pki ca retire 'Acme Corp Services CA'")
            .arg(named()),
        Command::new("revoke")
            .about("Revoke an intermediate CA for good, and with it every certificate under it")
            .after_help("Examples:\n  catalyst pki ca revoke 'Acme Corp Services CA' --reason cACompromise")
            .arg(named())
            .arg(
                text("reason", "REASON", "Reason on the root's CRL (RFC 5280, 5.3.1)")
                    .required(true)
                    .value_parser(PossibleValuesParser::new(REASONS))
                    .ignore_case(true),
            )
            .arg(yes()),
        Command::new("repin")
            .about("Tell the service where a CA's key is now; it must be the same key, and sign there")
            .after_help("Examples:\n  catalyst pki ca repin 'Acme Corp Services CA' --key-uri local:services-9")
            .arg(named())
            .arg(text("key-uri", "URI", "Where the key is, as its key store names it").required(true))
            .arg(text("backend", "NAME", "The key store that holds it there; the one of before unless said")),
    ])
}

fn create() -> Command {
    Command::new("create-intermediary")
        .about("Make an intermediate CA under the root")
        .after_help("Examples:\n  catalyst pki ca create-intermediary --common-name 'Acme Corp Services CA' --ttl-days 730\n  catalyst pki ca create-intermediary --common-name 'Acme Corp Edge CA' --role transport")
        .arg(
            text(
                "common-name",
                "NAME",
                "Its name; with the word Services or Transport in it, that is its role",
            )
            .required(true),
        )
        .arg(days("Lifetime; 730 unless said"))
        .arg(role("What it issues for, where its name does not tell"))
        .arg(text("algorithm", "ALGORITHM", ALGORITHMS))
        .arg(text("backend", "NAME", "Key store that holds its key; the service's setting unless said"))
        .arg(text("key-uri", "URI", "An existing key; one is made unless said"))
}

fn bundle() -> Command {
    Command::new("bundle")
        .about("Print the CA certificates that verifiers need; asks for no token")
        .after_help("Examples:\n  catalyst pki ca bundle > ca-bundle.pem\n  catalyst pki ca bundle --role services --output-file services.pem --force")
        .arg(
            text("format", "FORMAT", "pem, or json with both networks' parts")
                .value_parser(PossibleValuesParser::new(["pem", "json"])),
        )
        .arg(role("One network's part of the PEM"))
        .arg(
            text("anchors", "WHICH", "issuing: without the root, for verifiers that take partial chains")
                .value_parser(PossibleValuesParser::new(["issuing"])),
        )
        .arg(paths::new_file_or_output(text(
            "output-file",
            "FILE",
            "Write it into this file, whole or not at all",
        )))
        .arg(switch("force", "Replace the file that is there").requires("output-file"))
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    let Some((name, matches)) = matches.subcommand() else { return Err(nothing_asked()) };
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let ca = || one("ca").unwrap_or_default();
    Ok(Request::Ca(match name {
        "create-intermediary" => CaRequest::Create(intermediary(matches)?),
        "list" => CaRequest::List,
        "bundle" => CaRequest::Bundle(bundle_request(matches)),
        "activate" => CaRequest::Activate { ca: ca(), now: matches.get_flag("now") },
        "retire" => CaRequest::Retire { ca: ca() },
        "revoke" => {
            let given = one("reason").unwrap_or_default();
            let reason = REASONS.into_iter().find(|reason| reason.eq_ignore_ascii_case(&given));
            let reason = reason.map_or(given, str::to_owned);
            CaRequest::Revoke { ca: ca(), reason, yes: matches.get_flag("yes") }
        }
        "repin" => {
            let to = RepinRequest { key_uri: one("key-uri").unwrap_or_default(), backend: one("backend") };
            CaRequest::Repin { ca: ca(), to }
        }
        // clap lets nothing else pass.
        _ => return Err(nothing_asked()),
    }))
}

fn nothing_asked() -> String {
    "a command of 'catalyst pki ca' is wanted".into()
}

fn intermediary(matches: &ArgMatches) -> Result<IntermediaryRequest, String> {
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let common_name = one("common-name").unwrap_or_default();
    let read = || CaRole::in_name(&common_name).map(|role| role.to_string());
    let role = one("role").or_else(read).ok_or_else(|| {
        format!("'{common_name}' does not tell what the CA is for, since it has not exactly one of the words Services and Transport: say --role services or --role transport")
    })?;
    Ok(IntermediaryRequest {
        role: Some(role),
        ttl_days: matches.get_one("ttl-days").copied(),
        algorithm: one("algorithm"),
        backend: one("backend"),
        key_uri: one("key-uri"),
        common_name,
    })
}

fn bundle_request(matches: &ArgMatches) -> BundleRequest {
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    BundleRequest {
        json: one("format").map(|format| format == "json"),
        role: one("role"),
        issuing_only: one("anchors").is_some(),
        file: matches.get_one("output-file").cloned(),
        force: matches.get_flag("force"),
    }
}
