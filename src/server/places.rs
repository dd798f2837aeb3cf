//! How many connections there may be, of all clients and of one.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one listener. Whoever has half of them gets no more, so that one address alone never keeps all the
/// others out. Loopback is not counted so: a proxy or a mesh brings everybody's connections from there.
pub(super) struct Places {
    room: Arc<Semaphore>,
    most_of_one: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place for any connection; there is one before there is a connection.
pub(super) type Vacancy = OwnedSemaphorePermit;

/// The place of one connection; dropped, it is free again.
pub(super) struct Place {
    _vacancy: Vacancy,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    client: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(count)), most_of_one: count / 2, taken: Arc::default() }
    }

    /// Waits for a place; `None` never comes, for nobody closes the room.
    pub(super) async fn vacancy(&self) -> Option<Vacancy> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// Gives it to a client; `None` where that has its share.
    pub(super) fn take(&self, vacancy: Vacancy, address: IpAddr) -> Option<Place> {
        let client = client(address);
        if let Some(client) = client {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(client).or_default();
            if *count >= self.most_of_one {
                return None;
            }
            *count += 1;
        }
        Some(Place { _vacancy: vacancy, taken: self.taken.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&client);
            }
        }
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which one machine may have whole
/// (RFC 4291, 2.5.4). `None` for loopback.
fn client(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
        }
        address => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(places: &Places, address: &str) -> Option<Place> {
        let vacancy = places.vacancy().await.unwrap();
        places.take(vacancy, address.parse().unwrap())
    }

    #[tokio::test]
    async fn one_address_gets_half_of_the_places_and_others_theirs() {
        let places = Places::new(8);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(take(&places, "192.0.2.1").await.unwrap());
        }
        assert!(take(&places, "192.0.2.1").await.is_none());
        assert!(take(&places, "::ffff:192.0.2.1").await.is_none());
        let other = take(&places, "192.0.2.2").await.unwrap();
        held.pop();
        assert!(take(&places, "192.0.2.1").await.is_some(), "a place that became free");
        drop((held, other));
        assert!(places.taken.lock().unwrap().is_empty());
        assert_eq!(places.room.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_network_of_ipv6_counts_as_one_and_loopback_not_at_all() {
        let places = Places::new(4);
        let _held =
            (take(&places, "2001:db8::1").await.unwrap(), take(&places, "2001:db8::2").await.unwrap());
        assert!(take(&places, "2001:db8::3").await.is_none());
        assert!(take(&places, "2001:db8:0:1::1").await.is_some());
        let places = Places::new(2);
        let _held = (take(&places, "127.0.0.1").await.unwrap(), take(&places, "::1").await.unwrap());
    }
}
