//! `catalyst auth key …`

use super::{
    arguments::Output,
    confirm::confirm,
    output::{self, json, print},
};
use crate::{
    api::{RotateKeyRequest, RotatedKey, TokenKeys},
    client::{Client, Result, printable},
};
use serde_json::Value;
use std::process::ExitCode;

pub(super) async fn list(client: &Client, form: Output) -> Result<ExitCode> {
    let keys: TokenKeys = client.get("/auth/keys", &[]).await?;
    Ok(print(&match form {
        Output::Json => json(&keys.jwks)?,
        Output::Text | Output::Markdown => {
            let listed =
                keys.jwks.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let member = |key: &Value, name: &str| {
                key.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let row = |key: &Value| [member(key, "kid"), member(key, "alg"), member(key, "crv")];
            output::rows(["KEY ID", "ALGORITHM", "CURVE"], &listed.iter().map(row).collect::<Vec<_>>())
        }
    }))
}

/// Asks the person at the terminal where every token is to die at once.
///
/// # Errors
/// The answer is not yes.
pub(super) fn look_first(how: &RotateKeyRequest, yes: bool) -> Result<()> {
    if how.immediate != Some(true) {
        return Ok(());
    }
    confirm("Rotate the token key at once? Every token that was minted so far is good for nothing then.", yes)
}

pub(super) async fn rotate(client: &Client, how: &RotateKeyRequest, form: Output) -> Result<ExitCode> {
    let rotated: RotatedKey = client.post("/auth/keys/rotate", how).await?;
    if rotated.tokens_cut_short > 0 {
        output::warn(&format!(
            "tokens that die before their time, the system token that was replaced included: {}; mint the others anew",
            rotated.tokens_cut_short
        ));
    }
    let printed = print(&match form {
        Output::Json => json(&rotated)?,
        Output::Text | Output::Markdown => text(&rotated),
    });
    output::hint(
        "the service has written a fresh system token; whoever copied the old one needs the new one",
    );
    Ok(printed)
}

fn text(rotated: &RotatedKey) -> String {
    let end = rotated
        .grace_period_ends_at
        .as_deref()
        .map_or_else(|| "have died".into(), |at| format!("die at {at}"));
    format!(
        "Token key rotated:\n  Previous key:   {}\n  New key:        {}\n  Earlier tokens: {}\n  Cut short:      {}\n",
        printable(&rotated.previous_key_id),
        printable(&rotated.new_key_id),
        printable(&end),
        rotated.tokens_cut_short,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_says_when_earlier_tokens_die() {
        let mut rotated = RotatedKey {
            success: true,
            previous_key_id: "old".into(),
            new_key_id: "new".into(),
            grace_period_ends_at: Some("2026-02-14T10:00:00.000Z".into()),
            tokens_cut_short: 3,
        };
        assert_eq!(
            text(&rotated),
            "Token key rotated:\n  Previous key:   old\n  New key:        new\n  Earlier tokens: die at 2026-02-14T10:00:00.000Z\n  Cut short:      3\n"
        );
        rotated.grace_period_ends_at = None;
        assert!(text(&rotated).contains("Earlier tokens: have died"));
    }
}
