//! A session in one request.

use super::{
    Exception, Limits, Object, Total,
    session::{End, Session},
    wire,
};

/// Answers a batch: messages joined by newlines, in the request as in the answer.
///
/// All calls of it run to their end, also those whose answers nobody asks for. Where it breaks the protocol what comes
/// behind is not read, and the last message is an abort. What is held meanwhile counts in `total`.
pub async fn batch(main: Object, request: &str, limits: &Limits, total: &Total) -> String {
    if request.lines().nth(limits.batch).is_some() {
        let most = limits.batch;
        let message =
            format!("A batch has at most {most} messages, and nothing of this one was done: send several.");
        return wire::abort(&Exception { name: "RangeError", message });
    }
    let mut session = Session::new(main, limits, total);
    let mut answers =
        Answers { text: String::new(), most: limits.answers, most_at_first: limits.kept_at_first };
    let mut end = None;
    for message in request.lines() {
        while !session.has_room() {
            answers.go_on(&mut session).await;
        }
        if let Err(reason) = session.take(message) {
            end = Some(reason);
            break;
        }
        answers.collect(&mut session);
        if answers.is_full(&session) {
            end = Some(End::Broken(too_much(limits)));
            break;
        }
    }
    answers.collect(&mut session);
    while session.is_busy() || session.is_stalled() {
        answers.go_on(&mut session).await;
    }
    if let Some(End::Broken(exception)) = end {
        answers.push(&wire::abort(&exception));
    }
    answers.text
}

fn too_much(limits: &Limits) -> Exception {
    let most = limits.kept_at_first;
    let message =
        format!("A batch that was given no object is answered with {most} octets: the rest was not read.");
    Exception { name: "RangeError", message }
}

/// The messages of the answer.
struct Answers {
    text: String,
    /// Octets, for one request must not ask for any number of large answers.
    most: usize,
    /// The same for a client that was given nothing, failures included.
    most_at_first: usize,
}

impl Answers {
    fn collect(&mut self, session: &mut Session) {
        while let Some(message) = session.answer(self.most.saturating_sub(self.text.len())) {
            self.push(&message);
        }
    }

    /// Lets a call end. All pulls are here already, or have no room: nothing is to be waited for.
    async fn go_on(&mut self, session: &mut Session) {
        if session.is_stalled() {
            session.unstall();
        }
        session.run().await;
        self.collect(session);
    }

    fn is_full(&self, session: &Session) -> bool {
        session.is_first() && self.text.len() > self.most_at_first
    }

    fn push(&mut self, message: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(message);
    }
}
