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
    let mut turns: HashMap<String, Turns> = HashMap::new();
    for (place, line) in
        lines.iter().enumerate().filter_map(|(place, (_, line))| Some((place, line.as_ref()?)))
    {
        if matches!(line.action.as_str(), DENIED | ALLOWED) {
            turns.entry(line.subject.clone()).or_default().take(place, line);
        }
    }
    let mut told = HashSet::new();
    lines.into_iter().enumerate().filter_map(move |(place, (text, line))| {
        let Some(line) = line else { return Some(text) };
        let tells = match line.action.as_str() {
            DENIED | ALLOWED => turns.get(&line.subject).is_none_or(|turns| turns.tells(place)),
            _ => told.insert(thing(&line)) && !is_past(&line, now),
        };
        tells.then_some(text)
    })
}

/// The lines of an identity by which it is denied or not: each with its place and time.
#[derive(Debug, Default)]
struct Turns {
    last_denied: Option<usize>,
    /// Of all denials that with the latest time.
    latest_denied: Option<(i64, usize)>,
    last_allowed: Option<(usize, i64)>,
    /// A denial that revoked for good has done so whatever came later: then all lines are wanted.
    was_compromised: bool,
}

impl Turns {
    fn take(&mut self, place: usize, line: &JournalLine) {
        if line.action == ALLOWED {
            self.last_allowed = Some((place, line.at));
            return;
        }
        self.last_denied = Some(place);
        self.latest_denied = self.latest_denied.max(Some((line.at, place)));
        self.was_compromised |= denial(line) == Denied::Compromised;
    }

    /// What was lifted by place and time tells nothing, as it is replayed.
    fn tells(&self, place: usize) -> bool {
        let latest = self.latest_denied.map(|(at, _)| at);
        let is_lifted =
            self.last_allowed.is_some_and(|(place, at)| self.last_denied < Some(place) && latest <= Some(at));
        let is_denial =
            self.last_denied == Some(place) || self.latest_denied.is_some_and(|(_, latest)| latest == place);
        self.was_compromised
            || self.last_allowed.is_some_and(|(allowed, _)| allowed == place)
            || (is_denial && !is_lifted)
    }
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
