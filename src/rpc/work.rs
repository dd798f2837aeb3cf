//! What a session is asked to do, until it can be done.

use super::{
    Answer, Exception, Limits, Method,
    held::{Held, Outcome, failure},
    path::Path,
    term::{Filling, Term},
};
use futures_util::FutureExt as _;
use std::{panic::AssertUnwindSafe, sync::Arc};

/// An operation whose answers come in.
pub(super) struct Work {
    pub(super) path: Path,
    pub(super) arguments: Option<Vec<Term>>,
    /// The target, then what belongs in the arguments, each with its path.
    pub(super) answers: Vec<(Path, Option<Outcome>)>,
    pub(super) missing: usize,
}

/// A call that waits for its turn. Its answers are put into the arguments when it comes: each call has its own copy then.
pub(super) struct Call {
    method: Arc<dyn Method>,
    arguments: Vec<Term>,
    answers: Vec<Outcome>,
}

/// What an operation comes to when all that it needs is there.
pub(super) enum Next {
    Settled(Outcome),
    Call(Call),
}

impl Work {
    /// Puts an answer in its place; whether it was the last that was missing.
    pub(super) fn put(&mut self, answer: usize, outcome: &Outcome) -> bool {
        if let Some((_, place)) = self.answers.get_mut(answer) {
            *place = Some(outcome.clone());
            self.missing -= 1;
        }
        self.missing == 0
    }

    pub(super) fn next(self) -> Next {
        self.done().unwrap_or_else(|exception| Next::Settled(Err(exception)))
    }

    fn done(self) -> Result<Next, Arc<Exception>> {
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
        Ok(Next::Call(Call { method, arguments, answers: answers.collect() }))
    }
}

impl Call {
    /// Whether its answer may be large.
    pub(super) fn is_large(&self) -> bool {
        self.method.is_large()
    }

    /// What runs it. A method that panics has failed, and the session goes on; the panic itself is in the log.
    ///
    /// # Errors
    /// With its answers in their places the call is beyond the limits, or one of them is a failure.
    pub(super) fn begin(
        self,
        limits: &Limits,
    ) -> Result<impl Future<Output = Result<Answer, Exception>> + Send + 'static, Arc<Exception>> {
        let Self { method, arguments, answers } = self;
        let mut filling = Filling { answers: &answers, octets: limits.message, depth: limits.depth };
        let arguments = filling.arguments(arguments).map_err(failure)?;
        let call = AssertUnwindSafe(async move { method.call(arguments).await }).catch_unwind();
        let failed = |_| Err(Exception::error("The service failed at this call; its log says more."));
        Ok(call.map(move |answer| answer.unwrap_or_else(failed)))
    }
}
