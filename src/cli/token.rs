//! `catalyst auth token …`

use super::{
    arguments::{Output, TokenFilter},
    exit::FAILED,
    output::{self, json, print},
    pages,
};
use crate::{
    api::{
        MintRequest, MintedToken, RevokeTokensRequest, RevokedTokens, TokenItem, TokenPage, TokenVerdict,
        VerifyTokenRequest,
    },
    client::{Client, ClientError, Result, printable},
    identity::{Clock as _, SystemClock, Timestamp},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::process::ExitCode;

/// How many are asked for at once.
const PAGE: u64 = 1_000;

pub(super) async fn mint(client: &Client, wanted: &MintRequest, form: Output) -> Result<ExitCode> {
    let minted: MintedToken = client.post("/auth/tokens", wanted).await?;
    for warning in &minted.warnings {
        output::warn(warning);
    }
    // Scripts hand it on as it is.
    if minted.token.is_empty() || !minted.token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ClientError::failed("the service answered something that is no token")
            .with_hint(format!("revoke it: catalyst auth token revoke --jti {}", printable(&minted.jti))));
    }
    let printed = print(&match form {
        Output::Json => json(&minted)?,
        Output::Text | Output::Markdown => format!("{}\n", minted.token),
    });
    if printed != ExitCode::SUCCESS {
        output::hint(&format!(
            "the token is made and good; where nobody has it: catalyst auth token revoke --jti {}",
            minted.jti
        ));
    }
    Ok(printed)
}

pub(super) async fn verify(
    client: &Client,
    token: &SecretString,
    audience: Option<String>,
    form: Output,
) -> Result<ExitCode> {
    let question = VerifyTokenRequest { token: token.expose_secret().to_owned(), audience };
    let verdict: TokenVerdict = client.post("/auth/tokens/verify", &question).await?;
    let printed = match (form, &verdict.payload) {
        (Output::Json, _) => print(&json(&verdict)?),
        (_, Some(payload)) if verdict.valid => print(&readable(payload)),
        _ => ExitCode::SUCCESS,
    };
    if verdict.valid {
        return Ok(printed);
    }
    output::warn(&format!(
        "the token is not valid: {}",
        verdict.error.as_deref().unwrap_or("no reason given")
    ));
    Ok(ExitCode::from(FAILED))
}

/// JSON over several lines. Its strings may hold what steers a terminal: JSON escapes but the first 32 of it.
fn readable(payload: &serde_json::Value) -> String {
    format!("{payload:#}").lines().map(|line| printable(line) + "\n").collect()
}

pub(super) async fn revoke(client: &Client, which: &RevokeTokensRequest, form: Output) -> Result<ExitCode> {
    let answer: RevokedTokens = client.post("/auth/tokens/revoke", which).await?;
    let printed = print(&match form {
        Output::Json => json(&answer)?,
        Output::Text | Output::Markdown => format!("Revoked tokens: {}\n", answer.revoked),
    });
    if answer.revoked == 0 {
        output::hint("nothing was good until now; 'catalyst auth token list' shows what there is");
    }
    Ok(printed)
}

pub(super) async fn list(client: &Client, filter: &TokenFilter, form: Output) -> Result<ExitCode> {
    let tokens = fetch(client, filter).await?;
    let now = SystemClock.now();
    Ok(print(&match form {
        Output::Json => json(&json!({ "tokens": tokens }))?,
        Output::Text | Output::Markdown => {
            let rows: Vec<_> = tokens.iter().map(|token| row(token, now)).collect();
            output::rows(["SUBJECT", "JTI", "PRINCIPAL", "ISSUED", "EXPIRES", "STATE"], &rows)
        }
    }))
}

async fn fetch(client: &Client, filter: &TokenFilter) -> Result<Vec<TokenItem>> {
    pages::all(PAGE, filter.limit, async |wanted, cursor| {
        let query = [
            ("limit", Some(wanted.to_string())),
            ("cursor", cursor),
            ("certificateFingerprint", filter.certificate_fingerprint.clone()),
            ("san", filter.san.clone()),
        ];
        let page: TokenPage = client.get("/auth/tokens", &query).await?;
        Ok((page.tokens, page.next_cursor))
    })
    .await
}

fn row(token: &TokenItem, now: Timestamp) -> [String; 6] {
    let state = match token.revoked {
        true => "revoked",
        false if token.exp <= now.seconds() => "expired",
        false => "active",
    };
    let time = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000)).to_string();
    [
        token.sub.clone(),
        token.jti.clone(),
        token.principal.clone(),
        time(token.iat),
        time(token.exp),
        state.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_steer_no_terminal() {
        let shown = readable(&json!({"sub": "a\u{9b}31mb\u{202e}c"}));
        assert_eq!(shown, "{\n  \"sub\": \"a\u{fffd}31mb\u{fffd}c\"\n}\n");
    }

    #[test]
    fn a_row_says_how_the_token_stands() {
        let token = |exp, revoked| TokenItem {
            jti: "j".into(),
            sub: "ops".into(),
            principal: "CATALYST::ADMIN".into(),
            iat: 1_707_818_400,
            exp,
            expiry: exp,
            cfn: None,
            certificate_fingerprint: None,
            sans: Vec::new(),
            entity_id: "ops".into(),
            entity_name: "ops".into(),
            entity_type: "user".into(),
            revoked,
            spiffe_id: None,
            uses: None,
        };
        let now = Timestamp::from_seconds(1_707_818_500);
        let state = |exp, revoked| row(&token(exp, revoked), now)[5].clone();
        assert_eq!(state(1_707_818_501, false), "active");
        assert_eq!(state(1_707_818_500, false), "expired");
        assert_eq!(state(1_707_818_501, true), "revoked");
        let shown = output::plain(&[row(&token(1_707_818_501, false), now)]);
        assert_eq!(
            shown,
            "ops\tj\tCATALYST::ADMIN\t2024-02-13T10:00:00.000Z\t2024-02-13T10:01:41.000Z\tactive\n"
        );
    }
}
