//! Where work is done: a logged-in session, and what is known of the token.

use super::{
    counter::Counter,
    place::{Place, TokenFacts},
    turn::PATIENCE,
};
use crate::trouble::Trouble;
use catalyst_signing::SignError;
use cryptoki::{mechanism::Mechanism, object::ObjectHandle, session::Session};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

/// Handles of objects by a name that the work chooses; they live as long as the session.
pub(super) type Handles = RefCell<HashMap<String, ObjectHandle>>;

/// A logged-in session, for the time of one piece of work.
pub(crate) struct Desk<'a> {
    pub(crate) session: &'a Session,
    pub(crate) facts: &'a TokenFacts,
    pub(super) counter: &'a Counter,
    pub(super) place: &'a Place,
    pub(super) handles: &'a Handles,
    /// Set where the session is left in the middle of an operation, so that nobody uses it again.
    pub(super) spoilt: &'a Cell<bool>,
}

impl Desk<'_> {
    /// The object that `find` found under this name before, in this session; else what it finds now. A handle that is
    /// not good any more costs the session, and the work is run again without it.
    pub(crate) fn handle(
        &self,
        name: &str,
        find: impl FnOnce() -> Result<ObjectHandle, Trouble>,
    ) -> Result<ObjectHandle, Trouble> {
        let known = self.handles.borrow().get(name).copied();
        if let Some(handle) = known {
            return Ok(handle);
        }
        let handle = find()?;
        self.handles.borrow_mut().insert(name.to_owned(), handle);
        Ok(handle)
    }

    /// One signature, in one C_SignInit and one C_Sign. `most` is the longest that the mechanism can give; `consent` is
    /// for keys that want the PIN before each use (CKA_ALWAYS_AUTHENTICATE): no two of those interleave at a token.
    pub(crate) fn sign(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        most: usize,
        consent: bool,
    ) -> Result<Vec<u8>, Trouble> {
        let functions = &self.place.module.functions;
        if !consent {
            functions.sign_init(self.session, mechanism, key)?;
            return Ok(self.unless_spoilt(functions.sign(self.session, data, most))?);
        }
        let _alone = self.counter.consents.take(PATIENCE).ok_or_else(|| {
            let name = &self.counter.config.name;
            SignError::unavailable(format!(
                "{name}: an earlier signature with a login of its own does not come back"
            ))
        })?;
        functions.sign_init(self.session, mechanism, key)?;
        self.unless_spoilt(self.counter.logins.consent(&self.counter.config, self.place, self.session))?;
        Ok(self.unless_spoilt(functions.sign(self.session, data, most))?)
    }

    /// After C_SignInit a failure leaves an operation open that nobody can end.
    fn unless_spoilt<T, E>(&self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_err() {
            self.spoilt.set(true);
        }
        outcome
    }
}
