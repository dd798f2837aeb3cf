//! What a client may refer to: the answers of its calls, and the methods that answers held.

use super::{
    Exception, Limits, Method, Object,
    held::{Held, Outcome, failure},
    meter::{Meter, Total},
    shelves::Shelves,
};
use std::{collections::HashMap, sync::Arc};

/// A session's table. Numbers of calls count up from 1, those of methods down from -1, and none is used again. 0 is the
/// main object.
///
/// What is settled may be forgotten when there is too much of it: clients leave some of it unreleased, and a session may
/// be long. First goes what the client has pulled, least recently used first. What it has not pulled makes room for
/// nothing, unless it is waited for in vain.
pub(super) struct Table {
    main: Option<Object>,
    entries: HashMap<i64, Entry>,
    /// The settled entries.
    shelves: Shelves,
    clock: u64,
    last_call: i64,
    last_method: i64,
    pending: usize,
    /// Octets of the calls that are pending.
    weight: usize,
    /// Octets that the settled entries take beside their data.
    settled: usize,
    forgotten: bool,
    /// Nothing but data has been answered yet.
    is_first: bool,
    limits: Limits,
    pub(super) meter: Meter,
}

enum Entry {
    Pending(Pending),
    Settled { outcome: Outcome, pulled: bool, used: u64 },
}

/// Octets that an entry takes in the tables, about.
const ENTRY: usize = 320;

/// Octets that a settled entry takes, but for its data, which others may share.
pub(super) fn weight_of(outcome: &Outcome) -> usize {
    ENTRY + outcome.as_ref().err().map_or(0, |exception| size_of::<Exception>() + exception.message.len())
}

struct Pending {
    waiting: Vec<Place>,
    weight: usize,
    pulled: bool,
    released: bool,
}

/// Where an answer belongs: the call that waits for it, and which of its answers it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) call: i64,
    pub(super) answer: usize,
}

/// What is due when a call has settled.
pub(super) struct Due {
    pub(super) waiting: Vec<Place>,
    /// The client has pulled it.
    pub(super) pulled: bool,
}

impl Table {
    pub(super) fn new(main: Object, limits: &Limits, total: &Total) -> Self {
        Self {
            main: Some(main),
            entries: HashMap::new(),
            shelves: Shelves::default(),
            clock: 0,
            last_call: 0,
            last_method: 0,
            pending: 0,
            weight: 0,
            settled: 0,
            forgotten: false,
            is_first: true,
            limits: *limits,
            meter: Meter::new(total),
        }
    }

    /// Whether one more call may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.pending == 0 || (self.pending < self.most_entries() && self.weight < self.most_octets())
    }

    /// An object was answered: the client is one to whom something was given.
    pub(super) fn has_given(&mut self) {
        self.is_first = false;
    }

    /// Whether nothing but data has been answered yet.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    fn most_octets(&self) -> usize {
        if self.is_first { self.limits.kept_at_first } else { self.limits.kept }
    }

    fn most_entries(&self) -> usize {
        self.limits.entries.min(self.most_octets() / ENTRY).max(1)
    }

    /// Octets of all that is kept, due and being sent.
    pub(super) fn kept(&self) -> usize {
        self.meter.octets() + self.settled
    }

    /// A number for a call, which is pending from now on.
    pub(super) fn open(&mut self, weight: usize, pulled: bool, released: bool) -> i64 {
        self.last_call += 1;
        self.pending += 1;
        self.weight += weight;
        let pending = Pending { waiting: Vec::new(), weight, pulled, released };
        self.entries.insert(self.last_call, Entry::Pending(pending));
        self.forget();
        self.last_call
    }

    /// What a call came to, or `None` while it is pending: then its answer is put into `place` later.
    ///
    /// # Errors
    /// There never was such an entry, or the client has released it.
    pub(super) fn refer(&mut self, id: i64, place: Place) -> Result<Option<Outcome>, Exception> {
        if id == 0
            && let Some(main) = &self.main
        {
            return Ok(Some(Ok(Held::Object(Arc::clone(main)))));
        }
        if let Some(Entry::Pending(pending)) = self.entries.get_mut(&id)
            && !pending.released
        {
            pending.waiting.push(place);
            return Ok(None);
        }
        self.touch(id);
        match self.entries.get(&id) {
            Some(Entry::Settled { outcome, .. }) => Ok(Some(outcome.clone())),
            _ if self.is_forgotten(id) => Ok(Some(Err(failure(self.gone(id))))),
            _ => Err(Exception::error(format!("no such entry on exports table: {id}"))),
        }
    }

    /// What is to be answered now.
    ///
    /// # Errors
    /// There never was such an entry, or the client has released it.
    pub(super) fn pull(&mut self, id: i64) -> Result<Option<Outcome>, Exception> {
        self.touch(id);
        match self.entries.get_mut(&id) {
            Some(Entry::Pending(pending)) if !pending.released => {
                pending.pulled = true;
                Ok(None)
            }
            Some(Entry::Settled { .. }) if id < 0 => {
                Ok(Some(Err(failure(Exception::error("Tried to resolve a non-promise stub.")))))
            }
            Some(Entry::Settled { outcome, pulled, used }) => {
                let first = !std::mem::replace(pulled, true);
                self.shelves.take(*used);
                self.shelves.put(*used, id, outcome, true);
                let due = first.then(|| outcome.clone());
                self.forget();
                Ok(due)
            }
            _ => match &self.main {
                Some(main) if id == 0 => Ok(Some(Ok(Held::Object(Arc::clone(main))))),
                _ if self.is_forgotten(id) => Ok(Some(Err(failure(self.gone(id))))),
                _ => Err(Exception::error(format!("no such export ID: {id}"))),
            },
        }
    }

    /// Gives a reference back. A call that is pending goes on.
    ///
    /// # Errors
    /// There never was such an entry, or the client has released it; or it never had so many references.
    pub(super) fn release(&mut self, id: i64, count: u64) -> Result<(), Exception> {
        let known = match self.entries.get(&id) {
            Some(Entry::Pending(pending)) => !pending.released,
            Some(Entry::Settled { .. }) => true,
            None => id == 0 && self.main.is_some(),
        };
        match count {
            _ if !known && self.is_forgotten(id) => {}
            _ if !known => return Err(Exception::error(format!("no such export ID: {id}"))),
            0 => {}
            1 if id == 0 => self.main = None,
            1 => match self.entries.get_mut(&id) {
                Some(Entry::Pending(pending)) => pending.released = true,
                _ => self.remove(id),
            },
            _ => return Err(Exception::error(format!("refcount would go negative: 1 < {count}"))),
        }
        Ok(())
    }

    /// A call has ended.
    pub(super) fn settle(&mut self, id: i64, outcome: Outcome) -> Due {
        let Some(Entry::Pending(pending)) = self.entries.remove(&id) else {
            return Due { waiting: Vec::new(), pulled: false };
        };
        self.pending -= 1;
        self.weight -= pending.weight;
        if !pending.released {
            self.keep(id, outcome, pending.pulled);
        }
        Due { waiting: pending.waiting, pulled: pending.pulled }
    }

    /// A number for a method that an answer holds.
    pub(super) fn export(&mut self, method: &Arc<dyn Method>) -> i64 {
        self.last_method -= 1;
        self.keep(self.last_method, Ok(Held::Method(Arc::clone(method))), false);
        self.last_method
    }

    fn keep(&mut self, id: i64, outcome: Outcome, pulled: bool) {
        self.clock += 1;
        self.shelves.put(self.clock, id, &outcome, pulled);
        self.settled += weight_of(&outcome);
        self.entries.insert(id, Entry::Settled { outcome, pulled, used: self.clock });
        self.forget();
    }

    fn touch(&mut self, id: i64) {
        if let Some(Entry::Settled { outcome, pulled, used }) = self.entries.get_mut(&id) {
            self.clock += 1;
            self.shelves.take(std::mem::replace(used, self.clock));
            self.shelves.put(self.clock, id, outcome, *pulled);
        }
    }

    fn remove(&mut self, id: i64) {
        if let Some(Entry::Settled { outcome, used, .. }) = self.entries.remove(&id) {
            self.shelves.take(used);
            self.settled -= weight_of(&outcome);
        }
    }

    /// Whether one more answer may be made. What the client has pulled makes room for it.
    pub(super) fn makes_room(&mut self) -> bool {
        while self.kept() >= self.most_octets()
            && let Some(id) = self.shelves.pulled()
        {
            self.forget_one(id);
        }
        self.kept() < self.most_octets()
    }

    /// Whether there is something that the client has not pulled.
    pub(super) fn has_unpulled(&self) -> bool {
        self.shelves.unpulled().is_some()
    }

    /// Forgets what the client has not pulled, until there is room for an eighth.
    pub(super) fn forget_unpulled(&mut self) {
        let most = self.most_octets();
        while self.kept() > most - most / 8
            && let Some(id) = self.shelves.unpulled()
        {
            self.forget_one(id);
        }
    }

    fn forget(&mut self) {
        while self.kept() > self.most_octets()
            && let Some(id) = self.shelves.pulled().or_else(|| self.shelves.failure())
        {
            self.forget_one(id);
        }
        while self.entries.len() > self.most_entries()
            && let Some(id) = self.shelves.pulled().or_else(|| self.shelves.oldest())
        {
            self.forget_one(id);
        }
    }

    fn forget_one(&mut self, id: i64) {
        self.remove(id);
        self.forgotten = true;
    }

    /// Whether an entry that is not there may have been forgotten: which ones were released is not kept.
    fn is_forgotten(&self, id: i64) -> bool {
        let was = id != 0 && (self.last_method..=self.last_call).contains(&id);
        self.forgotten && was && !self.entries.contains_key(&id)
    }

    fn gone(&self, id: i64) -> Exception {
        Exception::error(format!(
            "{id} was forgotten: this session keeps the {} answers and methods that were used last, and {} octets. \
             Ask for it again, from the entry point on.",
            self.most_entries(),
            self.most_octets()
        ))
    }
}

#[cfg(test)]
impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
