//! Where a token is now, shared by its workers: found once, and anew after it was lost.

use super::{
    module::{Tenancy, Visit},
    place::{self, Place, Search},
    turn::{PATIENCE, Turn},
};
use crate::{TokenConfig, trouble::Trouble};
use catalyst_signing::SignError;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long to wait for another process that is making or opening the token before the slots are read once more.
const SETTLE: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Whereabouts {
    share: Turn<Share>,
    /// Held for moments, never during a call: the pool looks here from async threads.
    known: Mutex<Option<Arc<Place>>>,
}

/// The token's share in its module, and how often the token was found there.
#[derive(Default)]
struct Share {
    tenancy: Option<Tenancy>,
    found: u64,
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
    pub(super) fn lose(&self, place: &Place, config: &TokenConfig, trouble: &Trouble) {
        if self.forget(place) {
            tracing::warn!(target: "catalyst.pki", token = %config.name, serial = %place.facts.serial,
                reason = %trouble.answer(), "Token lost; it is looked for again");
        }
        if trouble.says_module_was_ended() {
            place.module.was_ended(place.epoch);
        }
    }

    /// Whether the token is still at this place, as far as anybody knows.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.known().as_ref().is_some_and(|known| known.generation == place.generation)
    }

    pub(super) fn allowance(&self) -> Option<usize> {
        self.known().as_ref().and_then(|place| place.allowance())
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
        let (slot, info) = match place::search(visit.module(), config)? {
            Search::Found(found) => *found,
            Search::Nothing { seen } => match search_again(&visit, config)? {
                Some(Search::Found(found)) => *found,
                Some(Search::Nothing { seen }) => return Err(place::missing(config, &seen).into()),
                None => return Err(place::missing(config, &seen).into()),
            },
        };
        share.found += 1;
        let place = Arc::new(Place::new(&visit, slot, &info, share.found)?);
        *self.known() = Some(place.clone());
        let news = if share.found == 1 { "Token opened" } else { "Token is back" };
        tracing::info!(target: "catalyst.pki", token = %config.name, label = %place.facts.label,
            serial = %place.facts.serial, sessions = place.sessions(config), "{news}");
        Ok(place)
    }

    /// Whether it was the known one.
    fn forget(&self, place: &Place) -> bool {
        let mut known = self.known();
        let same = known.as_ref().is_some_and(|known| known.generation == place.generation);
        if same {
            *known = None;
        }
        same
    }

    fn known(&self) -> MutexGuard<'_, Option<Arc<Place>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some modules look for tokens at initialisation alone. `None`: others use the module, so it stays as it is.
fn search_again(visit: &Visit, config: &TokenConfig) -> Result<Option<Search>, Trouble> {
    thread::sleep(SETTLE);
    if visit.renew()? { Ok(Some(place::search(visit.module(), config)?)) } else { Ok(None) }
}
