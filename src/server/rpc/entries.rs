//! What a client finds first: five entry points, each of which takes a credential and gives an object of methods.

use super::{
    super::{
        endpoints::{Endpoint, Target, endpoint_of_rpc},
        problem::Problem,
        routes::ANSWER_DEADLINE,
    },
    argument::Argument,
    methods::{Call, ENTRIES, Rpc},
    visit::Visit,
};
use crate::{
    access::Action,
    rpc::{Answer, Exception, Method, Object},
};
use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::timeout;

/// Whatever was asked for: what deployed clients compare with.
const NOT_PERMITTED: &str = "Permission denied: ADMIN principal required";

/// The object that every session begins with.
pub(super) fn main(visit: &Arc<Visit>) -> Object {
    let entry = |(name, methods): &(&'static str, &'static [Rpc])| {
        let entry: Arc<dyn Method> = Arc::new(Entry { visit: visit.clone(), methods });
        (*name, entry)
    };
    ENTRIES.iter().map(entry).collect()
}

/// An entry point.
struct Entry {
    visit: Arc<Visit>,
    methods: &'static [Rpc],
}

#[async_trait]
impl Method for Entry {
    async fn call(&self, arguments: Vec<Value>) -> Result<Answer, Exception> {
        let _running = self.visit.begin();
        // What else was sent is not kept while the credential is looked at.
        let credential: SecretString = match arguments.into_iter().next() {
            Some(Value::String(credential)) => credential.into(),
            _ => String::new().into(),
        };
        let entered = timeout(ANSWER_DEADLINE, self.enter(Arc::new(credential))).await;
        Ok(match entered.unwrap_or_else(|_| Err(Problem::not_in_time().sentence().to_owned())) {
            Ok(object) => Answer::Object(object),
            Err(error) => Answer::Value(json!({ "error": error })),
        })
    }
}

impl Entry {
    async fn enter(&self, credential: Arc<SecretString>) -> Result<Object, String> {
        let caller = self.visit.enter(&credential).await.map_err(|problem| problem.sentence().to_owned())?;
        let methods: Vec<_> =
            self.methods.iter().filter_map(|method| Some((method, endpoint_of_rpc(method.name)?))).collect();
        let actions: Vec<Action> =
            methods.iter().flat_map(|(_, endpoint)| asked_of(endpoint)).copied().collect();
        if !self.visit.app().access().may_any(&caller, &actions) {
            return Err(NOT_PERMITTED.to_owned());
        }
        let bound = |(method, endpoint): (&'static Rpc, &'static Endpoint)| {
            let bound: Arc<dyn Method> = Arc::new(Bound {
                visit: self.visit.clone(),
                credential: credential.clone(),
                method,
                endpoint,
            });
            (method.short_name(), bound)
        };
        Ok(methods.into_iter().map(bound).collect())
    }
}

/// What policy may be asked before the endpoint answers.
fn asked_of(endpoint: &'static Endpoint) -> &'static [Action] {
    match endpoint.target {
        Target::Named => Action::ALL,
        _ => endpoint.action.as_slice(),
    }
}

/// A method of the object that a credential was given. Every call is looked at anew.
struct Bound {
    visit: Arc<Visit>,
    /// One for all methods of the object, of which a session may have thousands.
    credential: Arc<SecretString>,
    method: &'static Rpc,
    endpoint: &'static Endpoint,
}

#[async_trait]
impl Method for Bound {
    async fn call(&self, arguments: Vec<Value>) -> Result<Answer, Exception> {
        let _running = self.visit.begin();
        let answered = timeout(ANSWER_DEADLINE, self.answer(arguments)).await;
        match answered.unwrap_or_else(|_| Err(Problem::not_in_time())) {
            Ok(answer) => Ok(Answer::Value(self.method.failure.none(answer))),
            Err(problem) => self.method.failure.of(&problem),
        }
    }

    fn is_large(&self) -> bool {
        self.method.is_list
    }
}

impl Bound {
    async fn answer(&self, arguments: Vec<Value>) -> Result<Value, Problem> {
        let asker = self.visit.admit(&self.credential, self.endpoint).await?;
        let argument = Argument::new(arguments)?;
        let _place = if self.method.is_list { Some(self.visit.app().lists().begin().await?) } else { None };
        let call = Call { app: self.visit.app().clone(), asker: asker.clone(), argument };
        let answered = (self.method.run)(call).await;
        if let Err(problem) = &answered
            && problem.code() == "identity_denied"
            && asker.caller().facts.spiffe_id.is_some()
        {
            self.visit.is_denied();
        }
        let answer = answered?;
        asker.was_decided()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
