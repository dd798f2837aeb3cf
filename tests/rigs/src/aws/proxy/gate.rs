//! Who may do what, where a test gives callers policies.

use super::{
    answer::Answer,
    faults::{self, Denial},
    policy::{Policy, Question, Verdict},
    request::Request,
    upstream::{Facts, Upstream, tags},
};
use std::collections::BTreeMap;

/// The condition keys that have a value here, but for tags.
pub(super) const KEYS: &[&str] = &[
    "aws:RequestedRegion",
    "aws:TagKeys",
    "kms:KeyOrigin",
    "kms:KeySpec",
    "kms:KeyUsage",
    "kms:MessageType",
    "kms:MultiRegion",
    "kms:ReplicaRegion",
    "kms:RequestAlias",
    "kms:ScheduleKeyDeletionPendingWindowInDays",
    "kms:SigningAlgorithm",
];

/// Lets a request pass that the caller's policy allows.
///
/// # Errors
/// AccessDeniedException, as AWS words it.
pub(super) async fn pass(
    policy: &Policy,
    upstream: &Upstream,
    request: &Request,
    key: Option<&Facts>,
    key_spec: Option<&str>,
) -> Result<(), Answer> {
    let context = context(upstream, request, key, key_spec).await;
    for (operation, resource) in needed(upstream, request, key) {
        let action = format!("kms:{operation}");
        let verdict = policy.judge(&Question { action, resource: &resource, context: &context });
        let why = match verdict {
            Verdict::Allowed => continue,
            Verdict::Silent => Denial::NotByIdentity,
            Verdict::Denied => Denial::Explicit,
        };
        let asked = Request { operation: operation.to_owned(), ..request.clone() };
        return Err(faults::denied(&asked, &resource, why));
    }
    Ok(())
}

/// The permissions that a request needs, and on what.
fn needed<'r>(upstream: &Upstream, request: &'r Request, key: Option<&Facts>) -> Vec<(&'r str, String)> {
    let operation = request.operation.as_str();
    let anything = || "*".to_owned();
    let key = || key.map_or_else(|| request.named().unwrap_or("*").to_owned(), |key| key.arn.clone());
    let alias = || {
        let name = request.text("AliasName").unwrap_or_default();
        match name.starts_with("arn:") {
            true => name.to_owned(),
            false => format!("arn:aws:kms:{}:{}:{name}", request.region(), upstream.account()),
        }
    };
    let tagged = request.body.get("Tags").is_some();
    let mut needed = match operation {
        "CreateKey" => vec![(operation, anything())],
        "ListKeys" | "ListAliases" => vec![(operation, anything())],
        "CreateAlias" | "UpdateAlias" => vec![(operation, alias()), (operation, key())],
        "DeleteAlias" => vec![(operation, alias())],
        // In the replica's Region CreateKey is needed as well.
        "ReplicateKey" => vec![(operation, key()), ("CreateKey", anything())],
        _ => vec![(operation, key())],
    };
    if tagged && matches!(operation, "CreateKey" | "ReplicateKey") {
        // Asked of a key that has no id yet.
        let account = upstream.account();
        needed.push(("TagResource", format!("arn:aws:kms:{}:{account}:key/new", request.region())));
    }
    needed
}

async fn context(
    upstream: &Upstream,
    request: &Request,
    key: Option<&Facts>,
    key_spec: Option<&str>,
) -> BTreeMap<String, Vec<String>> {
    let mut context = BTreeMap::new();
    let mut put = |name: &str, values: Vec<String>| context.insert(name.to_owned(), values);
    put("aws:RequestedRegion", vec![request.region().to_owned()]);
    for (name, field) in [
        ("kms:SigningAlgorithm", "SigningAlgorithm"),
        ("kms:MessageType", "MessageType"),
        ("kms:KeySpec", "KeySpec"),
        ("kms:KeyUsage", "KeyUsage"),
        ("kms:KeyOrigin", "Origin"),
        ("kms:ReplicaRegion", "ReplicaRegion"),
        ("kms:RequestAlias", "KeyId"),
    ] {
        let value =
            request.text(field).filter(|value| name != "kms:RequestAlias" || value.contains("alias/"));
        if let Some(value) = value {
            put(name, vec![value.to_owned()]);
        }
    }
    if let Some(days) = request.body.get("PendingWindowInDays") {
        put("kms:ScheduleKeyDeletionPendingWindowInDays", vec![days.to_string()]);
    }
    let asked = tags(&request.body);
    if !asked.is_empty() {
        put("aws:TagKeys", asked.iter().map(|(name, _)| name.clone()).collect());
    }
    for (name, value) in asked {
        put(&format!("aws:RequestTag/{name}"), vec![value]);
    }
    match key {
        Some(key) => {
            put("kms:MultiRegion", vec![key.multi_region.to_string()]);
            put("kms:KeySpec", vec![key_spec.unwrap_or(&key.key_spec).to_owned()]);
            for (name, value) in upstream.tags(request, &key.arn).await {
                put(&format!("aws:ResourceTag/{name}"), vec![value]);
            }
        }
        None if request.operation == "CreateKey" => {
            let multi_region = request.body.get("MultiRegion").is_some_and(|value| value == true);
            put("kms:MultiRegion", vec![multi_region.to_string()]);
        }
        None => {}
    }
    context
}
