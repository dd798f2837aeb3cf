//! What people read about settings: the effective values, and the page of the documentation.

use super::{
    effective::{Content, Effective},
    setting::{Fallback, Kind},
    table::{Place, Table},
};
use serde_json::json;
use std::fmt::Write as _;

const REDACTED: &str = "[redacted]";

/// The effective values in three columns: variable, value, origin.
#[must_use]
pub fn text(table: &Table, effective: &Effective) -> String {
    let places = table.places(&effective.stores);
    let lines: Vec<[String; 3]> = places
        .iter()
        .map(|place| {
            let value = effective.shown(place).unwrap_or_else(|| "-".into());
            [place.name.clone(), value, effective.origin(place)]
        })
        .collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    lines.iter().fold(String::new(), |mut out, [variable, value, origin]| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{variable:first$}  {value:second$}  {origin}");
        out
    })
}

/// The effective values as JSON.
#[must_use]
pub fn json(table: &Table, effective: &Effective) -> serde_json::Value {
    let places = table.places(&effective.stores);
    let settings: Vec<_> = places
        .iter()
        .map(|place| {
            json!({
                "variable": place.name,
                "value": effective.shown(place),
                "origin": effective.origin(place),
                "secret": place.row.is_secret(),
            })
        })
        .collect();
    json!({ "dev": effective.dev, "settings": settings })
}

impl Effective {
    fn shown(&self, place: &Place) -> Option<String> {
        self.values.get(&place.name).map(|given| match &given.content {
            Content::Plain(value) => value.clone(),
            Content::Secret(..) => REDACTED.into(),
            Content::SecretIn(path) => format!("[in {}]", path.display()),
        })
    }

    fn origin(&self, place: &Place) -> String {
        self.values.get(&place.name).map_or_else(|| "default".into(), |given| given.origin.to_string())
    }
}

const INTRODUCTION: &str = "\
# Settings

<!-- Made by `catalyst config --output markdown`; a test keeps this page equal to it. -->

A flag of `catalyst serve` outranks the environment, the environment outranks the settings file (`--config FILE` or
`CATALYST_PKI_CONFIG`), and that outranks the default. `catalyst config`, which takes the same flags, shows what holds
and where it comes from; secrets are not shown. `--dev` has defaults of its own, for trying the service out on one
machine.

Every secret can be given as a file: `<variable>_FILE` or `<key>_file` holds its path, and one trailing newline is cut
off. Flags take secrets only as files, since every user of a machine sees its command lines. A settings file that
holds a secret itself must have mode 0600. An empty variable counts as not set. A variable that begins with
`CATALYST_PKI_` and is not in this table stops the start, and so does an unknown key.

The settings file may describe several HSM tokens, or ways into AWS KMS or Google Cloud KMS: a table `[pkcs11.<name>]`,
`[aws-kms.<name>]` or `[gcp-kms.<name>]` has the keys that follow `pkcs11.`, `aws-kms.` or `gcp-kms.` here but for those that
name an existing key or a key ring, and is chosen as the key store `pkcs11:<name>`, `aws-kms:<name>` or `gcp-kms:<name>`.
Variables and flags speak of the key store `pkcs11`, `aws-kms` or `gcp-kms` alone, and those that name a key or a key ring of
the key store that its role has.

Metrics are pushed by OTLP over plain HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the other `OTEL_` variables keep
their usual meaning. Logs go to standard error, with times in UTC; `docker logs` needs `2>&1` before a pipe.

";

/// The page of the documentation.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("| variable | flag | key | accepts | default | with `--dev` | meaning |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for row in table.rows() {
        let flag = row.flag.map_or_else(String::new, |flag| format!("`--{flag}`"));
        let key = row.key.map_or_else(String::new, |key| format!("`{key}`"));
        let default = match &row.fallback {
            Fallback::Unset(what) => format!("not set: {what}"),
            Fallback::Value(value) => format!("`{value}`"),
            Fallback::Derived { text, .. } => (*text).into(),
        };
        let dev = row.dev.map_or_else(String::new, |value| format!("`{value}`"));
        let _ = writeln!(
            page,
            "| `{}` | {flag} | {key} | {} | {default} | {dev} | {} |",
            row.variable,
            accepts(&row.kind, table),
            row.help
        );
    }
    page
}

fn accepts(kind: &Kind, table: &Table) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Text => "text".into(),
        Kind::Path => "path".into(),
        Kind::Address => "IP address and port".into(),
        Kind::Bool => words(&["true", "false"]),
        Kind::Number { min, max, unit } => format!("{min} to {max} {unit}"),
        Kind::OneOf(choice) => words(choice),
        Kind::Backend => {
            let own = words(&table.backend_names());
            let several = table.backends().iter().filter(|backend| backend.several);
            several.fold(own, |known, backend| format!("{known}, `{}:<name>`", backend.name))
        }
        Kind::Checked { accepts, .. } => (*accepts).into(),
        Kind::SecretWhenUsed => "secret; its file is read each time it is used".into(),
        Kind::List => "words separated by commas, a list in the file".into(),
        Kind::DnsNames => "`<type>=<pattern>` separated by commas, a list in the file".into(),
        Kind::HostNames => "DNS names and IP addresses separated by commas, a list in the file".into(),
        Kind::TrustDomain => "`a-z`, `0-9`, `.`, `_`, `-`".into(),
        Kind::Secret { min_chars, .. } => format!("secret of {min_chars} characters or more"),
    }
}
