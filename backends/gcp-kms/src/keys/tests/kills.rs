//! A process ends between any two calls, and its successor has the key: one.

use super::{backend, clients, config, fake, intent, plant};
use crate::keys::create::create_within;
use catalyst_rigs::gcp::{Effect, FakeKms, Generation, On, Settings, When, api::Method};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, SignatureAlgorithm};
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

const AT_ONCE: usize = 8;

/// When a process ends, counted in its calls from 1.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// Cloud KMS never got this call.
    Before(usize),
    /// Cloud KMS acted on this call, and its answer came to nobody.
    After(usize),
}

/// Where a creation begins.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// Nobody has acted on the intent.
    Nothing,
    /// Its key is there, and its versions came to nothing.
    Spent,
}

impl Start {
    async fn begin(self) -> (FakeKms, KeyIntent) {
        let (fake, intent) = (fake(), intent(SignatureAlgorithm::EcP384));
        if matches!(self, Self::Spent) {
            fake.set(&Settings { generation: Generation::Failing, ..Settings::default() }).unwrap();
            create_within(Duration::ZERO, &clients(config(&fake)), &intent).await.unwrap_err();
            fake.set(&Settings::default()).unwrap();
        }
        (fake, intent)
    }

    /// Every place at which a creation that begins here can be cut.
    async fn kills(self, makes: Method) -> Vec<Kill> {
        let (fake, intent) = self.begin().await;
        let before = (fake.calls().unwrap().len(), fake.count(makes).unwrap());
        backend(&fake).create(&intent).await.unwrap();
        assert_eq!(fake.count(makes).unwrap(), before.1 + 1);
        let calls = fake.calls().unwrap().len() - before.0;
        (1..=calls).flat_map(|call| [Kill::Before(call), Kill::After(call)]).collect()
    }
}

/// Runs a creation until it is killed, or ends before that.
async fn until_killed(fake: &FakeKms, intent: &KeyIntent, kill: Kill) {
    let (call, effect) = match kill {
        Kill::Before(call) => (call, Effect::Hang),
        Kill::After(call) => (call, Effect::HangAfterwards),
    };
    let last = fake.calls().unwrap().len() + call;
    fake.add(On::default(), When::Nth(u32::try_from(call).unwrap()), effect).unwrap();
    let backend = backend(fake);
    let arrived = async {
        loop {
            let calls = fake.calls().unwrap();
            let cut = calls.get(last - 1);
            if cut.is_some_and(|cut| cut.acted || matches!(kill, Kill::Before(_)) || cut.code.is_some()) {
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = backend.create(intent) => {}
        () = arrived => {}
    }
    fake.clear().unwrap();
}

async fn round(start: Start, first: Kill, second: Option<Kill>) {
    let (fake, intent) = start.begin().await;
    until_killed(&fake, &intent, first).await;
    // And its successor too, at another place.
    if let Some(second) = second {
        until_killed(&fake, &intent, second).await;
    }
    let kill = format!("{start:?}, {first:?}, then {second:?}");
    let pin = backend(&fake).create(&intent).await.expect(&kill);
    assert_eq!(plant::keys(&fake).len(), 1, "{kill}");
    assert_eq!(plant::live(&fake, &plant::name(&intent)), 1, "{kill}");
    // Killed before it was committed: the next one has it as well.
    assert_eq!(backend(&fake).create(&intent).await, Ok(pin), "{kill}");
    assert_eq!(plant::live(&fake, &plant::name(&intent)), 1, "{kill}");
}

async fn however_often(start: Start, makes: Method) {
    let kills = start.kills(makes).await;
    let mut rounds = JoinSet::new();
    for (number, first) in kills.iter().enumerate() {
        for second in [None, Some(kills[(number * 5 + 3) % kills.len()])] {
            if rounds.len() >= AT_ONCE {
                rounds.join_next().await.unwrap().unwrap();
            }
            rounds.spawn(round(start, *first, second));
        }
    }
    rounds.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_process_is_killed_there_is_one_key() {
    however_often(Start::Nothing, Method::CreateCryptoKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_process_is_killed_there_is_one_version_in_place_of_those_that_came_to_nothing() {
    however_often(Start::Spent, Method::CreateCryptoKeyVersion).await;
}
