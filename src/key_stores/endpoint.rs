//! Where another place than a cloud's own is asked.

use hyper::Uri;
use std::net::IpAddr;

/// Checks an endpoint. What answers there says which key is which, so that nobody on the way may change it.
///
/// `filled` is `text` with what stands for something else filled in; `example` is shown to who wrote something else.
///
/// # Errors
/// The accepted form, as a clause without the value.
pub(super) fn check(text: &str, filled: &str, example: &str) -> Result<(), String> {
    let form = || format!("a URL of a host and perhaps a port and path is wanted, as {example}");
    let uri: Uri = filled.parse().map_err(|_| form())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(form()) };
    let host = authority.host();
    // A port that is none would be left out, and another asked.
    let port_is_none = authority.as_str() != host && authority.port_u16().is_none();
    if host.is_empty() || port_is_none || authority.as_str().contains('@') || text.contains(['?', '#']) {
        return Err(form());
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_this_machine(host) => Ok(()),
        "http" => Err("plain http is for this machine alone (localhost, 127.0.0.1, [::1]), where nobody else can change what the KMS says of a key: write https".into()),
        _ => Err(form()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
