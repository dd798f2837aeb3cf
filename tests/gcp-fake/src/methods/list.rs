//! Lists: filtered, by name, in pages.

use super::filter::Filter;
use crate::{http::Request, refused::Refused};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// As many as Google gives where nothing is asked for, and at most.
const DEFAULT: usize = 100;
const MOST: usize = 1000;

/// The page that the request asks for, of these messages. `field` is what they are called.
pub(super) fn page(request: &Request, field: &str, mut messages: Vec<Value>) -> Result<Value, Refused> {
    if request.parameter("orderBy").is_some_and(|order| !order.is_empty()) {
        return Err(Refused::unimplemented("orderBy"));
    }
    let filter = Filter::parse(request.parameter("filter").unwrap_or_default())?;
    let total = messages.len();
    messages.retain(|message| filter.takes(message));
    // By name, so that version 10 comes before version 2.
    messages.sort_by_key(name);
    if let Some(last) = last_name(request)? {
        messages.retain(|message| name(message) > last);
    }
    let size = size(request)?;
    let more = messages.len() > size;
    messages.truncate(size);
    let mut page = json!({});
    if more && let Some(last) = messages.last() {
        page["nextPageToken"] = json!(BASE64_URL_SAFE_NO_PAD.encode(name(last)));
    }
    if !messages.is_empty() {
        page[field] = Value::Array(messages);
    }
    // Google leaves it out where a filter is applied.
    if filter.takes_all() && total > 0 {
        page["totalSize"] = json!(total);
    }
    Ok(page)
}

fn name(message: &Value) -> String {
    message["name"].as_str().unwrap_or_default().to_owned()
}

fn size(request: &Request) -> Result<usize, Refused> {
    match request.parameter("pageSize").filter(|size| !size.is_empty()).map(str::parse) {
        None | Some(Ok(0)) => Ok(DEFAULT),
        Some(Ok(size)) => Ok(MOST.min(size)),
        Some(Err(_)) => Err(Refused::invalid("page_size must be a number, and not negative.")),
    }
}

fn last_name(request: &Request) -> Result<Option<String>, Refused> {
    let Some(token) = request.parameter("pageToken").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let name = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|name| String::from_utf8(name).ok());
    name.map(Some).ok_or_else(|| Refused::invalid("page_token is invalid."))
}
