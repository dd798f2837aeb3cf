//! What a request changes: how long its answer may take, and which command looks where no answer came.

use super::ClientError;
use hyper::Method;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
/// Longer than the service gives itself: an HSM makes RSA keys for minutes.
const CEREMONY: Duration = Duration::from_secs(310);

/// How long the answer may take.
pub(super) fn patience(method: &Method, path: &str) -> Duration {
    let is_slow = matches!(path, "/pki/initialize" | "/pki/intermediary" | "/auth/keys/rotate")
        || path.starts_with("/pki/ca/");
    if method != Method::GET && is_slow { CEREMONY } else { DEADLINE }
}

/// Adds to an error that came after sending that the request may have done its work, and where to look.
pub(super) fn perhaps_done(error: ClientError, method: &Method, path: &str) -> ClientError {
    let Some(command) = command_that_looks(method, path) else { return error };
    let look = format!("see with '{command}' whether it was done before asking again");
    let hint = error.hint.map_or_else(|| look.clone(), |hint| format!("{look}; {hint}"));
    let message = format!("{}; what was asked may have been done all the same", error.message);
    ClientError { kind: error.kind, message, hint: Some(hint) }
}

/// `None` where nothing is changed.
fn command_that_looks(method: &Method, path: &str) -> Option<&'static str> {
    if method == Method::GET || matches!(path, "/auth/tokens/verify" | "/auth/authorize") {
        return None;
    }
    let commands = [
        ("/auth/tokens", "catalyst auth token list"),
        ("/auth/keys", "catalyst auth key list"),
        ("/pki/initialize", "catalyst pki status"),
        ("/pki/recovery", "catalyst pki status"),
        ("/pki/intermediary", "catalyst pki ca list"),
        ("/pki/ca/", "catalyst pki ca list"),
        ("/pki/csr", "catalyst pki cert list"),
        ("/pki/keypair", "catalyst pki cert list"),
        ("/pki/certificates", "catalyst pki cert list"),
        ("/pki/identities/deny", "catalyst pki identity list-denied"),
        ("/pki/identities/allow", "catalyst pki identity list-denied"),
    ];
    let known = commands.into_iter().find(|(prefix, _)| path.starts_with(prefix));
    Some(known.map_or("catalyst pki audit", |(_, command)| command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_something_is_looked_for() {
        let looks = |method, path| command_that_looks(&method, path);
        assert_eq!(looks(Method::GET, "/pki/ca"), None);
        assert_eq!(looks(Method::POST, "/auth/tokens/verify"), None);
        assert_eq!(looks(Method::POST, "/auth/tokens/revoke"), Some("catalyst auth token list"));
        assert_eq!(looks(Method::POST, "/pki/ca/00/retire"), Some("catalyst pki ca list"));
        assert_eq!(looks(Method::POST, "/pki/certificates/purge"), Some("catalyst pki cert list"));
        assert_eq!(looks(Method::POST, "/pki/identities/release"), Some("catalyst pki audit"));
        assert!(patience(&Method::POST, "/pki/intermediary") > patience(&Method::GET, "/pki/ca"));
    }
}
