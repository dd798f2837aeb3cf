//! `catalyst pki cert …`

use super::super::{Request, group, paths, yes};
use crate::identity::{Fingerprint, Serial, SpiffeId, Ttl, Workload};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use std::path::PathBuf;

/// What is wanted of certificates.
#[derive(Debug)]
pub(in crate::cli) enum CertRequest {
    Generate(Box<Generate>),
    SignCsr(Box<SignCsr>),
    List(CertFilter),
    /// By serial number or fingerprint, in the service's own form.
    Show(String),
    Export(Export),
    Revoke(Revoke),
}

/// A key and a certificate for it.
#[derive(Debug)]
pub(in crate::cli) struct Generate {
    pub(in crate::cli) workload: Workload,
    pub(in crate::cli) ttl: Option<Ttl>,
    pub(in crate::cli) curve: Curve,
    pub(in crate::cli) output_cert: PathBuf,
    pub(in crate::cli) output_key: PathBuf,
    pub(in crate::cli) force: bool,
}

/// The curve of a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Curve {
    P384,
    P256,
}

/// A certificate for somebody's CSR; without `output_cert` it goes to standard output.
#[derive(Debug)]
pub(in crate::cli) struct SignCsr {
    /// `-` for standard input.
    pub(in crate::cli) csr: PathBuf,
    pub(in crate::cli) workload: Workload,
    pub(in crate::cli) ttl: Option<Ttl>,
    pub(in crate::cli) output_cert: Option<PathBuf>,
    pub(in crate::cli) force: bool,
}

/// Which certificates to list.
#[derive(Debug, Default)]
pub(in crate::cli) struct CertFilter {
    pub(in crate::cli) status: Option<String>,
    pub(in crate::cli) spiffe_id: Option<String>,
    pub(in crate::cli) limit: Option<u64>,
}

/// A certificate as PEM; without `output_cert` it goes to standard output.
#[derive(Debug)]
pub(in crate::cli) struct Export {
    pub(in crate::cli) name: String,
    pub(in crate::cli) chain: bool,
    pub(in crate::cli) output_cert: Option<PathBuf>,
    pub(in crate::cli) force: bool,
}

/// The end of a certificate.
#[derive(Debug)]
pub(in crate::cli) struct Revoke {
    pub(in crate::cli) serial: Serial,
    pub(in crate::cli) reason: String,
    pub(in crate::cli) yes: bool,
}

const STATUSES: [&str; 4] = ["active", "held", "revoked", "expired"];
const REASONS: [&str; 4] = ["unspecified", "keyCompromise", "superseded", "cessationOfOperation"];

pub(super) fn command() -> Command {
    group("cert", "Certificates of services: issue, list, revoke").subcommands([
        generate(),
        sign_csr(),
        list(),
        show(),
        export(),
        revoke(),
    ])
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn cert_file(help: &'static str) -> Arg {
    text("output-cert", "FILE", help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn force() -> Arg {
    switch("force", "Replace a file that is there")
}

fn identity() -> Arg {
    text("spiffe-id", "ID", "Whom it is for: spiffe://<trust domain>/<type>/<instance>")
        .required(true)
        .value_parser(workload)
}

fn ttl() -> Arg {
    text("ttl-hours", "N", "Lifetime in whole hours, 1 to 24; the service's usual one unless said")
        .value_parser(value_parser!(i64).range(1..=24))
}

fn certificate_name() -> Arg {
    Arg::new("certificate")
        .value_name("SERIAL|FINGERPRINT")
        .required(true)
        .allow_hyphen_values(true)
        .value_parser(name)
        .help("Serial number in hex, or SHA-256 fingerprint as base64url or hex")
}

fn generate() -> Command {
    Command::new("generate")
        .about("Make a key on this machine, and have a certificate for it signed")
        .arg(text("common-name", "NAME", "May be left out; must be the last part of the SPIFFE ID"))
        .args([identity(), ttl()])
        .arg(
            text("key-type", "CURVE", "Curve of the key")
                .value_parser(PossibleValuesParser::new(["p384", "p256"]))
                .default_value("p384"),
        )
        .arg(paths::new_file(cert_file("Where the certificate goes, with its issuing CA after it")).required(true))
        .arg(
            paths::new_file(text("output-key", "FILE", "Where the key goes; its owner alone may read it"))
                .required(true),
        )
        .arg(force())
        .after_help(
            "Examples:\n  catalyst pki cert generate \\\n    --spiffe-id spiffe://catalyst.example.com/gateway/gateway-a \\\n    --ttl-hours 24 \\\n    --output-cert ./gateway-cert.pem --output-key ./gateway-key.pem",
        )
}

fn sign_csr() -> Command {
    Command::new("sign-csr")
        .about("Have a certificate signed for a CSR that was made elsewhere")
        .arg(paths::file(text("csr", "FILE", "The CSR, PEM or DER; '-' for standard input")).required(true))
        .args([identity(), ttl()])
        .arg(paths::new_file_or_output(cert_file(
            "Where the certificate goes, with its issuing CA after it; standard output unless said",
        )))
        .arg(force())
        .after_help(
            "The SPIFFE ID must be the CSR's; an ADMIN may have one signed that names none.\n\nExamples:\n  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes \\\n    -keyout service.key -out service.csr -subj / \\\n    -addext subjectAltName=URI:spiffe://catalyst.example.com/node/node-c\n  catalyst pki cert sign-csr --csr service.csr --ttl-hours 1 \\\n    --spiffe-id spiffe://catalyst.example.com/node/node-c \\\n    --output-cert service-cert.pem",
        )
}

fn list() -> Command {
    Command::new("list")
        .about("List certificates, newest first; the last column is the seconds until they expire")
        .arg(text("status", "STATUS", "Of this status").value_parser(PossibleValuesParser::new(STATUSES)))
        .arg(text("spiffe-id", "ID", "Of this identity").value_parser(spiffe_id))
        .arg(
            text("limit", "N", "At most so many; all unless said")
                .value_parser(value_parser!(u64).range(1..)),
        )
        .after_help(
            "In a pipe every line is a row, its cells separated by tabs: serial, identity, type, status, expires, seconds left.\n\nExamples:\n  catalyst pki cert list | grep node-c\n  catalyst pki cert list | grep -v \"root-ca\\|intermediate\" \\\n    | awk '$NF < 7200 {print \"EXPIRING SOON:\", $0}'",
        )
}

fn show() -> Command {
    Command::new("show")
        .about("Show a certificate")
        .arg(certificate_name())
        .after_help("Examples:\n  catalyst pki cert show 3f9c0a…\n  catalyst pki cert show \\\n    \"$(openssl x509 -in cert.pem -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1)\"")
}

fn export() -> Command {
    Command::new("export")
        .about("Print a certificate as PEM, or write it to a file")
        .arg(certificate_name())
        .arg(switch("chain", "With its issuing CA after it, as TLS servers want it"))
        .arg(paths::new_file_or_output(cert_file("Where it goes; standard output unless said")))
        .arg(force())
        .after_help("Examples:\n  catalyst pki cert export 3f9c0a… | openssl x509 -noout -text")
}

fn revoke() -> Command {
    Command::new("revoke")
        .about("Revoke one certificate for good; to stop an identity, use 'pki identity deny'")
        .arg(
            Arg::new("serial")
                .value_name("SERIAL")
                .required(true)
                .value_parser(|text: &str| text.parse::<Serial>().map_err(|error| error.to_string()))
                .help("Serial number in hex"),
        )
        .arg(
            text("reason", "REASON", "Why, as the CRL says it")
                .value_parser(PossibleValuesParser::new(REASONS))
                .default_value("unspecified"),
        )
        .arg(yes())
        .after_help("Examples:\n  catalyst pki cert revoke 3f9c0a… --reason keyCompromise")
}

/// The identity that a SPIFFE id of any trust domain names; whether the domain is the service's is the service's to say.
pub(super) fn workload(text: &str) -> Result<Workload, String> {
    let id = spiffe_id(text)?;
    let domain =
        id.trust_domain().parse().map_err(|error: crate::identity::TrustDomainError| error.to_string())?;
    Workload::of(&domain, id).map_err(|error| error.to_string())
}

fn spiffe_id(text: &str) -> Result<SpiffeId, String> {
    text.parse::<SpiffeId>().map_err(|error| error.to_string())
}

/// A serial number or a fingerprint, in the form that the service shows it in.
fn name(text: &str) -> Result<String, String> {
    let serial = text.parse::<Serial>().map(|serial| serial.to_string());
    serial.or_else(|_| text.parse::<Fingerprint>().map(|fingerprint| fingerprint.to_string())).map_err(|_| {
        "neither a serial number (32 hex digits) nor a SHA-256 fingerprint (43 base64url characters or 64 hex digits); 'catalyst pki cert list' shows serial numbers, and openssl x509 -in certificate.pem -noout -serial -fingerprint -sha256 prints both".into()
    })
}

/// What is asked.
pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    let (command, matches) = matches.subcommand().unwrap_or(("list", matches));
    Ok(Request::Cert(match command {
        "generate" => CertRequest::Generate(Box::new(Generate {
            workload: whom(matches)?,
            ttl: lifetime(matches),
            curve: match one(matches, "key-type").as_deref() {
                Some("p256") => Curve::P256,
                _ => Curve::P384,
            },
            output_cert: file(matches, "output-cert").unwrap_or_default(),
            output_key: file(matches, "output-key").unwrap_or_default(),
            force: matches.get_flag("force"),
        })),
        "sign-csr" => CertRequest::SignCsr(Box::new(SignCsr {
            csr: file(matches, "csr").unwrap_or_default(),
            workload: whom(matches)?,
            ttl: lifetime(matches),
            output_cert: file(matches, "output-cert"),
            force: matches.get_flag("force"),
        })),
        "show" => CertRequest::Show(one(matches, "certificate").unwrap_or_default()),
        "export" => CertRequest::Export(Export {
            name: one(matches, "certificate").unwrap_or_default(),
            chain: matches.get_flag("chain"),
            output_cert: file(matches, "output-cert"),
            force: matches.get_flag("force"),
        }),
        "revoke" => CertRequest::Revoke(Revoke {
            serial: *matches.get_one("serial").ok_or("a serial number is missing")?,
            reason: one(matches, "reason").unwrap_or_default(),
            yes: matches.get_flag("yes"),
        }),
        _ => CertRequest::List(CertFilter {
            status: one(matches, "status"),
            spiffe_id: matches.get_one::<SpiffeId>("spiffe-id").map(ToString::to_string),
            limit: matches.get_one("limit").copied(),
        }),
    }))
}

fn one(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

fn file(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}

fn lifetime(matches: &ArgMatches) -> Option<Ttl> {
    matches.get_one::<i64>("ttl-hours").and_then(|hours| Ttl::try_from(hours * 3_600).ok())
}

/// The identity of `--spiffe-id`. A common name is a second word for its last part, and must not say otherwise.
fn whom(matches: &ArgMatches) -> Result<Workload, String> {
    let workload = matches.get_one::<Workload>("spiffe-id").ok_or("--spiffe-id is missing")?;
    let instance = workload.instance_id().as_str();
    match matches.try_get_one::<String>("common-name").ok().flatten() {
        Some(name) if name != instance => Err(format!(
            "--common-name is '{name}', and the SPIFFE ID is that of '{instance}': leave it out, or make both the same"
        )),
        _ => Ok(workload.clone()),
    }
}
