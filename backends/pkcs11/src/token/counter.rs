//! One token as its workers see it: how a session comes about, what is done when it is lost, and how it ends.

use super::{
    Purpose,
    desk::{Desk, Handles},
    login::{self, Logins},
    place::{Names, Place},
    pool::Trade,
    rest::{Rest, Round},
    turn::Turn,
    whereabouts::Whereabouts,
};
use crate::{
    Opening, TokenConfig,
    trouble::{Loss, Trouble},
};
use catalyst_signing::{Refusal, SignError, TransientKind};
use cryptoki::{
    context::Function,
    error::{Error, RvError},
    session::Session,
};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How often the first login is tried again where the token looks as if another process was not done with it.
const OPENINGS: u32 = 4;

/// Work for a token, whatever it gives.
pub(super) trait Errand: Send {
    /// Whether anybody still waits for it.
    fn is_wanted(&self) -> bool;
    /// Does it, and answers where it succeeds.
    fn attempt(&mut self, desk: &Desk<'_>) -> Result<(), Trouble>;
    /// Answers that it failed.
    fn refuse(&mut self, error: SignError);
}

pub(super) struct Job {
    pub(super) purpose: Purpose,
    pub(super) errand: Box<dyn Errand>,
    /// Keeps the token in use until the work is done.
    pub(super) _hold: super::Hold,
}

pub(super) struct Counter {
    pub(super) config: TokenConfig,
    pub(super) logins: Logins,
    /// Signatures that want a login of their own, one at a time.
    pub(super) consents: Turn<()>,
    /// Open keys, and work in flight.
    pub(super) uses: AtomicUsize,
    /// How often sessions were to forget their handles.
    pub(super) forgettings: AtomicU64,
    /// Whether the token keeps failing.
    pub(super) rest: Rest,
    whereabouts: Whereabouts,
}

/// What a worker has at hand.
#[derive(Default)]
pub(super) struct Bench {
    seat: Option<Seat>,
}

/// An open session. It is closed when it is dropped, unless it is gone already.
struct Seat {
    session: Session,
    place: Arc<Place>,
    handles: Handles,
    /// Which forgetting the handles came after.
    forgettings: Cell<u64>,
    /// Which loss it came after.
    round: Round,
    /// Which logout it came after.
    logouts: u64,
    spoilt: Cell<bool>,
    gone: Cell<bool>,
}

/// Why a piece of work did not succeed.
enum Stumble {
    /// The token gives this worker no session.
    NoRoom,
    Trouble(Trouble),
}

impl From<Trouble> for Stumble {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Counter {
    pub(super) fn new(config: TokenConfig) -> Self {
        Self {
            config,
            logins: Logins::default(),
            consents: Turn::default(),
            uses: AtomicUsize::new(0),
            forgettings: AtomicU64::new(0),
            rest: Rest::default(),
            whereabouts: Whereabouts::default(),
        }
    }

    /// Gives the module back, and ends it if no other token is used through it. Blocks.
    pub(super) fn give_back_module(&self) {
        self.whereabouts.give_back_module();
    }

    /// The next work looks for the token anew. Does not block.
    pub(super) fn look_anew(&self) {
        self.rest.end();
        self.whereabouts.look_anew();
    }

    fn attempt(&self, bench: &mut Bench, job: &mut Job) -> Result<(), Stumble> {
        let round = self.rest.round();
        let (place, _visit) = self.whereabouts.enter(&self.config)?;
        let logouts = self.logins.logouts(&self.config, &place)?;
        if bench.seat.as_ref().is_none_or(|seat| !seat.is_at(&place) || seat.logouts != logouts) {
            bench.seat = None;
            bench.seat = Some(self.sit(&place, Purpose::Use)?);
        }
        let (born, outcome) = match (job.purpose, &bench.seat) {
            (Purpose::Use, Some(seat)) => (seat.round, self.work(seat, job)),
            _ => {
                let seat = match self.sit(&place, Purpose::Change) {
                    // The token may have room for one of the two alone.
                    Err(Stumble::NoRoom) => {
                        bench.seat = None;
                        self.sit(&place, Purpose::Change)
                    }
                    outcome => outcome,
                }?;
                (seat.round, self.work(&seat, job))
            }
        };
        // A token that answers no is well.
        let answered = matches!(&outcome, Ok(()) | Err(Trouble::Said(SignError::Refused { .. })));
        if answered && self.rest.succeeded(round) {
            tracing::info!(target: "catalyst.pki", token = %self.config.name, label = %place.facts.label,
                serial = %place.facts.serial, "Token is back");
        }
        outcome.map_err(|trouble| {
            self.count_loss(&trouble, &place, bench, born);
            trouble.into()
        })
    }

    fn work(&self, seat: &Seat, job: &mut Job) -> Result<(), Trouble> {
        let forgettings = self.forgettings.load(Ordering::Relaxed);
        if seat.forgettings.replace(forgettings) != forgettings {
            seat.handles.borrow_mut().clear();
        }
        let desk = Desk {
            session: &seat.session,
            facts: &seat.place.facts,
            counter: self,
            place: &seat.place,
            handles: &seat.handles,
            spoilt: &seat.spoilt,
        };
        let attempt =
            AssertUnwindSafe(|| job.errand.attempt(&desk).inspect_err(|trouble| seat.note(trouble)));
        let outcome = catch_unwind(attempt).unwrap_or_else(|_| {
            seat.spoilt.set(true);
            Err(SignError::unavailable(format!("{}: the work at the token panicked", self.config.name))
                .into())
        });
        let missing =
            matches!(&outcome, Err(Trouble::Said(SignError::Refused { kind: Refusal::Missing, .. })));
        if missing { Self::look_twice(seat).and(outcome) } else { outcome }
    }

    /// Before anybody believes that a key is missing: a token hides its keys where nobody is logged in, and shows none
    /// when another process has made it anew.
    fn look_twice(seat: &Seat) -> Result<(), Trouble> {
        let place = &seat.place;
        if place.login_required && !login::is_logged_in(&seat.session)? {
            return Err(Error::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects).into());
        }
        match place.module.pkcs11.get_token_info(place.slot) {
            // A token that shows nothing at all may have been away for a moment, which some modules never notice.
            Ok(info)
                if Names::of(&info).serial == place.facts.serial
                    && (place.anew || !seat.session.find_objects(&[])?.is_empty()) =>
            {
                Ok(())
            }
            _ => Err(Error::Pkcs11(RvError::TokenNotRecognized, Function::GetTokenInfo).into()),
        }
    }

    /// Opens a session and sees that it is logged in.
    fn sit(&self, place: &Arc<Place>, purpose: Purpose) -> Result<Seat, Stumble> {
        let pkcs11 = &place.module.pkcs11;
        let round = self.rest.round();
        let logouts = self.logins.logouts(&self.config, place)?;
        let opened = match purpose {
            Purpose::Use => pkcs11.open_ro_session_no_drop(place.slot),
            Purpose::Change => pkcs11.open_rw_session_no_drop(place.slot),
        };
        let session = match opened {
            Ok(session) => session,
            Err(Error::Pkcs11(RvError::SessionCount, _)) => return Err(Stumble::NoRoom),
            Err(error) => return Err(self.sitting_failed(error.into(), place, round)),
        };
        place.module.session_opened();
        let seat = Seat {
            session,
            place: place.clone(),
            handles: Handles::default(),
            forgettings: Cell::new(0),
            round,
            logouts,
            spoilt: Cell::new(false),
            gone: Cell::new(false),
        };
        match self.logins.enter(&self.config, place, &seat.session) {
            Ok(()) => Ok(seat),
            Err(trouble) => Err(self.sitting_failed(trouble, place, round)),
        }
    }

    fn sitting_failed(&self, trouble: Trouble, place: &Place, round: Round) -> Stumble {
        if !self.may_be_half_made(&trouble) {
            self.count_for_rest(&trouble, place, round);
        }
        match trouble.loss() {
            Loss::Token => self.lose(place, &trouble),
            Loss::Trust => self.doubt(place, &trouble),
            Loss::Nothing if self.may_be_half_made(&trouble) => self.doubt(place, &trouble),
            Loss::Nothing | Loss::Session => {}
        }
        Stumble::Trouble(trouble)
    }

    fn may_be_half_made(&self, trouble: &Trouble) -> bool {
        trouble.is_half_made() && !self.logins.worked()
    }

    /// Draws the consequences of a failure for this worker's session, and for everybody's.
    fn count_loss(&self, trouble: &Trouble, place: &Place, bench: &mut Bench, round: Round) {
        let loss = trouble.loss();
        self.count_for_rest(trouble, place, round);
        if loss != Loss::Nothing || bench.seat.as_ref().is_some_and(|seat| seat.spoilt.get()) {
            bench.seat = None;
        }
        if trouble.is(RvError::UserNotLoggedIn) {
            self.logins.doubt();
        }
        if loss == Loss::Token {
            self.lose(place, trouble);
            if trouble.is(RvError::TokenNotRecognized) {
                self.whereabouts.doubt(place);
            }
        }
    }

    fn count_for_rest(&self, trouble: &Trouble, place: &Place, round: Round) {
        if trouble.says_token_fails() && self.rest.lost(round, Instant::now()).is_some() && self.rest.tell() {
            tracing::warn!(target: "catalyst.pki", token = %self.config.name, serial = %place.facts.serial,
                reason = %trouble.answer(), "Token keeps failing; it rests between tries");
        }
    }

    fn lose(&self, place: &Place, trouble: &Trouble) {
        if self.whereabouts.lose(place, trouble) && self.rest.tell() {
            tracing::warn!(target: "catalyst.pki", token = %self.config.name, serial = %place.facts.serial,
                reason = %trouble.answer(), "Token lost; it is looked for again");
        }
    }

    fn doubt(&self, place: &Place, trouble: &Trouble) {
        if self.whereabouts.doubt(place) && self.rest.tell() {
            tracing::warn!(target: "catalyst.pki", token = %self.config.name, serial = %place.facts.serial,
                reason = %trouble.answer(), "Token gives no session; it is looked for again");
        }
    }

    fn resting(&self, left: Duration) -> SignError {
        SignError::Transient {
            kind: TransientKind::Unavailable,
            reason: format!(
                "{}: the token failed again and again and rests before the next try",
                self.config.name
            ),
            retry_after: Some(left),
        }
    }
}

impl Trade for Counter {
    type Job = Job;
    type Bench = Bench;

    fn bench(&self) -> Bench {
        Bench::default()
    }

    fn is_wanted(&self, job: &Job) -> bool {
        job.errand.is_wanted()
    }

    /// Once, and after the loss of a session or token once more, unless the token keeps failing.
    fn serve(&self, bench: &mut Bench, mut job: Job) -> Result<(), Job> {
        if let Err(left) = self.rest.admit(Instant::now()) {
            job.errand.refuse(self.resting(left));
            return Ok(());
        }
        let mut again = true;
        let mut openings = OPENINGS;
        loop {
            match self.attempt(bench, &mut job) {
                Ok(()) => return Ok(()),
                Err(Stumble::NoRoom) => return Err(job),
                Err(Stumble::Trouble(trouble))
                    if again && trouble.loss().may_run_again() && !self.rest.is_resting() =>
                {
                    again = false
                }
                Err(Stumble::Trouble(trouble)) if openings > 0 && self.may_be_half_made(&trouble) => {
                    openings -= 1
                }
                Err(Stumble::Trouble(trouble)) => {
                    job.errand.refuse(trouble.into_error(&self.config.name));
                    return Ok(());
                }
            }
        }
    }

    fn refuse(&self, mut job: Job, error: SignError) {
        job.errand.refuse(error);
    }

    /// What is lost meanwhile is rebuilt when it is needed.
    fn keep(&self, bench: &mut Bench) {
        let Some(seat) = &bench.seat else {
            return;
        };
        let place = seat.place.clone();
        let Some(_visit) = place.module.visit_at(place.epoch) else {
            bench.seat = None;
            return;
        };
        if !self.whereabouts.is_at(&place) {
            bench.seat = None;
        } else if let Err(error) = seat.session.get_session_info() {
            let (trouble, round) = (error.into(), seat.round);
            seat.note(&trouble);
            self.count_loss(&trouble, &place, bench, round);
        }
    }

    fn clear(&self, bench: &mut Bench) {
        let Some(seat) = bench.seat.take() else {
            return;
        };
        if self.config.opening == Opening::WhileInUse
            && let Some(_visit) = seat.place.module.visit_at(seat.place.epoch)
        {
            self.logins.leave(&seat.place, &seat.session, || self.uses.load(Ordering::SeqCst) > 0);
        }
    }

    fn has_session(&self, bench: &Bench) -> bool {
        bench.seat.is_some()
    }

    fn allowance(&self) -> Option<usize> {
        self.whereabouts.allowance()
    }

    fn losses(&self) -> u64 {
        self.whereabouts.losses()
    }
}

impl Seat {
    fn is_at(&self, place: &Place) -> bool {
        !self.spoilt.get() && self.place.generation == place.generation
    }

    /// Notes where the token has closed the session itself.
    fn note(&self, trouble: &Trouble) {
        if trouble.is(RvError::SessionHandleInvalid) || trouble.is(RvError::SessionClosed) {
            self.gone.set(true);
        }
    }
}

impl Drop for Seat {
    /// A session of an earlier initialisation is gone, and its number may be another's by now.
    fn drop(&mut self) {
        let module = &self.place.module;
        if let Some(_visit) = module.visit_at(self.place.epoch)
            && !self.gone.get()
        {
            module.functions.close(&self.session);
        }
        module.session_ended();
    }
}
