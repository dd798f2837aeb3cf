//! Which sessions are open at the other module, and since when nobody has used them.

use cryptoki_sys::{CK_SESSION_HANDLE, CK_SLOT_ID};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<CK_SESSION_HANDLE, Open>);

#[derive(Debug)]
struct Open {
    slot: CK_SLOT_ID,
    used: Instant,
    /// How many calls are in it right now.
    calls: u32,
    /// It went with its token while a call was in it.
    lost: bool,
    /// A signature was begun that wants a login of its own, and there was none yet.
    wants_login: bool,
}

impl Sessions {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn opened(&mut self, session: CK_SESSION_HANDLE, slot: CK_SLOT_ID) {
        let open = Open { slot, used: Instant::now(), calls: 0, lost: false, wants_login: false };
        self.0.insert(session, open);
    }

    pub(crate) fn closed(&mut self, session: CK_SESSION_HANDLE) {
        self.0.remove(&session);
    }

    pub(crate) fn closed_in(&mut self, slot: CK_SLOT_ID) {
        self.0.retain(|_, open| open.slot != slot);
    }

    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// A call begins in the session.
    pub(crate) fn enter(&mut self, session: CK_SESSION_HANDLE) {
        if let Some(open) = self.0.get_mut(&session) {
            open.calls += 1;
        }
    }

    /// A call ends; says whether the session must be closed now, for it was lost meanwhile.
    pub(crate) fn leave(&mut self, session: CK_SESSION_HANDLE) -> Left {
        let Some(open) = self.0.get_mut(&session) else { return Left::There };
        open.calls = open.calls.saturating_sub(1);
        open.used = Instant::now();
        match (open.lost, open.calls) {
            (false, _) => Left::There,
            (true, 0) => {
                self.closed(session);
                Left::LostAtLast
            }
            (true, _) => Left::Lost,
        }
    }

    /// Takes out the sessions that nobody has used for so long.
    pub(crate) fn take_idle(&mut self, longest: Duration) -> Vec<CK_SESSION_HANDLE> {
        self.take(|open| open.calls == 0 && open.used.elapsed() >= longest)
    }

    /// Takes out all sessions without a call; the others are lost when their calls end.
    pub(crate) fn take_all(&mut self) -> Vec<CK_SESSION_HANDLE> {
        self.0.values_mut().for_each(|open| open.lost = true);
        self.take(|open| open.calls == 0)
    }

    /// A signature was begun, which wants a login of its own or none.
    pub(crate) fn set_wants_login(&mut self, session: CK_SESSION_HANDLE, wants: bool) {
        if let Some(open) = self.0.get_mut(&session) {
            open.wants_login = wants;
        }
    }

    pub(crate) fn wants_login(&self, session: CK_SESSION_HANDLE) -> bool {
        self.0.get(&session).is_some_and(|open| open.wants_login)
    }

    fn take(&mut self, which: impl Fn(&Open) -> bool) -> Vec<CK_SESSION_HANDLE> {
        self.0.extract_if(.., |_, open| which(open)).map(|(session, _)| session).collect()
    }
}

/// How a call finds its session when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// As it was.
    There,
    /// Lost, with another call in it.
    Lost,
    /// Lost, and the last call has ended.
    LostAtLast,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_without_calls_go_and_those_with_calls_go_with_the_last() {
        let mut sessions = Sessions::new();
        for session in 1..=3 {
            sessions.opened(session, 7);
        }
        sessions.enter(2);
        sessions.enter(2);
        assert_eq!(sessions.take_idle(Duration::from_secs(60)), []);
        assert_eq!(sessions.take_all(), [1, 3]);
        assert_eq!([sessions.leave(2), sessions.leave(2)], [Left::Lost, Left::LostAtLast]);
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn the_use_of_a_session_keeps_it() {
        let mut sessions = Sessions::new();
        sessions.opened(1, 7);
        sessions.enter(1);
        assert_eq!(sessions.take_idle(Duration::ZERO), []);
        assert_eq!(sessions.leave(1), Left::There);
        assert_eq!(sessions.take_idle(Duration::ZERO), [1]);
        sessions.opened(2, 7);
        sessions.closed_in(7);
        assert_eq!(sessions.count(), 0);
    }
}
