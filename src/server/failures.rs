//! Failed authentication, per address: the log gets the first few of a minute and their number, of all addresses
//! together a bounded part of it, and whoever goes on is told to wait. A good credential is never refused for what
//! others at its address have failed at, for it is looked at first.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(60);
/// How often ended windows are looked for where there are too many.
const SWEEP: Duration = Duration::from_secs(1);
/// So many failures in a window are answered as what they are; what follows is told to wait.
const TOLERATED: u32 = 600;
/// So many in a window are logged one by one.
const LOGGED: u32 = 10;
/// So many of all addresses together: whoever has a network of them has many windows.
const LOGGED_OF_ALL: u32 = 100;
/// So many addresses are told apart; the rest is counted together.
const MOST_ADDRESSES: usize = 10_000;

/// Failures by address.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Windows>);

#[derive(Debug, Default)]
struct Windows {
    by_address: HashMap<IpAddr, Window>,
    /// Of what was logged, from whatever address.
    logged: Option<Window>,
    /// When ended windows were last looked for: not at every failure, of which there are many then.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
}

/// What becomes of one failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It is to be logged.
    pub(super) log: bool,
    /// So many of the window before were not.
    pub(super) unlogged: u32,
    /// The peer is to wait so long.
    pub(super) wait: Option<Duration>,
}

impl Failures {
    /// Counts a failure from this address at this moment.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> Verdict {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = windows.place(network(address), now);
        let window = windows.by_address.entry(key).or_insert(Window { began: now, count: 0 });
        let unlogged = window.begin(now).saturating_sub(LOGGED);
        window.count = window.count.saturating_add(1);
        let count = window.count;
        let wait = (count > TOLERATED).then(|| WINDOW.saturating_sub(now.duration_since(window.began)));
        Verdict { log: count <= LOGGED && windows.may_log(now), unlogged, wait }
    }
}

impl Windows {
    /// Under which address a failure is counted.
    fn place(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        if self.by_address.len() < MOST_ADDRESSES || self.by_address.contains_key(&address) {
            return address;
        }
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.by_address.retain(|_, window| now.duration_since(window.began) < WINDOW);
        }
        if self.by_address.len() < MOST_ADDRESSES { address } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
    }

    /// Counts a line, if there is one left in this window.
    fn may_log(&mut self, now: Instant) -> bool {
        let window = self.logged.get_or_insert(Window { began: now, count: 0 });
        window.begin(now);
        window.count = window.count.saturating_add(1);
        window.count <= LOGGED_OF_ALL
    }
}

impl Window {
    /// Begins anew if it has ended; answers how many it had then.
    fn begin(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.began) < WINDOW {
            return 0;
        }
        std::mem::replace(self, Self { began: now, count: 0 }).count
    }
}

/// Of IPv6 the first 64 bits, which is what one site has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_failing_waits_and_others_do_not() {
        let failures = Failures::default();
        let start = Instant::now();
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for n in 1..=TOLERATED {
            let verdict = failures.count(one, start);
            assert_eq!((verdict.log, verdict.wait), (n <= LOGGED, None));
        }
        assert_eq!(failures.count(one, start).wait, Some(WINDOW));
        assert_eq!(failures.count(other, start).wait, None);
        let later = failures.count(one, start + WINDOW);
        assert_eq!(later, Verdict { log: true, unlogged: TOLERATED + 1 - LOGGED, wait: None });
    }

    #[test]
    fn a_site_of_ipv6_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }

    #[test]
    fn addresses_are_bounded() {
        let failures = Failures::default();
        let now = Instant::now();
        for n in 0..MOST_ADDRESSES as u32 + 100 {
            failures.count(IpAddr::V4(n.into()), now);
        }
        assert!(failures.0.lock().unwrap().by_address.len() <= MOST_ADDRESSES + 1);
        // Those of a window that has ended make place.
        assert_eq!(failures.count("192.0.2.1".parse().unwrap(), now + WINDOW).unlogged, 0);
        assert_eq!(failures.0.lock().unwrap().by_address.len(), 1);
    }

    #[test]
    fn many_addresses_do_not_fill_the_log() {
        let failures = Failures::default();
        let start = Instant::now();
        let lines = |now| {
            let from = |n: u32| failures.count(IpAddr::V4(n.into()), now).log;
            (0..5_000).filter(|n| from(*n)).count()
        };
        assert_eq!(lines(start), LOGGED_OF_ALL as usize);
        assert_eq!(lines(start), 0);
        assert_eq!(lines(start + WINDOW), LOGGED_OF_ALL as usize);
    }
}
