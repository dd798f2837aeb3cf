//! What the proxy does with one request.

use super::{
    Call, Fault, Foreign, LocalStack, Policy, RigError, Rules,
    answer::{self, Answer, Body},
    emulated::{Emulated, Signer},
    faults, gate,
    hidden::Hidden,
    locked,
    pairs::Pair,
    replicas,
    request::{Request, bare},
    strict,
    upstream::{Facts, Upstream},
};
use hyper::{HeaderMap, Response, StatusCode, body::Bytes};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::watch;

/// Where keys are made that answer in another's stead: nobody lists keys there.
const ASIDE: &str = "me-central-1";

/// The state of the proxy.
#[derive(Debug)]
pub(super) struct Service {
    upstream: Upstream,
    emulated: Emulated,
    /// A key of each kind to answer in another's stead.
    strangers: tokio::sync::Mutex<HashMap<String, String>>,
    pub(super) calls: Mutex<Vec<Call>>,
    pub(super) arrivals: watch::Sender<()>,
    /// How many answers hang.
    pub(super) withheld: AtomicUsize,
    pub(super) rules: Mutex<Rules>,
    pub(super) hidden: Mutex<Hidden>,
    pub(super) policies: Mutex<HashMap<String, Arc<Policy>>>,
    pub(super) signs_alone: AtomicBool,
}

/// What becomes of a request.
pub(super) enum Outcome {
    Answer(Response<Body>),
    Reset,
}

impl Service {
    pub(super) fn new(localstack: &LocalStack) -> Result<Self, RigError> {
        let upstream = Upstream::new(localstack)
            .ok_or_else(|| RigError::Output(format!("no address: {}", localstack.endpoint())))?;
        Ok(Self {
            upstream,
            emulated: Emulated::default(),
            strangers: tokio::sync::Mutex::default(),
            calls: Mutex::default(),
            arrivals: watch::Sender::default(),
            withheld: AtomicUsize::default(),
            rules: Mutex::default(),
            hidden: Mutex::default(),
            policies: Mutex::default(),
            signs_alone: AtomicBool::default(),
        })
    }

    pub(super) async fn answer(&self, headers: HeaderMap, body: &Bytes) -> Outcome {
        let request = Request::read(headers, body);
        self.record(&request);
        let faults = locked(&self.rules).strike(&request);
        for fault in &faults {
            if let Fault::Slow(delay) = fault {
                tokio::time::sleep(*delay).await;
            }
        }
        for fault in &faults {
            match fault {
                Fault::Hangs => future::pending().await,
                Fault::Reset => return Outcome::Reset,
                Fault::Unavailable => {
                    return Outcome::Answer(answer::nothing(StatusCode::SERVICE_UNAVAILABLE));
                }
                Fault::Page => return Outcome::Answer(answer::page()),
                other => {
                    if let Some(answer) = faults::instead(other, &request) {
                        return Outcome::Answer(answer.send());
                    }
                }
            }
        }
        let mut answer = self.of_kms(&request, &faults).await.unwrap_or_else(|refused| refused);
        for fault in &faults {
            faults::change(fault, &mut answer.body);
        }
        let unsent =
            |fault: &&Fault| matches!(fault, Fault::AnswerLost | Fault::AnswerHangs | Fault::Truncated);
        match faults.iter().find(unsent) {
            Some(Fault::AnswerLost) => Outcome::Reset,
            Some(Fault::AnswerHangs) => {
                self.withheld.fetch_add(1, Ordering::Relaxed);
                future::pending().await
            }
            Some(_) => Outcome::Answer(answer.send_half()),
            None => Outcome::Answer(answer.send()),
        }
    }

    fn record(&self, request: &Request) {
        locked(&self.calls).push(Call {
            operation: request.operation.clone(),
            region: request.region().to_owned(),
            access_key_id: request.access_key_id().to_owned(),
            key: request.named().map(bare).map(str::to_owned),
            message_type: request.text("MessageType").map(str::to_owned),
        });
        self.arrivals.send_replace(());
    }

    /// What KMS would answer, refusals as errors.
    async fn of_kms(&self, request: &Request, faults: &[Fault]) -> Result<Answer, Answer> {
        let scope = strict::addressed(request)?;
        strict::region(request)?;
        strict::key_policy(request)?;
        let key = match request.named() {
            Some(named) => self.upstream.facts(request, named).await,
            None => None,
        };
        let pair = key.as_ref().and_then(|key| self.emulated.pair(&key.id));
        let key_spec = match &pair {
            Some(pair) => Some(pair.key_spec()),
            None => key.as_ref().map(|key| key.key_spec.as_str()),
        };
        let policy = locked(&self.policies).get(&scope.access_key_id).cloned();
        if let Some(policy) = policy {
            gate::pass(&policy, &self.upstream, request, key.as_ref(), key_spec).await?;
        }
        let id = key.as_ref().map(|key| key.id.as_str());
        if locked(&self.hidden).hides(request, id) {
            return Err(Answer::not_found(request.named().unwrap_or_default()));
        }
        let mut answer = match (request.operation.as_str(), &key, key_spec) {
            ("CreateKey", ..) => self.create(request).await,
            ("Sign", Some(key), Some(key_spec)) => {
                let message = strict::signing(request, key_spec)?;
                self.sign(request, key, pair.as_deref(), &message).await
            }
            _ => self.upstream.ask(request).await,
        };
        if answer.is_ok() && key.as_ref().is_some_and(|key| key.multi_region) {
            replicas::mend(&self.upstream, request, &mut answer).await;
        }
        self.emulated.rewrite(&mut answer.body);
        locked(&self.hidden).thin(&request.operation, &mut answer.body);
        if let (Some(key), Some(key_spec)) = (&key, key_spec) {
            for fault in faults {
                if let Fault::OfAnotherKey(foreign) = fault {
                    self.confuse(request, key, key_spec, *foreign, &mut answer).await;
                }
            }
        }
        Ok(answer)
    }

    async fn make(&self, request: &Request) -> Answer {
        let alone = self.signs_alone.load(Ordering::Relaxed);
        match self.emulated.create(&self.upstream, request, alone).await {
            Some(answer) => answer,
            None => self.upstream.ask(request).await,
        }
    }

    async fn create(&self, request: &Request) -> Answer {
        let answer = self.make(request).await;
        if let Some(id) = answer.body["KeyMetadata"]["KeyId"].as_str() {
            locked(&self.hidden).made(id);
        }
        answer
    }

    async fn sign(&self, request: &Request, key: &Facts, pair: Option<&Pair>, message: &[u8]) -> Answer {
        match pair {
            Some(pair) => {
                let asks = !self.signs_alone.load(Ordering::Relaxed);
                let signer = Signer { pair, arn: &key.arn, message, asks };
                self.emulated.sign(&self.upstream, request, signer).await
            }
            None => self.upstream.ask(request).await,
        }
    }

    /// Gives the answer of another key of the same kind.
    async fn confuse(
        &self,
        request: &Request,
        key: &Facts,
        key_spec: &str,
        foreign: Foreign,
        answer: &mut Answer,
    ) {
        if !answer.is_ok() || !matches!(request.operation.as_str(), "Sign" | "GetPublicKey") {
            return;
        }
        // By somebody without a policy.
        let mut other = request.elsewhere(ASIDE).by("stranger");
        other.body["KeyId"] = json!(self.stranger(&other, key_spec).await);
        // Boxed, for it is of_kms that asked.
        let given = Box::pin(self.of_kms(&other, &[])).await.unwrap_or_else(|refused| refused);
        *answer = given;
        let arn = match foreign {
            Foreign::Concealed => key.arn.clone(),
            Foreign::Admitted => {
                answer.body["KeyId"].as_str().unwrap_or_default().replace(ASIDE, request.region())
            }
        };
        answer.body["KeyId"] = json!(arn);
    }

    async fn stranger(&self, request: &Request, key_spec: &str) -> String {
        let mut strangers = self.strangers.lock().await;
        if let Some(id) = strangers.get(key_spec) {
            return id.clone();
        }
        let body: Value = json!({"KeySpec": key_spec, "KeyUsage": "SIGN_VERIFY"});
        let made = self.make(&request.instead("CreateKey", body)).await;
        let id = made.body["KeyMetadata"]["KeyId"].as_str().unwrap_or_default().to_owned();
        strangers.insert(key_spec.to_owned(), id.clone());
        id
    }
}
