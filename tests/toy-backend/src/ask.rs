//! Asking the vault, and what its answers mean: the only place that knows its protocol.

use crate::{
    ToyConfig,
    vault::{Answer, Question},
};
use catalyst_signing::{Refusal, Result, SignError, TransientKind};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::timeout,
};

/// A vault that is busy is asked again no sooner.
const BUSY: Duration = Duration::from_millis(100);

/// Asks once, on a connection of its own: a caller that is dropped leaves nothing behind. Asking again is the guard's
/// work.
pub(crate) async fn ask(config: &ToyConfig, about: &str, question: &Question) -> Result<Answer> {
    let place = config.socket.display();
    let answer = match timeout(config.timeout, exchange(config, question)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(SignError::unavailable(format!("the vault at {place} could not be asked: {error}")));
        }
        Err(_) => return Err(SignError::timed_out(format!("the vault at {place} did not answer in time"))),
    };
    match answer {
        Answer::Failed(why) => Err(meaning(&why, about)),
        answer => Ok(answer),
    }
}

async fn exchange(config: &ToyConfig, question: &Question) -> io::Result<Answer> {
    let mut connection = UnixStream::connect(&config.socket).await?;
    let line = [&serde_json::to_vec(question)?[..], b"\n"].concat();
    connection.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(connection).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// What the vault's own words mean. Only what surely stays is a refusal: a key that is refused is not used again until an
/// operator says so, and a word that nobody knows yet must not do that.
fn meaning(why: &str, about: &str) -> SignError {
    match why {
        "missing" => SignError::refused(
            Refusal::Missing,
            format!("the vault has no key {about}: look at its name, and at which vault is asked"),
        ),
        "destroyed" => SignError::refused(
            Refusal::Disabled,
            format!("the vault's key {about} was destroyed: make another generation"),
        ),
        "input" => SignError::refused(
            Refusal::Unsupported,
            format!("the vault cannot do that with {about}: choose another algorithm"),
        ),
        "busy" => SignError::Transient {
            kind: TransientKind::Throttled,
            reason: "the vault is busy".into(),
            retry_after: Some(BUSY),
        },
        other => {
            SignError::unavailable(format!("the vault answered '{}' about {about}", other.escape_debug()))
        }
    }
}

/// The answer is of another kind than the question.
pub(crate) fn false_answer(about: &str) -> SignError {
    SignError::integrity(format!("the vault was asked about {about} and answered something else"))
}
