//! The service: what it knows, and how a request goes through it.

use crate::{
    accounts,
    clock::Clock,
    control,
    http::{Delivery, Reply, Request},
    iam::Policy,
    methods,
    numbers::with_numbers,
    refused::Refused,
    route::Route,
    rules::{self, End, Fate, Rules, Subject},
    store::Store,
    tamper,
};
use catalyst_rigs::gcp::{Call, Settings};
use serde_json::Value;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

/// The service.
#[derive(Debug, Default)]
pub(crate) struct Service(Mutex<State>);

/// What it knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) policy: Policy,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    pub(crate) calls: Vec<Call>,
}

impl Service {
    /// Held for a moment: keys are made and used without it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request, whoever it is from.
    pub(crate) fn answer(&self, request: &Request) -> Delivery {
        if let Some(path) = request.path.strip_prefix("/fake/") {
            let answer = control::answer(&mut self.state(), &request.method, path, &request.body);
            return Delivery::Whole(reply(answer.as_ref()));
        }
        if let Some(reply) = accounts::answer(&self.state(), request) {
            return Delivery::Whole(reply);
        }
        match Route::of(&request.method, &request.path) {
            Some(route) => self.call(&route, request),
            None => Delivery::Whole(Reply::no_such_method(&request.path)),
        }
    }

    /// One call of Google's API, with what goes wrong in it.
    fn call(&self, route: &Route, request: &Request) -> Delivery {
        let caller = accounts::caller(request);
        let (number, fate) = self.state().receive(route, caller.as_deref());
        thread::sleep(fate.slow);
        let refused = |refusal| rules::refused(refusal, route.method().permission(), &route.guarded());
        let outcome = match &fate.end {
            Some(End::Hung) => return Delivery::Never,
            Some(End::Reset) => return Delivery::Reset,
            Some(End::Page(status)) => return Delivery::Whole(Reply::page(*status)),
            Some(End::Refused(refusal)) => Err(refused(refusal)),
            _ => self.act(route, request, caller.as_deref(), &fate),
        };
        self.state().conclude(number, outcome.as_ref().err());
        let answer = outcome.map(|mut message| {
            fate.tampers.iter().for_each(|tamper| tamper::apply(tamper, &mut message));
            if request.parameter("$alt").is_some_and(|alt| alt.contains("enum-encoding=int")) {
                with_numbers(&mut message);
            }
            message
        });
        match &fate.end {
            Some(End::AnswerLost) => Delivery::Reset,
            Some(End::HungAfterwards) => Delivery::Never,
            Some(End::AnswerTruncated) => Delivery::Truncated(reply(answer.as_ref())),
            Some(End::RefusedAfterwards(refusal)) => Delivery::Whole(Reply::refused(&refused(refusal))),
            _ => Delivery::Whole(reply(answer.as_ref())),
        }
    }

    fn act(
        &self,
        route: &Route,
        request: &Request,
        caller: Option<&str>,
        fate: &Fate,
    ) -> Result<Value, Refused> {
        let permission = route.method().permission();
        self.state().policy.check(caller, permission, &route.guarded())?;
        methods::act(self, route, request, fate)
    }
}

impl State {
    /// Notes the call; gives its number, and what happens to it.
    fn receive(&mut self, route: &Route, caller: Option<&str>) -> (usize, Fate) {
        let (method, resource) = (route.method(), route.resource());
        let fate = self.rules.fate(Subject { method, resource: &resource, caller });
        self.calls.push(Call {
            method,
            resource,
            caller: caller.map(str::to_owned),
            acted: false,
            code: None,
        });
        (self.calls.len() - 1, fate)
    }

    fn conclude(&mut self, number: usize, refused: Option<&Refused>) {
        if let Some(call) = self.calls.get_mut(number) {
            call.acted = refused.is_none();
            call.code = refused.map(|refused| refused.code);
        }
    }
}

fn reply(answer: Result<&Value, &Refused>) -> Reply {
    match answer {
        Ok(message) => Reply::json(message),
        Err(refused) => Reply::refused(refused),
    }
}
