//! `catalyst pki keys reconcile`

use super::super::{
    arguments::Output,
    exit::FAILED,
    output::{self, json, print},
};
use crate::{
    api::{UnclaimedKey, UnclaimedKeys},
    client::{Client, Result},
};
use std::process::ExitCode;

pub(in crate::cli) async fn reconcile(client: &Client, form: Output) -> Result<ExitCode> {
    let found: UnclaimedKeys = client.get("/pki/keys/unclaimed", &[]).await?;
    let printed = print(&match form {
        Output::Json => json(&found)?,
        Output::Text | Output::Markdown => {
            let rows: Vec<_> = found.keys.iter().map(row).collect();
            output::rows(["KEY", "KEY STORE", "ROLE", "GENERATION", "MADE", "WHY"], &rows)
        }
    });
    for store in &found.unread {
        output::warn(&format!("nothing can be said of key store {}: {}", store.backend, store.error));
    }
    output::hint(match (found.keys.is_empty(), found.unread.is_empty()) {
        (true, true) => "every key of this deployment belongs to a CA or signs tokens",
        (true, false) => "look again when the key stores answer",
        (false, _) => {
            "nothing was destroyed: a key that is unknown here may be another instance's, so find out before you give it up in its key store"
        }
    });
    Ok(if found.unread.is_empty() { printed } else { ExitCode::from(FAILED) })
}

fn row(key: &UnclaimedKey) -> [String; 6] {
    let why = match (key.reason.as_str(), &key.copy_of) {
        ("unknown", _) => "no CA of this service is known to have it".to_owned(),
        ("unfinished", _) => "it was meant, and what needs it is not finished".to_owned(),
        ("copy", Some(of)) => format!("made for the same as {of}, which is used"),
        (other, _) => other.to_owned(),
    };
    [
        key.uri.clone(),
        key.backend.clone(),
        key.role.clone(),
        key.generation.to_string(),
        key.made_at.clone().unwrap_or_default(),
        why,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_why_a_key_is_nobodys() {
        let key = |reason: &str, copy_of: Option<&str>| UnclaimedKey {
            uri: "local:services-1".into(),
            backend: "local".into(),
            role: "services".into(),
            generation: 1,
            made_at: None,
            reason: reason.into(),
            copy_of: copy_of.map(str::to_owned),
        };
        let shown = output::plain(&[row(&key("copy", Some("local:services-9")))]);
        assert_eq!(
            shown,
            "local:services-1\tlocal\tservices\t1\t-\tmade for the same as local:services-9, which is used\n"
        );
        assert!(row(&key("unfinished", None))[5].contains("not finished"));
    }
}
