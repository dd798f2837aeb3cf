//! Calls that never reached Cloud KMS: no connection, or nothing to ask with.

use super::{Asked, Cause, Trouble, answer::words};
use catalyst_signing::{Refusal, SignError, causes};
use google_cloud_gax::error::{CredentialsError, Error};
use serde_json::Value;
use std::{
    error, fmt,
    io::{self, ErrorKind},
};

/// What a call that found no way means; `None`: it found one.
pub(super) fn lost(asked: Asked<'_>, place: &str, error: &Error) -> Option<Trouble> {
    if error.is_authentication() {
        return Some(unloaded(error));
    }
    let Asked { operation, about, .. } = asked;
    (error.is_connect() || error.is_io()).then(|| {
        let told = told(error);
        SignError::unavailable(format!("{place} could not be asked for {operation} of {about}: {told}"))
            .into()
    })
}

/// No token came within the time of the call that waited for it.
#[derive(Debug)]
pub(crate) struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no token came in time")
    }
}

impl error::Error for Late {}

/// Only what surely stays is refused; the rest (a service that gives tokens) may be back in a moment.
fn unloaded(error: &Error) -> Trouble {
    let told = told(error);
    let cause = if causes(error).any(|cause| cause.is::<Late>()) { Cause::Late } else { Cause::Unloaded };
    let error = match stays(error) {
        Some(Refusal::Denied) => SignError::refused(
            Refusal::Denied,
            format!(
                "the Google credentials are refused: {told}: grant who asks what it lacks (to impersonate an account, \
                 roles/iam.serviceAccountTokenCreator on that account)"
            ),
        ),
        Some(kind) => SignError::refused(
            kind,
            format!(
                "the Google credentials are not taken: {told}: correct them, their file or a file that it names"
            ),
        ),
        None => SignError::unavailable(format!(
            "the Google credentials could not be had; look at what gives them (the metadata server, the token exchange, \
             the impersonated account): {told}"
        )),
    };
    Trouble { error, cause }
}

/// What an error about credentials is, if asking again changes nothing: who gives tokens has refused this one, or a file
/// is not there or holds no key. The SDK calls more than that permanent: a page of a proxy, an answer that broke off.
fn stays(error: &Error) -> Option<Refusal> {
    let known = causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    if known.is_none_or(CredentialsError::is_transient) {
        return None;
    }
    if causes(error).any(|cause| status(cause) == Some(403)) {
        return Some(Refusal::Denied);
    }
    let surely = |cause: &(dyn error::Error + 'static)| {
        let is_file = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied));
        let words = cause.to_string();
        is_file || status(cause).is_some() || words.contains(ANSWER) || of_key(&words).is_some()
    };
    causes(error).any(surely).then_some(Refusal::Configuration)
}

/// What the SDK puts before an answer or a file that it repeats.
const ANSWER: &str = "body=<";
/// What it says of a private key that it cannot use, before it may repeat it.
const KEY: [&str; 3] = ["private key", "PKCS8", "signing scheme"];

/// The HTTP status of an answer that is an error.
fn status(cause: &(dyn error::Error + 'static)) -> Option<u16> {
    if let Some(error) = cause.downcast_ref::<Error>() {
        return error.http_status_code();
    }
    // As reqwest writes it: "HTTP status client error (403 Forbidden) for url (…)".
    let words = cause.to_string();
    words.strip_prefix("HTTP status")?.split_once('(')?.1.get(..3)?.parse().ok()
}

/// An error and its causes in one line, without answers, files and keys that the SDK repeats. Of an answer that is an
/// error of Google's or of OAuth's the message is told.
pub(crate) fn told(error: &(dyn error::Error + 'static)) -> String {
    let mut line: Vec<String> = Vec::new();
    for told in causes(error).filter_map(own_words) {
        if line.last().is_none_or(|before| !before.contains(&told)) {
            line.push(told);
        }
    }
    words(&line.join(": "))
}

/// `None`: the cause only says that there is another.
fn own_words(cause: &(dyn error::Error + 'static)) -> Option<String> {
    let is_wrapper = |error: &Error| error.is_authentication();
    if let Some(error) = cause.downcast_ref::<Error>() {
        if is_wrapper(error) {
            return None;
        }
        if let Some(status) = error.http_status_code() {
            let payload = error.http_payload().map(|payload| String::from_utf8_lossy(payload));
            return Some(answered(format!("HTTP {status}"), payload.as_deref().unwrap_or_default()));
        }
    }
    let mut words = cause.to_string();
    if cause.is::<CredentialsError>() {
        let source = cause.source();
        let wraps = source.and_then(|source| source.downcast_ref::<Error>()).is_some_and(is_wrapper);
        if wraps || words.starts_with("cannot create auth headers") {
            return None;
        }
        for hope in [" and future attempts will not succeed", " but future attempts may succeed"] {
            words.truncate(words.strip_suffix(hope).map_or(words.len(), str::len));
        }
    }
    if let Some(status) = status(cause) {
        return Some(format!("HTTP {status}"));
    }
    if let Some((own, answer)) = words.split_once(ANSWER) {
        return Some(answered(own.trim_end_matches([' ', ',']).to_owned(), answer));
    }
    Some(of_key(&words).map(str::to_owned).unwrap_or(words))
}

/// What the SDK says of a private key, without the key.
fn of_key(words: &str) -> Option<&str> {
    KEY.iter().find_map(|said| words.get(..words.find(said)? + said.len()))
}

fn answered(own: String, answer: &str) -> String {
    match message(answer) {
        Some(message) => format!("{own}: {message}"),
        None => own,
    }
}

/// The message of an error of Google's (google.rpc.Status) or of OAuth's (RFC 6749, section 5.2).
fn message(answer: &str) -> Option<String> {
    let answer = serde_json::Deserializer::from_str(answer).into_iter::<Value>().next()?.ok()?;
    let told = [&answer["error"]["message"], &answer["error_description"], &answer["error"]];
    told.into_iter().find_map(Value::as_str).map(words)
}
