//! `catalyst auth …`: tokens and the keys that sign them.

use super::{Request, client, group, paths, yes};
use crate::{
    api::{MintRequest, RevokeTokensRequest, RotateKeyRequest, TokenEntity},
    identity::{Fingerprint, lifetime},
};
use clap::{
    Arg, ArgAction, ArgGroup, ArgMatches, Command,
    builder::{PossibleValue, PossibleValuesParser},
};
use std::path::PathBuf;

/// Where a token to look at comes from.
#[derive(Debug)]
pub(in crate::cli) enum TokenInput {
    Argument(secrecy::SecretString),
    File(PathBuf),
    StandardInput,
}

/// Which tokens to list.
#[derive(Debug, Default)]
pub(in crate::cli) struct TokenFilter {
    pub(in crate::cli) certificate_fingerprint: Option<String>,
    pub(in crate::cli) san: Option<String>,
    pub(in crate::cli) limit: Option<u64>,
}

/// The subject that makes a bootstrap credential.
const BOOTSTRAP: &str = "bootstrap";
const BOOTSTRAP_PRINCIPAL: &str = "BOOTSTRAP";
/// Each as it is typed, and as tokens have it.
const PRINCIPALS: [[&str; 2]; 5] = [
    ["ADMIN", "CATALYST::ADMIN"],
    ["NODE", "CATALYST::NODE"],
    ["NODE_CUSTODIAN", "CATALYST::NODE_CUSTODIAN"],
    ["DATA_CUSTODIAN", "CATALYST::DATA_CUSTODIAN"],
    ["USER", "CATALYST::USER"],
];

pub(super) fn command() -> Command {
    let token = group("token", "Tokens").subcommands([mint(), verify(), revoke(), list()]);
    let key = group("key", "The keys that sign tokens").subcommands([
        Command::new("list").about("Show the keys that tokens verify under; with --output json as a JWKS"),
        rotate(),
    ]);
    group("auth", "Tokens and their keys")
        .args(client::options().map(|option| option.global(true)))
        .subcommands([token, key])
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn fingerprint(name: &'static str, help: &'static str) -> Arg {
    // One in 64 fingerprints begins with '-', as base64url writes it.
    text(name, "SHA256", help).allow_hyphen_values(true).value_parser(|text: &str| {
        let parsed = text.parse::<Fingerprint>().map(|fingerprint| fingerprint.to_string());
        parsed.map_err(|error| {
            format!("{error}; openssl x509 -in certificate.pem -noout -fingerprint -sha256 prints one")
        })
    })
}

fn names(name: &'static str, help: &'static str) -> Arg {
    // An empty set means "any": one that an unset variable left empty must not pass for it.
    let word = |text: &str| match text.trim() {
        "" => Err("an empty word is none: leave the option out if nothing is to be limited".to_owned()),
        word => Ok(word.to_owned()),
    };
    text(name, "A,B", help).value_delimiter(',').action(ArgAction::Append).value_parser(word)
}

fn principal() -> Arg {
    let value = |[name, alias]: [&'static str; 2]| PossibleValue::new(name).alias(alias);
    // Bootstrap credentials have it without being asked.
    let unsaid = value([BOOTSTRAP_PRINCIPAL, "CATALYST::BOOTSTRAP"]).hide(true);
    text("principal", "PRINCIPAL", "What it may do; also with CATALYST:: before it")
        .value_parser(PossibleValuesParser::new(PRINCIPALS.map(value).into_iter().chain([unsaid])))
}

fn mint() -> Command {
    Command::new("mint")
        .about("Make a token; standard output is the token alone")
        .after_help("Examples:\n  catalyst auth token mint ops --principal ADMIN --expires-in 8h > ops.token\n  catalyst auth token mint gateway-a --principal NODE --node-id gateway-a\n  catalyst auth token mint bootstrap \\\n    --spiffe-id spiffe://catalyst.example.com/node/node-c")
        .arg(
            Arg::new("subject")
                .value_name("SUBJECT")
                .required(true)
                .help("Whom it is for; 'bootstrap' makes a credential for a first certificate"),
        )
        .arg(principal())
        .arg(text("name", "NAME", "Name of whom it speaks for, the subject unless said"))
        .arg(text("type", "TYPE", "What it speaks for: service, user, …").default_value("service"))
        .arg(
            text("expires-in", "TIME", "Lifetime: a number with s, m, h, d or w")
                .default_value("1h")
                .value_parser(|text: &str| lifetime(text).map(|_| text.to_owned())),
        )
        .arg(text("node-id", "ID", "The node that it speaks for, of a NODE"))
        .arg(names("trusted-domains", "Domains that it is limited to"))
        .arg(names("trusted-nodes", "Nodes that it is limited to"))
        .arg(fingerprint("cert-fingerprint", "Bind it to the certificate with this SHA-256"))
        .arg(names("sans", "Names by which it can be revoked"))
        .arg(text("spiffe-id", "ID", "Of a bootstrap credential: the one identity that it serves"))
        .arg(
            Arg::new("any-identity")
                .long("any-identity")
                .action(ArgAction::SetTrue)
                .conflicts_with("spiffe-id")
                .help("Of a bootstrap credential: it serves any identity"),
        )
        .arg(
            text("uses", "N", "Of a bootstrap credential for any identity: how many certificates it brings")
                .requires("any-identity")
                .value_parser(clap::value_parser!(u32).range(1..)),
        )
}

fn verify() -> Command {
    Command::new("verify")
        .about("Show what a token says and whether the service takes it; exit code 1 if not")
        .after_help("Examples:\n  catalyst auth token verify --file ops.token\n  catalyst auth token verify - < ops.token")
        .arg(Arg::new("jwt").value_name("TOKEN").help("The token, or '-' for standard input; better a file, for arguments are visible to every user of the machine"))
        .arg(paths::file(text("file", "FILE", "File that holds the token")).conflicts_with("jwt"))
        .group(ArgGroup::new("which").args(["jwt", "file"]).required(true))
        .arg(text("audience", "NAME", "Whom it must be meant for, the trust domain unless said"))
}

fn revoke() -> Command {
    Command::new("revoke")
        .about("Revoke tokens, from the next call on")
        .after_help("Examples:\n  catalyst auth token revoke --san gateway-a")
        .arg(text("jti", "JTI", "The token of this name").allow_hyphen_values(true))
        .arg(text("san", "NAME", "All tokens with this name among their SANs"))
        .arg(fingerprint("cert-fingerprint", "All tokens bound to the certificate with this SHA-256"))
        .group(ArgGroup::new("which").args(["jti", "san", "cert-fingerprint"]).required(true))
}

fn list() -> Command {
    Command::new("list")
        .about("List tokens, newest first")
        .arg(fingerprint("cert-fingerprint", "Bound to the certificate with this SHA-256"))
        .arg(text("san", "NAME", "With this name among their SANs"))
        .arg(
            text("limit", "N", "At most so many; all unless said")
                .value_parser(clap::value_parser!(u64).range(1..)),
        )
}

fn rotate() -> Command {
    Command::new("rotate")
        .about("Sign tokens with a new key from now on; the service writes a fresh system token")
        .after_help("Examples:\n  catalyst auth key rotate --grace 2h")
        .arg(
            Arg::new("immediate")
                .long("immediate")
                .action(ArgAction::SetTrue)
                .conflicts_with("grace")
                .help("Tokens of earlier keys die at once; asked first on a terminal"),
        )
        .arg(
            text(
                "grace",
                "TIME",
                "Tokens of earlier keys are taken so long: a number with s, m, h or d; 24h unless said",
            )
            .value_parser(milliseconds),
        )
        .arg(yes())
}

/// As the service takes it, in seconds.
const LONGEST_GRACE: i64 = 30 * 86_400;

/// A number with its unit, as milliseconds.
fn milliseconds(text: &str) -> Result<i64, String> {
    let form = || "a number with s, m, h or d is wanted, such as 24h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(form)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(form()),
    };
    let number = number.parse::<u32>().map_err(|_| form())?;
    let seconds = i64::from(number) * seconds;
    if seconds > LONGEST_GRACE { Err("at most 30 days".into()) } else { Ok(seconds * 1_000) }
}

/// What is asked. The error is a clause for the operator.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    let (group, matches) = matches.subcommand().unwrap_or(("token", matches));
    let (name, matches) = matches.subcommand().unwrap_or(("list", matches));
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    Ok(match (group, name) {
        ("token", "mint") => Request::Mint(Box::new(mint_request(matches)?)),
        ("token", "verify") => Request::Verify { input: token_input(matches), audience: one("audience") },
        ("token", "revoke") => Request::Revoke(RevokeTokensRequest {
            jti: one("jti"),
            san: one("san"),
            certificate_fingerprint: one("cert-fingerprint"),
        }),
        ("key", "rotate") => Request::RotateKey {
            how: RotateKeyRequest {
                immediate: matches.get_flag("immediate").then_some(true),
                grace_period_ms: matches.get_one("grace").copied(),
            },
            yes: matches.get_flag("yes"),
        },
        ("key", _) => Request::ListKeys,
        _ => Request::ListTokens(TokenFilter {
            certificate_fingerprint: one("cert-fingerprint"),
            san: one("san"),
            limit: matches.get_one("limit").copied(),
        }),
    })
}

fn token_input(matches: &ArgMatches) -> TokenInput {
    if let Some(path) = matches.get_one::<PathBuf>("file") {
        return TokenInput::File(path.clone());
    }
    match matches.get_one::<String>("jwt").map(String::as_str) {
        Some("-") | None => TokenInput::StandardInput,
        Some(token) => TokenInput::Argument(token.into()),
    }
}

fn mint_request(matches: &ArgMatches) -> Result<MintRequest, String> {
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let many = |name: &str| matches.get_many::<String>(name).map(|given| given.cloned().collect::<Vec<_>>());
    let subject = one("subject").unwrap_or_default();
    let (spiffe_id, any_identity) = (one("spiffe-id"), matches.get_flag("any-identity"));
    let principal = match one("principal") {
        Some(principal) => principal,
        // The service wants one, and warns of every other.
        None if subject == BOOTSTRAP => BOOTSTRAP_PRINCIPAL.into(),
        None => {
            return Err(format!(
                "--principal is missing: one of {}",
                PRINCIPALS.map(|[name, _]| name).join(", ")
            ));
        }
    };
    if subject != BOOTSTRAP && (spiffe_id.is_some() || any_identity) {
        return Err(
            "--spiffe-id and --any-identity are of bootstrap credentials: 'auth token mint bootstrap'".into(),
        );
    }
    let entity = TokenEntity {
        id: subject.clone(),
        name: one("name").unwrap_or_else(|| subject.clone()),
        entity_type: one("type").unwrap_or_else(|| "service".into()),
        node_id: one("node-id"),
        trusted_nodes: many("trusted-nodes"),
        trusted_domains: many("trusted-domains"),
    };
    Ok(MintRequest {
        subject,
        principal,
        entity,
        sans: many("sans"),
        expires_in: one("expires-in"),
        certificate_fingerprint: one("cert-fingerprint"),
        spiffe_id,
        any_identity: any_identity.then_some(true),
        uses: matches.get_one("uses").copied(),
    })
}
