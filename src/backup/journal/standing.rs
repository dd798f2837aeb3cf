//! What the lines of a journal come to: which things they tell, and which of them tell nothing any more.

use crate::{identity::Timestamp, store::JournalLine};
use std::collections::{HashMap, HashSet};

const DENIED: &str = "identity.denied";
const ALLOWED: &str = "identity.allowed";
/// So long after its end a thing matters to nobody: no backup of before is put back after 400 days, which is how long the
/// audit log is kept.
const KEPT_MS: i64 = 400 * 86_400_000;
const LONGEST_TOKEN_MS: i64 = 366 * 86_400_000;

/// What a journal tells.
#[derive(Debug, Default)]
pub(super) struct Known {
    identities: HashMap<String, Denied>,
    /// All other things that were taken away.
    ended: HashSet<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Denied {
    No,
    Yes,
    Compromised,
}

impl Known {
    pub(super) fn take(&mut self, line: &JournalLine) {
        match line.action.as_str() {
            DENIED => {
                let denied = self.identities.entry(line.subject.clone()).or_insert(Denied::No);
                *denied = denial(line).max(*denied);
            }
            ALLOWED => {
                self.identities.insert(line.subject.clone(), Denied::No);
            }
            _ => {
                self.ended.insert(thing(line));
            }
        }
    }

    pub(super) fn lacks(&self, line: &JournalLine) -> bool {
        if line.action == DENIED {
            return self.identities.get(&line.subject).is_none_or(|known| *known < denial(line));
        }
        !self.ended.contains(&thing(line))
    }
}

fn denial(line: &JournalLine) -> Denied {
    if line.detail["compromised"] == true { Denied::Compromised } else { Denied::Yes }
}

/// What a line takes away. Preset secrets of one kind are told apart by their hash.
fn thing(line: &JournalLine) -> (String, String) {
    let name = match line.detail["sha256"].as_str() {
        Some(sha256) => format!("{} {sha256}", line.subject),
        None => line.subject.clone(),
    };
    (line.action.clone(), name)
}

/// The lines of a journal that still tell something, in their order. What can't be read is among them.
pub(super) fn live(text: &str, now: Timestamp) -> impl Iterator<Item = &str> {
    let lines: Vec<(&str, Option<JournalLine>)> =
        text.lines().map(|line| (line, serde_json::from_str(line).ok())).collect();
    let mut last = HashMap::new();
    let mut compromised = HashSet::new();
    for (place, line) in
        lines.iter().enumerate().filter_map(|(place, (_, line))| Some((place, line.as_ref()?)))
    {
        if matches!(line.action.as_str(), DENIED | ALLOWED) {
            // As they are replayed: an instance that was restored appends older ones after later ones.
            let turn = (line.at, line.seq, place);
            let latest = last.entry(line.subject.clone()).or_insert(turn);
            *latest = turn.max(*latest);
        }
        if line.action == DENIED && denial(line) == Denied::Compromised {
            compromised.insert(line.subject.clone());
        }
    }
    let mut told = HashSet::new();
    lines.into_iter().enumerate().filter_map(move |(place, (text, line))| {
        let Some(line) = line else { return Some(text) };
        let tells = match line.action.as_str() {
            // A denial that revoked for good has done so whatever came later: then all lines are wanted, in their order.
            DENIED | ALLOWED => {
                let turn = (line.at, line.seq, place);
                compromised.contains(&line.subject) || last.get(&line.subject) == Some(&turn)
            }
            _ => told.insert(thing(&line)) && !is_past(&line, now),
        };
        tells.then_some(text)
    })
}

/// Of what ends by itself: certificates say when, and no token lives longer than a year. Anything may stand in a line.
fn is_past(line: &JournalLine, now: Timestamp) -> bool {
    let end = match line.action.as_str() {
        "certificate.revoked" => line.detail["notAfter"].as_i64(),
        "token.revoked" => Some(line.at.saturating_add(LONGEST_TOKEN_MS)),
        _ => None,
    };
    end.is_some_and(|end| now.millis().saturating_sub(end) > KEPT_MS)
}
