//! Where callers get their tokens: the metadata server of a machine, the exchange of a workload's token, and
//! impersonation. A token is the name of its owner, and nothing is verified: what counts is who may do what.

use crate::{
    clock::{later, timestamp},
    http::{Reply, Request},
    refused::Refused,
    service::State,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use catalyst_rigs::gcp::MACHINE;
use serde_json::{Value, json};

/// How long tokens are good for, in seconds.
const LIFETIME: u64 = 3600;

/// Answers a request for a token, `None` if it is none.
pub(crate) fn answer(state: &State, request: &Request) -> Option<Reply> {
    let path = request.path.as_str();
    let machine = path.strip_prefix("/computeMetadata/v1/");
    match (request.method.as_str(), machine) {
        ("GET", Some(path)) => Some(metadata(path, request)),
        ("POST", _) if path == "/v1/token" => Some(reply(exchanged(&request.body))),
        ("POST", _) => {
            let account = path.strip_prefix("/v1/projects/-/serviceAccounts/")?;
            let account = account.strip_suffix(":generateAccessToken")?;
            Some(reply(impersonated(state, account, request)))
        }
        _ => None,
    }
}

/// Who calls: the token, or the account that signed it for itself.
pub(crate) fn caller(request: &Request) -> Option<String> {
    let token = request.token()?;
    Some(claim(token, "iss").unwrap_or_else(|| token.into()))
}

/// The metadata server (cloud.google.com/compute/docs/metadata), which wants its header so that no browser asks it.
fn metadata(path: &str, request: &Request) -> Reply {
    if request.header("metadata-flavor") != Some("Google") {
        return Reply::page(403);
    }
    let of_account = path.strip_prefix("instance/service-accounts/").and_then(|path| path.split_once('/'));
    match of_account {
        Some(("default" | MACHINE, "token")) => {
            Reply::json(&json!({"access_token": MACHINE, "expires_in": LIFETIME, "token_type": "Bearer"}))
        }
        Some(("default" | MACHINE, "email")) => Reply::text(MACHINE),
        Some(("default" | MACHINE, "")) => {
            Reply::json(&json!({"aliases": ["default"], "email": MACHINE, "scopes": [SCOPE]}))
        }
        None if path == "universe/universe-domain" => Reply::text("googleapis.com"),
        _ => Reply::page(404),
    }
    .with_flavor()
}

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// RFC 8693, as the Security Token Service has it: the caller is the workload's subject.
fn exchanged(body: &[u8]) -> Result<Value, Refused> {
    let token = Request::form(body).into_iter().find(|(name, _)| name == "subject_token");
    let subject = token.and_then(|(_, token)| claim(&token, "sub"));
    let subject = subject.ok_or_else(|| Refused::invalid("subject_token is no JWT with a subject."))?;
    Ok(json!({
        "access_token": subject,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": LIFETIME,
    }))
}

/// `generateAccessToken` of IAM Credentials.
fn impersonated(state: &State, account: &str, request: &Request) -> Result<Value, Refused> {
    let resource = format!("projects/-/serviceAccounts/{account}");
    let caller = caller(request);
    state.policy.check(caller.as_deref(), "iam.serviceAccounts.getAccessToken", &resource)?;
    let expires = later(state.clock.now(), LIFETIME).replace_nanosecond(0);
    Ok(json!({"accessToken": account, "expireTime": expires.map(timestamp).unwrap_or_default()}))
}

/// A claim of a JWT, `None` if it is none.
fn claim(token: &str, name: &str) -> Option<String> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims[name].as_str().map(str::to_owned)
}

fn reply(answer: Result<Value, Refused>) -> Reply {
    answer.map_or_else(|refused| Reply::refused(&refused), |message| Reply::json(&message))
}
