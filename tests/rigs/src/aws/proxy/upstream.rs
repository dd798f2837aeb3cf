//! LocalStack, as the proxy asks it.

use super::{
    answer::Answer,
    request::{Request, bare},
};
use crate::aws::LocalStack;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, StatusCode, Uri,
    body::Bytes,
    header::{CONTENT_LENGTH, HOST, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// What never changes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) arn: String,
    pub(super) id: String,
    /// LocalStack's; a key of the proxy's own has another.
    pub(super) key_spec: String,
    pub(super) multi_region: bool,
}

/// LocalStack, asked in one account whoever the caller is.
#[derive(Debug)]
pub(super) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    account: String,
    known: Mutex<HashMap<(String, String), Facts>>,
}

impl Upstream {
    pub(super) fn new(localstack: &LocalStack) -> Option<Self> {
        Some(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            uri: format!("{}/", localstack.endpoint()).parse().ok()?,
            account: localstack.account().to_owned(),
            known: Mutex::default(),
        })
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// LocalStack's own answer.
    pub(super) async fn ask(&self, request: &Request) -> Answer {
        self.try_ask(&request.by(&self.account)).await.unwrap_or_else(|why| Answer {
            status: StatusCode::BAD_GATEWAY,
            ..Answer::error("LocalStackAway", why)
        })
    }

    async fn try_ask(&self, request: &Request) -> Result<Answer, String> {
        let mut forwarded = hyper::Request::new(Full::new(Bytes::from(request.body.to_string())));
        *forwarded.method_mut() = Method::POST;
        *forwarded.uri_mut() = self.uri.clone();
        *forwarded.headers_mut() = request.headers.clone();
        forwarded.headers_mut().remove(CONTENT_LENGTH);
        if let Ok(host) = HeaderValue::from_str(self.uri.authority().map_or("", |host| host.as_str())) {
            forwarded.headers_mut().insert(HOST, host);
        }
        let response = self.client.request(forwarded).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = match body.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(&body).map_err(|error| error.to_string())?,
        };
        Ok(Answer { status, headers: Vec::new(), body })
    }

    /// The key that this request names; `None`: there is none, which LocalStack will say better.
    pub(super) async fn facts(&self, request: &Request, named: &str) -> Option<Facts> {
        // An alias may point elsewhere by now.
        let place =
            (!named.contains("alias/")).then(|| (request.region().to_owned(), bare(named).to_owned()));
        let known = |place| self.known.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned();
        if let Some(facts) = place.as_ref().and_then(known) {
            return Some(facts);
        }
        let answer = self.ask(&request.instead("DescribeKey", json!({"KeyId": named}))).await;
        let metadata = answer.body.get("KeyMetadata")?;
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        let facts = Facts {
            arn: text("Arn")?,
            id: text("KeyId")?,
            key_spec: text("KeySpec")?,
            multi_region: metadata.get("MultiRegion") == Some(&Value::Bool(true)),
        };
        let place = (request.region().to_owned(), facts.id.clone());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(place, facts.clone());
        Some(facts)
    }

    /// The tags of a key.
    pub(super) async fn tags(&self, request: &Request, arn: &str) -> Vec<(String, String)> {
        let answer = self.ask(&request.instead("ListResourceTags", json!({"KeyId": arn}))).await;
        tags(&answer.body)
    }
}

/// The tags in a request or an answer.
pub(super) fn tags(body: &Value) -> Vec<(String, String)> {
    let pair = |tag: &Value| Some((tag["TagKey"].as_str()?.to_owned(), tag["TagValue"].as_str()?.to_owned()));
    body["Tags"].as_array().into_iter().flatten().filter_map(pair).collect()
}
