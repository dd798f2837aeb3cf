//! Where a token is now, shared by its workers: found once, and anew after it was lost.

use super::{
    module::{Tenancy, Visit},
    place::{self, Place, Search},
    turn::{PATIENCE, Turn},
};
use crate::{TokenConfig, trouble::Trouble};
use catalyst_signing::SignError;
use cryptoki::slot::{Slot, TokenInfo};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How long to wait for another process that is making or opening the token before the slots are read once more; at
/// the first opening each pause is twice as long as the one before.
const SETTLE: Duration = Duration::from_millis(50);
/// How often the slots are read once more at the first opening: every service on a host may start at that moment.
const FIRST_LOOKS: u32 = 5;

#[derive(Default)]
pub(super) struct Whereabouts {
    share: Turn<Share>,
    /// Held for moments, never during a call: the pool looks here from async threads.
    known: Mutex<Option<Arc<Place>>>,
    losses: AtomicU64,
    /// An operator wants the module initialised anew.
    anew: AtomicBool,
}

/// The token's share in its module, and how often the token was found there.
#[derive(Default)]
struct Share {
    tenancy: Option<Tenancy>,
    found: u64,
    /// Whether it was looked for already.
    looked: bool,
    /// Whether the module may have read the token while it was being written.
    doubtful: bool,
    ended: bool,
}

impl Whereabouts {
    /// The token's place, and a stay in its module.
    pub(super) fn enter(&self, config: &TokenConfig) -> Result<(Arc<Place>, Visit), Trouble> {
        let place = self.find(config)?;
        if let Some(visit) = place.module.visit_at(place.epoch) {
            return Ok((place, visit));
        }
        // The module was ended and initialised again, for another token.
        self.forget(&place);
        let place = self.find(config)?;
        match place.module.visit_at(place.epoch) {
            Some(visit) => Ok((place, visit)),
            None => {
                Err(SignError::unavailable(format!("{}: the module was ended meanwhile", config.name)).into())
            }
        }
    }

    /// The token is gone: it is looked for anew, unless somebody found it since this place was its own.
    /// Whether it was this place that was known.
    pub(super) fn lose(&self, place: &Place, trouble: &Trouble) -> bool {
        let was_known = self.forget(place);
        if trouble.says_module_was_ended() {
            place.module.was_ended(place.epoch);
        }
        was_known
    }

    /// No session comes about, though the token seems to be there: another process may be writing it, or has made it
    /// anew. The module reads it again, if it can.
    /// Whether it was this place that was known.
    pub(super) fn doubt(&self, place: &Place) -> bool {
        let was_known = self.forget(place);
        if let Some(mut share) = self.share.take(PATIENCE) {
            share.doubtful = true;
        }
        was_known
    }

    /// The next work looks for the token anew, in a module that is initialised anew if nobody else uses it. Does not
    /// block.
    pub(super) fn look_anew(&self) {
        self.anew.store(true, Ordering::SeqCst);
        let known = self.known().clone();
        if let Some(place) = known {
            self.forget(&place);
        }
    }

    /// Whether the token is still at this place, as far as anybody knows.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.known().as_ref().is_some_and(|known| known.generation == place.generation)
    }

    pub(super) fn allowance(&self) -> Option<usize> {
        self.known().as_ref().and_then(|place| place.allowance())
    }

    /// How often the token was lost.
    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Gives the module back for good, and ends it if no other token is used through it. Blocks.
    pub(super) fn give_back_module(&self) {
        if let Some(mut share) = self.share.take(PATIENCE) {
            share.ended = true;
            if let Some(tenancy) = share.tenancy.take() {
                tenancy.end();
            }
        }
    }

    fn find(&self, config: &TokenConfig) -> Result<Arc<Place>, Trouble> {
        if let Some(place) = self.known().clone() {
            return Ok(place);
        }
        let mut share = self.share.take(PATIENCE).ok_or_else(|| {
            SignError::unavailable(format!(
                "{}: the module does not come back from an earlier call",
                config.name
            ))
        })?;
        // Another worker may have found it meanwhile.
        if let Some(place) = self.known().clone() {
            return Ok(place);
        }
        if share.ended {
            return Err(SignError::unavailable(format!("{}: the token was let go", config.name)).into());
        }
        let visit = match &share.tenancy {
            Some(tenancy) => tenancy.visit()?,
            None => share.tenancy.insert(Tenancy::begin(config)?).visit()?,
        };
        let looks = if share.looked { 1 } else { FIRST_LOOKS };
        share.looked = true;
        let asked = self.anew.swap(false, Ordering::SeqCst);
        let doubtful = std::mem::take(&mut share.doubtful) || asked;
        let anew = doubtful && renew(&visit)?;
        let epoch = visit.epoch()?;
        let (slot, info) = look(&visit, config, looks).inspect_err(|trouble| {
            if trouble.says_module_was_ended() {
                visit.module().was_ended(epoch);
            }
        })?;
        share.found += 1;
        let place = Arc::new(Place::new(&visit, slot, &info, share.found, anew)?);
        *self.known() = Some(place.clone());
        if share.found == 1 {
            tracing::info!(target: "catalyst.pki", token = %config.name, label = %place.facts.label,
                serial = %place.facts.serial, sessions = place.sessions(config), "Token opened");
        }
        Ok(place)
    }

    /// Whether it was the known one.
    fn forget(&self, place: &Place) -> bool {
        let mut known = self.known();
        let same = known.as_ref().is_some_and(|known| known.generation == place.generation);
        if same {
            *known = None;
            self.losses.fetch_add(1, Ordering::Relaxed);
        }
        same
    }

    fn known(&self) -> MutexGuard<'_, Option<Arc<Place>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the module read its tokens again, once the workers have closed their sessions. Whether it did.
fn renew(visit: &Visit) -> Result<bool, Trouble> {
    thread::sleep(SETTLE);
    visit.renew()
}

/// Reads the slots, and once more after a pause: some modules look for tokens when they are initialised and then not
/// again, so they are initialised anew where nobody else uses them.
fn look(visit: &Visit, config: &TokenConfig, more: u32) -> Result<(Slot, TokenInfo), Trouble> {
    let mut pause = SETTLE;
    let mut seen = Vec::new();
    for look in 0..=more {
        if look > 0 {
            thread::sleep(pause);
            pause *= 2;
            if !visit.renew()? {
                break;
            }
        }
        match place::search(visit.module(), config)? {
            Search::Found(found) => return Ok(*found),
            Search::Nothing { seen: there } => seen = there,
        }
    }
    Err(place::missing(config, &seen).into())
}
