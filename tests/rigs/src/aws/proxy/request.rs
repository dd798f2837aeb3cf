//! One request as the proxy reads it: awsJson1.1, signed with SigV4.

use hyper::{
    HeaderMap,
    body::Bytes,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::Value;

const SERVICE: &str = "TrentService.";

/// A request to KMS.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// As IAM names it, without `kms:`; empty where `X-Amz-Target` names none of KMS.
    pub(super) operation: String,
    pub(super) scope: Option<Scope>,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// What a SigV4 signature is for: `<access key id>/<date>/<region>/<service>/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) access_key_id: String,
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    fn read(authorization: &str) -> Option<Self> {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name));
        let signature = field("Signature=")?;
        if signature.len() != 64 || !signature.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        field("SignedHeaders=").filter(|names| names.split(';').any(|name| name == "x-amz-target"))?;
        let parts: Vec<&str> = field("Credential=")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = parts[..] else { return None };
        let [access_key_id, date, region, service] =
            [access_key_id, date, region, service].map(str::to_owned);
        Some(Self { access_key_id, date, region, service })
    }

    fn credential(&self) -> String {
        let Self { access_key_id, date, region, service } = self;
        format!("{access_key_id}/{date}/{region}/{service}/")
    }
}

impl Request {
    /// What an SDK sent.
    pub(super) fn read(headers: HeaderMap, body: &Bytes) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let operation = text("x-amz-target").strip_prefix(SERVICE).unwrap_or_default().to_owned();
        let scope = Scope::read(text(AUTHORIZATION.as_str()));
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self { operation, scope, headers, body }
    }

    pub(super) fn region(&self) -> &str {
        self.scope.as_ref().map_or("", |scope| &scope.region)
    }

    pub(super) fn access_key_id(&self) -> &str {
        self.scope.as_ref().map_or("", |scope| &scope.access_key_id)
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field)?.as_str()
    }

    /// The key or alias that it names, as it is written.
    pub(super) fn named(&self) -> Option<&str> {
        self.text("KeyId").or_else(|| self.text("TargetKeyId"))
    }

    /// Another request of the same caller.
    pub(super) fn instead(&self, operation: &str, body: Value) -> Self {
        let mut headers = self.headers.clone();
        if let Ok(target) = HeaderValue::from_str(&format!("{SERVICE}{operation}")) {
            headers.insert("x-amz-target", target);
        }
        Self { operation: operation.to_owned(), headers, body, scope: self.scope.clone() }
    }

    /// The same request to another Region.
    pub(super) fn elsewhere(&self, region: &str) -> Self {
        self.scoped(|scope| region.clone_into(&mut scope.region))
    }

    /// The same request by another caller.
    pub(super) fn by(&self, access_key_id: &str) -> Self {
        self.scoped(|scope| access_key_id.clone_into(&mut scope.access_key_id))
    }

    /// With another scope; the signature is none any more, which LocalStack does not mind.
    fn scoped(&self, change: impl FnOnce(&mut Scope)) -> Self {
        let mut other = self.clone();
        let Some(scope) = &mut other.scope else { return other };
        let before = scope.credential();
        change(scope);
        let written =
            self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Ok(value) = HeaderValue::from_str(&written.replace(&before, &scope.credential())) {
            other.headers.insert(AUTHORIZATION, value);
        }
        other
    }
}

/// What stands after `key/` in an ARN; anything else as it is written.
pub(super) fn bare(named: &str) -> &str {
    named.rsplit_once(":key/").map_or(named, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn signed() -> Request {
        let mut headers = HeaderMap::new();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/kms/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature={}",
            "a1".repeat(32)
        );
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        headers.insert("x-amz-target", "TrentService.Sign".parse().unwrap());
        Request::read(headers, &Bytes::from_static(br#"{"KeyId":"arn:aws:kms:eu-west-1:1:key/k"}"#))
    }

    #[test]
    fn operation_caller_and_region_are_read() {
        let request = signed();
        assert_eq!((request.operation.as_str(), request.region()), ("Sign", "eu-west-1"));
        assert_eq!((request.access_key_id(), request.named().map(bare)), ("AKID", Some("k")));
        let other = request.instead("DescribeKey", json!({})).elsewhere("us-east-1").by("111122223333");
        let read = Request::read(other.headers, &Bytes::from_static(b"{}"));
        assert_eq!((read.operation.as_str(), read.region()), ("DescribeKey", "us-east-1"));
        assert_eq!(read.access_key_id(), "111122223333");
    }

    #[test]
    fn a_signature_that_covers_no_target_is_none() {
        assert_eq!(Scope::read("Bearer x"), None);
        assert_eq!(
            Scope::read(
                "AWS4-HMAC-SHA256 Credential=A/1/r/kms/aws4_request, SignedHeaders=x-amz-target, Signature=00"
            ),
            None
        );
    }
}
