//! What an answer means: the shape that was asked for, the service's refusal, or something that is not the service.

use super::{ClientError, Kind, Result, connection::Answer, printable, url::ServiceUrl};
use crate::api::ErrorBody;
use hyper::{
    StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use serde::de::DeserializeOwned;

const JSON: &str = "application/json";
/// Codes of what does not pass by itself. Their sentences say what to do, and to wait is not it.
const UNTIL_SOMEBODY_ACTS: [&str; 5] =
    ["no_issuer", "ca_expiring", "clock_behind", "store_full", "store_read_only"];

/// Reads an answer. `with_token`: whether the request carried a credential.
pub(super) fn read<T: DeserializeOwned>(
    answer: &Answer,
    url: &ServiceUrl,
    path: &str,
    with_token: bool,
) -> Result<T> {
    let content = content_type(answer);
    let is_json = is_of(&content, JSON);
    if answer.status.is_success() && is_json {
        return serde_json::from_slice(&answer.body).map_err(|error| {
            let error = printable(&error.to_string());
            ClientError::unreachable(format!("{url} does not look like this service: the answer of {path} is of another form: {error}"))
                .with_hint("does --auth-url lead to something else, or to another version? 'catalyst version' tells this command's")
        });
    }
    Err(failure(answer, url, path, with_token))
}

/// The body of an answer to something that nobody needs a credential for.
pub(super) fn bytes(answer: Answer, url: &ServiceUrl, path: &str, content: &str) -> Result<Bytes> {
    if answer.status.is_success() && is_of(&content_type(&answer), content) {
        return Ok(answer.body);
    }
    Err(failure(&answer, url, path, false))
}

fn failure(answer: &Answer, url: &ServiceUrl, path: &str, with_token: bool) -> ClientError {
    let content = content_type(answer);
    let body =
        is_of(&content, JSON).then(|| serde_json::from_slice::<ErrorBody>(&answer.body).ok()).flatten();
    match body {
        Some(body) if !answer.status.is_success() => refusal(answer, &body, with_token),
        _ => not_ours(answer, url, path, &content),
    }
}

fn content_type(answer: &Answer) -> String {
    header(answer, CONTENT_TYPE).unwrap_or_else(|| "no content type".into())
}

fn is_of(content: &str, kind: &str) -> bool {
    content.split(';').next().is_some_and(|content| content.trim().eq_ignore_ascii_case(kind))
}

fn kind(status: StatusCode) -> Kind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::NotAuthorised,
        StatusCode::CONFLICT => Kind::Conflict,
        StatusCode::SERVICE_UNAVAILABLE => Kind::Unreachable,
        _ => Kind::Failed,
    }
}

fn refusal(answer: &Answer, body: &ErrorBody, with_token: bool) -> ClientError {
    let error = ClientError::new(kind(answer.status), printable(&body.error));
    match answer.status {
        StatusCode::UNAUTHORIZED if with_token => error.with_hint(
            "the token has expired, was revoked, is bound to a certificate (which this command cannot show), or is another service's: 'catalyst auth token mint' makes a new one, and 'catalyst token recover' where none is left",
        ),
        StatusCode::UNAUTHORIZED => error.with_hint(
            "give a token with --token-file, CATALYST_AUTH_TOKEN or CATALYST_AUTH_TOKEN_FILE; on the service's machine its file system-token is taken where it can be read and the service runs",
        ),
        // Nothing that a token is to blame for.
        StatusCode::FORBIDDEN if body.code == "insecure_channel" => error.with_hint(
            "use https:// or wss:// in --auth-url, with --server-fingerprint from the service's log before the CA is made and --root-fingerprint after",
        ),
        // Something that speaks TLS alone has looked at nothing of the request.
        StatusCode::BAD_REQUEST if body.code == "https_required" => ClientError {
            kind: Kind::Unreachable,
            ..error.with_hint(
                "use https:// or wss:// in --auth-url, with --root-fingerprint, and leave --insecure-http out",
            )
        },
        StatusCode::SERVICE_UNAVAILABLE if body.code == "not_initialized" => {
            error.with_hint("make the CA: 'catalyst pki init --common-name NAME'")
        }
        StatusCode::FORBIDDEN if body.code == "identity_denied" => error.with_hint(
            "'catalyst pki identity list-denied' shows why, and 'catalyst pki identity allow' lifts it",
        ),
        StatusCode::FORBIDDEN => error.with_hint("use a token that may do this; 'catalyst auth token verify' shows what one is"),
        StatusCode::SERVICE_UNAVAILABLE if body.code == "recovery" => error.with_hint(
            "once the instance that ran before the restore is gone for good: catalyst pki recovery confirm --old-instance-is-gone",
        ),
        StatusCode::SERVICE_UNAVAILABLE if UNTIL_SOMEBODY_ACTS.contains(&body.code.as_str()) => error,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let wait = header(answer, RETRY_AFTER).unwrap_or_else(|| "a few".into());
            error.with_hint(format!("try again in {wait} seconds"))
        }
        // A path that is not there, and not a thing that is not there.
        StatusCode::NOT_FOUND if body.error.contains("/openapi.json") => {
            error.with_hint("the service may be of an older version; 'catalyst version' tells this command's")
        }
        _ => error,
    }
}

fn not_ours(answer: &Answer, url: &ServiceUrl, path: &str, content: &str) -> ClientError {
    let status = answer.status;
    if status.is_redirection() {
        let to = header(answer, LOCATION).unwrap_or_else(|| "nowhere".into());
        return ClientError::unreachable(format!(
            "{url}{path} redirects ({status}) to {to}, which is not followed"
        ))
        .with_hint("give the service's own address with --auth-url");
    }
    ClientError::unreachable(format!(
        "{url} does not look like this service: {path} answers {status}, {content}"
    ))
    .with_hint("does --auth-url lead to something else, such as a proxy or a login page?")
}

fn header(answer: &Answer, name: hyper::header::HeaderName) -> Option<String> {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).map(printable)
}
