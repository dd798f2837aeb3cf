//! `catalyst pki export`

use super::super::{Request, paths};
use crate::{
    cli::export::{Export, Format},
    identity::SpiffeId,
};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use std::path::PathBuf;

const STATUSES: [&str; 4] = ["active", "held", "revoked", "expired"];

pub(super) fn command() -> Command {
    Command::new("export")
        .about("Write out what is public: certificates, CAs, CRLs and the deny list; no key, and no token")
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .required(true)
                .value_parser(PossibleValuesParser::new(Format::ALL.map(|(name, _)| name)))
                .help("pem: CAs, CRLs and certificates; json: all of it; csv: certificates; spiffe: the SPIFFE bundle"),
        )
        .arg(
            Arg::new("status")
                .long("status")
                .value_name("STATUS")
                .value_parser(PossibleValuesParser::new(STATUSES))
                .help("Only certificates of this status"),
        )
        .arg(
            Arg::new("spiffe-id")
                .long("spiffe-id")
                .value_name("ID")
                .value_parser(value_parser!(SpiffeId))
                .help("Only certificates of this identity"),
        )
        .arg(
            paths::new_file_or_output(Arg::new("output-file").long("output-file").value_name("FILE"))
                .help("The file, which is there whole or not at all; standard output unless said"),
        )
        .arg(
            Arg::new("force").long("force").action(ArgAction::SetTrue).requires("output-file").help("Replace a file that is there"),
        )
        .after_help("Examples:\n  catalyst pki export --format json --output-file export.json\n  catalyst pki export --format csv --status active > active.csv\n  catalyst pki export --format pem | openssl storeutl -noout -certs /dev/stdin")
}

pub(super) fn request(matches: &ArgMatches) -> Result<Request, String> {
    let name = matches.get_one::<String>("format");
    let format = Format::ALL.into_iter().find(|(known, _)| name.is_some_and(|name| name == known));
    Ok(Request::Export(Export {
        format: format.ok_or("a format is missing")?.1,
        status: matches.get_one::<String>("status").cloned(),
        spiffe_id: matches.get_one::<SpiffeId>("spiffe-id").map(ToString::to_string),
        file: matches.get_one::<PathBuf>("output-file").cloned(),
        force: matches.get_flag("force"),
    }))
}
