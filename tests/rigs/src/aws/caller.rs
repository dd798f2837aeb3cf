//! A caller of KMS that is no SDK: for what a test wants to ask, plant or ask wrongly.

use crate::{
    RigError,
    http::{Client, Response},
};
use serde_json::Value;
use std::net::SocketAddr;

/// Somebody who asks KMS in one Region.
#[derive(Debug, Clone)]
pub struct Caller {
    address: SocketAddr,
    access_key_id: String,
    region: String,
}

impl Caller {
    pub(super) fn new(address: SocketAddr, access_key_id: &str, region: &str) -> Self {
        Self { address, access_key_id: access_key_id.to_owned(), region: region.to_owned() }
    }

    /// Somebody else.
    #[must_use]
    pub fn with_access_key_id(self, access_key_id: &str) -> Self {
        Self { access_key_id: access_key_id.to_owned(), ..self }
    }

    /// Asks for an operation (`CreateKey`) and gives KMS's answer, errors of KMS too. Blocks.
    ///
    /// # Errors
    /// No answer, or none of HTTP.
    pub fn answer(&self, operation: &str, body: &Value) -> Result<Response, RigError> {
        let Self { access_key_id, region, .. } = self;
        // The signature is none; nobody checks it.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key_id}/20260101/{region}/kms/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature={}",
            "0".repeat(64)
        );
        let target = format!("TrentService.{operation}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-target", target.as_str()),
        ];
        Client::new(self.address).request("POST", "/", &headers, body.to_string().as_bytes())
    }

    /// Asks for an operation that must succeed.
    ///
    /// # Errors
    /// It did not; the error has the answer.
    pub fn ask(&self, operation: &str, body: &Value) -> Result<Value, RigError> {
        let answer = self.answer(operation, body)?;
        match answer.status {
            200 if answer.body.is_empty() => Ok(Value::Null),
            200 => answer.json(),
            _ => Err(RigError::Refused { command: format!("{operation} {body}"), output: answer.text() }),
        }
    }

    /// The code of the error that an operation is answered with (`NotFoundException`); empty where it succeeds.
    ///
    /// # Errors
    /// No answer, or none of KMS.
    pub fn refusal(&self, operation: &str, body: &Value) -> Result<String, RigError> {
        let answer = self.answer(operation, body)?;
        match answer.status {
            200 => Ok(String::new()),
            _ => Ok(answer.json()?["__type"].as_str().unwrap_or_default().to_owned()),
        }
    }
}
