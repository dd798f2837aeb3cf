//! A session, without the wire: it takes messages, runs what they ask, and says what is to be answered.

use super::{
    Answer, Exception, Limits, Object, Total,
    held::{Held, Outcome, failure},
    message::{Message, Operation, Push},
    meter::Weight,
    path::Path,
    table::{Place, Table, weight_of},
    wire::{self, Expression},
    work::{Call, Next, Work},
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::collections::{HashMap, VecDeque};

/// One client's session.
pub(super) struct Session {
    table: Table,
    limits: Limits,
    /// Calls whose target, or arguments, are answers that have not come.
    waiting: HashMap<i64, Work>,
    /// Calls that wait until others have ended, and until there is room for what they answer.
    ready: VecDeque<(i64, Call)>,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// One of them may have a large answer.
    runs_large: bool,
    /// What is to be sent, oldest first. Answers are written when they are sent.
    due: VecDeque<Due>,
    /// What was given last to be sent.
    sending: Option<Weight>,
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
    Answer {
        id: i64,
        outcome: Outcome,
        _weight: Weight,
    },
    /// Of an object of the client's: nothing here takes one.
    Release(i64, u64),
}

/// A call that has ended.
struct Ended {
    id: i64,
    answer: Result<Answer, Exception>,
    was_large: bool,
}

impl Session {
    pub(super) fn new(main: Object, limits: &Limits, total: &Total) -> Self {
        Self {
            table: Table::new(main, limits, total),
            limits: *limits,
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            running: FuturesUnordered::new(),
            runs_large: false,
            due: VecDeque::new(),
            sending: None,
        }
    }

    /// Whether there is room for what one more message may ask. Calls that may not run yet are read, for the pulls that
    /// make room for their answers come behind them.
    pub(super) fn has_room(&self) -> bool {
        self.table.has_room()
    }

    /// Whether no call has answered an object yet.
    pub(super) fn is_first(&self) -> bool {
        self.table.is_first()
    }

    /// Whether a call runs.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether calls wait only for pulls of what was answered before. Nothing is due then.
    pub(super) fn is_stalled(&self) -> bool {
        self.running.is_empty() && !self.ready.is_empty()
    }

    /// Lets calls run that wait for pulls in vain: what was not pulled for longest is forgotten.
    pub(super) fn unstall(&mut self) {
        self.table.forget_unpulled();
        self.start();
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
                if let Some(outcome) = outcome {
                    self.owe(id, outcome);
                }
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
        if let Some(Ended { id, answer, was_large }) = self.running.next().await {
            self.runs_large &= !was_large;
            if matches!(answer, Ok(Answer::Object(_))) {
                self.table.has_given();
            }
            let outcome = answer.map(|answer| Held::new(answer, &self.table.meter)).map_err(failure);
            self.settle(id, outcome);
        }
    }

    /// The next message that is to be sent, once the one before was: until this is called again that one is held. Data
    /// that makes it longer than `most` octets is refused.
    pub(super) fn answer(&mut self, most: usize) -> Option<String> {
        self.sending = None;
        self.start();
        let message = self.write(most)?;
        self.sending = Some(self.table.meter.hold(message.len()));
        Some(message)
    }

    fn write(&mut self, most: usize) -> Option<String> {
        let (id, outcome) = match self.due.pop_front()? {
            Due::Release(id, count) => return Some(wire::release(id, count)),
            Due::Answer { id, outcome, .. } => (id, outcome),
        };
        Some(match outcome {
            Err(exception) => wire::reject(id, &exception),
            Ok(Held::Nothing) => wire::resolve(id, &Expression::Undefined),
            Ok(Held::Data(data)) => {
                let answer = wire::resolve(id, &data.value().map_or(Expression::Undefined, Expression::Data));
                if answer.len() <= most { answer } else { wire::reject(id, &too_large()) }
            }
            Ok(Held::Method(method)) => wire::resolve(id, &Expression::Method(self.table.export(&method))),
            Ok(Held::Object(object)) => {
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
        match work.next() {
            Next::Settled(outcome) => self.settle(id, outcome),
            Next::Call(call) => {
                self.ready.push_back((id, call));
                self.start();
            }
        }
    }

    /// Starts what may start now. Of calls whose answers may be large one runs at a time, and others pass by.
    fn start(&mut self) {
        while !self.ready.is_empty() && self.running.len() < self.limits.running.max(1) && self.may_answer() {
            let may_run = |(_, call): &(i64, Call)| !(self.runs_large && call.is_large());
            let next = self.ready.iter().position(may_run).and_then(|at| self.ready.remove(at));
            let Some((id, call)) = next else { return };
            let is_large = call.is_large();
            match call.begin(&self.limits) {
                Ok(call) => {
                    self.runs_large |= is_large;
                    self.running
                        .push(call.map(move |answer| Ended { id, answer, was_large: is_large }).boxed());
                }
                Err(exception) => self.put(id, Err(exception)),
            }
        }
    }

    /// Whether there is room for one more answer, or nothing that could still make room for it.
    fn may_answer(&mut self) -> bool {
        let owes = !self.due.is_empty() || self.sending.is_some();
        self.table.makes_room() || !(self.is_busy() || owes || self.table.has_unpulled())
    }

    /// A call has ended, and with it what only waited to read from its answer.
    fn settle(&mut self, id: i64, outcome: Outcome) {
        self.put(id, outcome);
        self.start();
    }

    fn put(&mut self, id: i64, outcome: Outcome) {
        let mut settled = VecDeque::from([(id, outcome)]);
        while let Some((id, outcome)) = settled.pop_front() {
            let due = self.table.settle(id, outcome.clone());
            if due.pulled {
                self.owe(id, outcome.clone());
            }
            for place in due.waiting {
                let Some(work) = self.waiting.get_mut(&place.call) else { continue };
                if !work.put(place.answer, &outcome) {
                    continue;
                }
                let Some(work) = self.waiting.remove(&place.call) else { continue };
                match work.next() {
                    Next::Settled(outcome) => settled.push_back((place.call, outcome)),
                    Next::Call(call) => self.ready.push_back((place.call, call)),
                }
            }
        }
    }

    fn owe(&mut self, id: i64, outcome: Outcome) {
        let weight = self.table.meter.hold(weight_of(&outcome));
        self.due.push_back(Due::Answer { id, outcome, _weight: weight });
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
