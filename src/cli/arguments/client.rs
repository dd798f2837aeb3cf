//! The options of every command that asks a service, and where its answers go.
//!
//! They may stand before the command, as in `catalyst --auth-url … auth token list`, or anywhere after its first word.

use super::{Output, output_arg};
use crate::settings::Environment;
use clap::{Arg, ArgAction, ArgMatches, ValueHint, parser::ValueSource};
use secrecy::SecretString;

/// How to reach the service, as the operator said it.
#[derive(Debug, Default)]
pub(in crate::cli) struct Access {
    pub(in crate::cli) url: Option<String>,
    pub(in crate::cli) token: Option<SecretString>,
    pub(in crate::cli) token_file: Option<String>,
    pub(in crate::cli) ca_file: Option<String>,
    pub(in crate::cli) root_fingerprint: Option<String>,
    pub(in crate::cli) server_fingerprint: Option<String>,
    pub(in crate::cli) insecure_http: bool,
    pub(in crate::cli) environment: Environment,
}

/// The options. `output` is among them, for all of these commands print something.
pub(super) fn options() -> [Arg; 8] {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Service")
    };
    [
        text(
            "auth-url",
            "URL",
            "The service: ws://, wss://, http:// or https:// [CATALYST_AUTH_URL, default ws://localhost:4020/rpc]",
        )
        .value_hint(ValueHint::Url),
        text(
            "token",
            "TOKEN",
            "Credential; better one of the next, for arguments are visible to every user of the machine",
        ),
        text(
            "token-file",
            "FILE",
            "File that holds the credential [CATALYST_AUTH_TOKEN, CATALYST_AUTH_TOKEN_FILE]",
        )
        .value_hint(ValueHint::FilePath),
        text("ca-file", "FILE", "Trust servers under these CA certificates, PEM [CATALYST_CA_FILE]")
            .value_hint(ValueHint::FilePath),
        text(
            "root-fingerprint",
            "SHA256",
            "Trust the CA whose root certificate has this SHA-256 [CATALYST_ROOT_FINGERPRINT]",
        )
        .allow_hyphen_values(true),
        text(
            "server-fingerprint",
            "SHA256",
            "Trust the server whose certificate has this SHA-256 [CATALYST_SERVER_FINGERPRINT]",
        )
        .allow_hyphen_values(true),
        Arg::new("insecure-http")
            .long("insecure-http")
            .action(ArgAction::SetTrue)
            .help("Send the credential to another machine over plain HTTP")
            .help_heading("Service"),
        output_arg(&["text", "json"]),
    ]
}

/// The matches of each command on the line, the program's first.
pub(super) struct Line<'a>(Vec<&'a ArgMatches>);

impl<'a> Line<'a> {
    pub(super) fn new(root: &'a ArgMatches) -> Self {
        let mut all = vec![root];
        let mut at = root;
        while let Some((_, inner)) = at.subcommand() {
            all.push(inner);
            at = inner;
        }
        Self(all)
    }

    /// The options of the program's own that were given to a command that has no use for them. Within `pki` they may
    /// stand anywhere; other commands may have options of their own that are called so.
    pub(super) fn stray(&self) -> Option<&'static str> {
        let names = [
            "auth-url",
            "token",
            "token-file",
            "ca-file",
            "root-fingerprint",
            "server-fingerprint",
            "insecure-http",
        ];
        let levels = if self.0[0].subcommand_name() == Some("pki") { self.0.len() } else { 1 };
        names.into_iter().find(|name| self.0[..levels].iter().any(|matches| is_given(matches, name)))
    }

    /// The nearest one to the command wins.
    fn text(&self, name: &str) -> Option<String> {
        let given = self.0.iter().rev().find(|matches| is_given(matches, name))?;
        given.get_one::<String>(name).cloned()
    }

    pub(super) fn output(&self) -> Output {
        Output::named(self.text("output").as_deref())
    }

    pub(super) fn access(&self, environment: Environment) -> Access {
        Access {
            url: self.text("auth-url"),
            token: self.text("token").map(SecretString::from),
            token_file: self.text("token-file"),
            ca_file: self.text("ca-file"),
            root_fingerprint: self.text("root-fingerprint"),
            server_fingerprint: self.text("server-fingerprint"),
            insecure_http: self.0.iter().any(|matches| is_given(matches, "insecure-http")),
            environment,
        }
    }
}

fn is_given(matches: &ArgMatches, name: &str) -> bool {
    matches.try_contains_id(name).is_ok() && matches.value_source(name) == Some(ValueSource::CommandLine)
}
