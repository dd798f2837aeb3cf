//! A process ends between any two calls, and its successor has the key: one.

use super::{OTHER_REGION, intent, plant, proxy, replicating};
use catalyst_rigs::aws::{Fault, FaultProxy, When};
use catalyst_signing::{KeyIntent, KeyLifecycle as _, SignatureAlgorithm};
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

const ROUNDS: usize = 50;
const AT_ONCE: usize = 10;

/// When a process ends, counted in its calls from 1.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// KMS never got this call.
    Before(usize),
    /// KMS acted on this call, and its answer came to nobody.
    After(usize),
}

/// Runs a creation until it is killed, or ends before that.
async fn until_killed(proxy: &FaultProxy, intent: &KeyIntent, kill: Kill) {
    let backend = replicating(proxy);
    proxy.forget_calls();
    let last = match kill {
        Kill::Before(call) => call,
        Kill::After(call) => {
            proxy.script(When::any().nth(call), Fault::AnswerLost);
            call + 1
        }
    };
    proxy.script(When::any().after(last - 1), Fault::Hangs);
    let arrived = async {
        while proxy.calls().len() < last {
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = backend.create(intent) => {}
        () = arrived => {}
    }
    proxy.heal();
}

async fn round(number: usize, kills: Vec<Kill>) {
    let proxy = proxy();
    let intent = intent(SignatureAlgorithm::EcP384);
    until_killed(&proxy, &intent, kills[number % kills.len()]).await;
    // And its successor too, at another place.
    if number % 2 == 1 {
        until_killed(&proxy, &intent, kills[number / 2 % kills.len()]).await;
    }
    let kill = format!("round {number} of {kills:?}");
    let pin = replicating(&proxy).create(&intent).await.expect(&kill);
    let id = pin.uri.rest().rsplit('/').next().unwrap();
    assert_eq!(plant::carrying(&proxy, &intent.nonce), [id], "{kill}");
    assert_eq!(plant::keys(&proxy, OTHER_REGION), [id], "{kill}");
    assert_eq!(plant::aliases(&proxy, id), ["alias/catalyst-pki/0123456789abcdef/services-1"], "{kill}");
    // Killed before it was committed: the next one has it as well.
    assert_eq!(replicating(&proxy).create(&intent).await, Ok(pin), "{kill}");
    assert_eq!(plant::carrying(&proxy, &intent.nonce).len(), 1, "{kill}");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_process_is_killed_there_is_one_key() {
    let undisturbed = proxy();
    replicating(&undisturbed).create(&intent(SignatureAlgorithm::EcP384)).await.unwrap();
    let calls = undisturbed.calls().len();
    assert!(
        ["CreateKey", "GetPublicKey", "CreateAlias", "ReplicateKey"]
            .iter()
            .all(|o| undisturbed.count(o) == 1)
    );
    let kills: Vec<Kill> = (1..=calls).flat_map(|call| [Kill::Before(call), Kill::After(call)]).collect();

    let mut rounds = JoinSet::new();
    for number in 0..ROUNDS {
        if rounds.len() >= AT_ONCE {
            rounds.join_next().await.unwrap().unwrap();
        }
        rounds.spawn(round(number, kills.clone()));
    }
    rounds.join_all().await;
}
