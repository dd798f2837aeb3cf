//! A session, without the wire: it takes messages, runs what they ask, and says what is to be answered.

use super::{
    Answer, Exception, Limits, Method, Object,
    held::{Held, Outcome, failure},
    message::{Message, Operation, Push},
    path::Path,
    table::{Place, Table},
    term::{Filling, Term},
    wire::{self, Expression},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
};

/// One client's session.
pub(super) struct Session {
    table: Table,
    limits: Limits,
    /// Calls whose target, or arguments, are answers that have not come.
    waiting: HashMap<i64, Work>,
    /// Calls that may run when another has ended.
    ready: VecDeque<Call>,
    running: FuturesUnordered<BoxFuture<'static, (i64, Result<Answer, Exception>)>>,
    /// What is to be sent, oldest first. Answers are written when they are sent, so that they take no room here.
    due: VecDeque<Due>,
}

/// Why a session takes no more messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client has ended it.
    Client,
    /// The client broke the protocol.
    Broken(Exception),
}

enum Due {
    Answer(i64, Outcome),
    /// Of an object of the client's: nothing here takes one.
    Release(i64, u64),
}

/// An operation whose answers come in.
struct Work {
    path: Path,
    arguments: Option<Vec<Term>>,
    /// The target, then what belongs in the arguments, each with its path.
    answers: Vec<(Path, Option<Outcome>)>,
    missing: usize,
}

struct Call {
    id: i64,
    method: Arc<dyn Method>,
    arguments: Vec<Value>,
}

/// What an operation comes to when all that it needs is there.
enum Next {
    Settled(Outcome),
    Call(Arc<dyn Method>, Vec<Value>),
}

impl Session {
    pub(super) fn new(main: Object, limits: &Limits) -> Self {
        Self {
            table: Table::new(main, limits),
            limits: *limits,
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            running: FuturesUnordered::new(),
            due: VecDeque::new(),
        }
    }

    /// Whether there is room for what one more message may ask.
    pub(super) fn has_room(&self) -> bool {
        self.ready.is_empty() && self.running.len() < self.limits.running.max(1) && self.table.has_room()
    }

    /// Whether no call has answered an object yet.
    pub(super) fn is_first(&self) -> bool {
        self.table.is_first()
    }

    /// Whether a call runs.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Takes a message.
    ///
    /// # Errors
    /// The session is over.
    pub(super) fn take(&mut self, message: &str) -> Result<(), End> {
        let message = Message::read(message, &self.limits).map_err(End::Broken)?;
        let done = match message {
            Message::Push(push) => self.push(push, false),
            Message::Stream(push) => self.push(push, true),
            Message::Pipe => {
                let id = self.table.open(0, false, false);
                self.settle(id, Err(failure(Exception::error("This service takes no streams."))));
                Ok(())
            }
            Message::Pull(id) => self.table.pull(id).map(|outcome| {
                self.due.extend(outcome.map(|outcome| Due::Answer(id, outcome)));
            }),
            Message::Release { id, count } => self.table.release(id, count),
            Message::Answered(stubs) => {
                self.due.extend(stubs.into_iter().map(|(id, count)| Due::Release(id, count)));
                Ok(())
            }
            Message::Abort => return Err(End::Client),
        };
        done.map_err(End::Broken)
    }

    /// Runs until a call has ended; at once when none runs. Dropping the future loses nothing.
    pub(super) async fn run(&mut self) {
        if let Some((id, answer)) = self.running.next().await {
            if matches!(answer, Ok(Answer::Object(_))) {
                self.table.has_given();
            }
            let outcome = answer.map(|answer| Held::new(answer, &self.table.meter)).map_err(failure);
            self.settle(id, outcome);
        }
    }

    /// The next message that is to be sent. Data that makes it longer than `most` octets is refused.
    pub(super) fn answer(&mut self, most: usize) -> Option<String> {
        Some(match self.due.pop_front()? {
            Due::Release(id, count) => wire::release(id, count),
            Due::Answer(id, Err(exception)) => wire::reject(id, &exception),
            Due::Answer(id, Ok(Held::Nothing)) => wire::resolve(id, &Expression::Undefined),
            Due::Answer(id, Ok(Held::Data(data))) => {
                let answer = wire::resolve(id, &data.value().map_or(Expression::Undefined, Expression::Data));
                if answer.len() <= most { answer } else { wire::reject(id, &too_large()) }
            }
            Due::Answer(id, Ok(Held::Method(method))) => {
                wire::resolve(id, &Expression::Method(self.table.export(&method)))
            }
            Due::Answer(id, Ok(Held::Object(object))) => {
                let methods = object.iter().map(|(name, method)| (*name, self.table.export(method)));
                wire::resolve(id, &Expression::Methods(&methods.collect::<Vec<_>>()))
            }
        })
    }

    fn push(&mut self, push: Push, streamed: bool) -> Result<(), Exception> {
        let id = self.table.open(push.weight, streamed, streamed);
        self.due.extend(push.stubs.into_iter().map(|(id, count)| Due::Release(id, count)));
        match push.operation {
            Err(exception) => self.settle(id, Err(failure(exception))),
            Ok(operation) => {
                let work = self.work(id, operation)?;
                if work.missing == 0 {
                    self.go_on(id, work);
                } else {
                    self.waiting.insert(id, work);
                }
            }
        }
        Ok(())
    }

    /// Looks up what an operation refers to.
    fn work(&mut self, id: i64, operation: Operation) -> Result<Work, Exception> {
        let holes = operation.holes.into_iter().map(|hole| (hole.id, hole.path));
        let mut missing = 0;
        let mut answers = Vec::with_capacity(1 + holes.len());
        for (answer, (target, path)) in
            std::iter::once((operation.target, Path::default())).chain(holes).enumerate()
        {
            if target == id {
                return Err(Exception::error(format!("no such entry on exports table: {id}")));
            }
            let outcome = self.table.refer(target, Place { call: id, answer })?;
            missing += usize::from(outcome.is_none());
            answers.push((path, outcome));
        }
        Ok(Work { path: operation.path, arguments: operation.arguments, answers, missing })
    }

    fn go_on(&mut self, id: i64, work: Work) {
        match work.next(&self.limits) {
            Next::Settled(outcome) => self.settle(id, outcome),
            Next::Call(method, arguments) => {
                self.ready.push_back(Call { id, method, arguments });
                self.start();
            }
        }
    }

    fn start(&mut self) {
        while self.running.len() < self.limits.running.max(1) {
            let Some(call) = self.ready.pop_front() else { return };
            self.running.push(call.run().boxed());
        }
    }

    /// A call has ended, and with it what only waited to read from its answer.
    fn settle(&mut self, id: i64, outcome: Outcome) {
        let mut settled = VecDeque::from([(id, outcome)]);
        while let Some((id, outcome)) = settled.pop_front() {
            let due = self.table.settle(id, outcome.clone());
            if due.pulled {
                self.due.push_back(Due::Answer(id, outcome.clone()));
            }
            for place in due.waiting {
                let Some(work) = self.waiting.get_mut(&place.call) else { continue };
                if !work.put(place.answer, &outcome) {
                    continue;
                }
                let Some(work) = self.waiting.remove(&place.call) else { continue };
                match work.next(&self.limits) {
                    Next::Settled(outcome) => settled.push_back((place.call, outcome)),
                    Next::Call(method, arguments) => {
                        self.ready.push_back(Call { id: place.call, method, arguments });
                    }
                }
            }
        }
        self.start();
    }
}

impl Work {
    /// Puts an answer in its place; whether it was the last that was missing.
    fn put(&mut self, answer: usize, outcome: &Outcome) -> bool {
        if let Some((_, place)) = self.answers.get_mut(answer) {
            *place = Some(outcome.clone());
            self.missing -= 1;
        }
        self.missing == 0
    }

    fn next(self, limits: &Limits) -> Next {
        self.done(limits).unwrap_or_else(|exception| Next::Settled(Err(exception)))
    }

    fn done(self, limits: &Limits) -> Result<Next, Arc<Exception>> {
        let mut answers = self.answers.into_iter().filter_map(|(path, outcome)| Some((path, outcome?)));
        let Some((_, target)) = answers.next() else { return Ok(Next::Settled(Ok(Held::Nothing))) };
        let target = target?;
        if let (Held::Method(_), None, true) = (&target, &self.arguments, self.path.is_empty()) {
            return Err(failure(Exception::error("Can't dup an RpcTarget stub as a promise.")));
        }
        let target = target.follow(&self.path)?;
        let Some(arguments) = self.arguments else { return Ok(Next::Settled(Ok(target))) };
        let Held::Method(method) = target else {
            let message = format!("'{}' is not a function.", self.path.joined());
            return Err(failure(Exception::type_error(message)));
        };
        let answers = answers.map(|(path, outcome)| outcome.and_then(|held| held.follow(&path)));
        let answers = answers.collect::<Vec<_>>();
        let mut filling = Filling { answers: &answers, octets: limits.message, depth: limits.depth };
        filling.arguments(arguments).map(|arguments| Next::Call(method, arguments)).map_err(failure)
    }
}

impl Call {
    /// A method that panics has failed, and the session goes on. The panic itself is in the log.
    async fn run(self) -> (i64, Result<Answer, Exception>) {
        let Self { id, method, arguments } = self;
        let answer = AssertUnwindSafe(async move { method.call(arguments).await }).catch_unwind().await;
        let failed = |_| Err(Exception::error("The service failed at this call; its log says more."));
        (id, answer.unwrap_or_else(failed))
    }
}

fn too_large() -> Exception {
    Exception {
        name: "RangeError",
        message: "The answers of this batch are too large: ask in several.".into(),
    }
}

#[cfg(test)]
impl Session {
    pub(super) fn entries(&self) -> usize {
        self.table.len()
    }

    pub(super) fn kept(&self) -> usize {
        self.table.kept()
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }
}
