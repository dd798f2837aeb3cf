//! Denying an identity against issuing to it: whoever is first, no certificate escapes.

use crate::{
    deployment::{Deployment, Holder, until},
    library::{Library, issue, published, request, serials_on, workload},
};
use catalyst_pki::{
    authority::{Authority, AuthorityError, Svid},
    identity::{Actor, CaRole, Serial},
};
use catalyst_rigs::{Seeded, http::Client};
use std::{sync::Arc, thread, time::Duration};

const ROUNDS: usize = 10_000;
const SVID_SECONDS: i64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_certificate_escapes_a_denial_in_ten_thousand_races() {
    let mut random = Seeded::new();
    let library = Library::new();
    let authority = library.initialized().await;
    let id = "spiffe://catalyst.example.com/gateway/raced.example.org";
    let request = request(id, SVID_SECONDS);
    let (mut held, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        // The certificates of the round before have expired: every list is as long as one round makes it.
        library.pass(SVID_SECONDS + 60);
        let (first, second) = (random.duration(LONGEST_LEAD), random.duration(LONGEST_LEAD));
        let issuing = [first, second].map(|lead| {
            let (authority, request) = (authority.clone(), request.clone());
            tokio::spawn(async move {
                spin(lead).await;
                issue(&authority, &request).await
            })
        });
        spin(random.duration(2 * LONGEST_LEAD)).await;
        let denied = authority.deny(&workload(id), "a race", false, Actor::System).await.unwrap();
        assert!(!denied.crl_pending);
        let mut issued = Vec::new();
        for task in issuing {
            match task.await.unwrap() {
                Ok(svid) => issued.push(svid),
                Err(AuthorityError::Denied(_)) => refused += 1,
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        let named: Vec<Serial> = denied.expiring.iter().map(|certificate| certificate.serial).collect();
        assert!(issued.iter().all(|svid| named.contains(&svid.serial)), "round {round}: not in the answer");
        on_the_crl(&authority, &issued, round);
        held += issued.len();
        assert_eq!(authority.allow(&workload(id), Actor::System).await.unwrap(), (true, false));
        if round % 1000 == 999 {
            // Eight days on, what has expired can go.
            library.pass(8 * 86_400);
            authority.purge_expired(Actor::Service).await.unwrap();
        }
    }
    println!("{held} certificates were put on hold, {refused} requests refused");
    assert!(held > 0 && refused > 0, "one side was always first: {held}, {refused}");
}

/// About as long as an issuance takes.
const LONGEST_LEAD: Duration = Duration::from_micros(1200);

/// Lets others go first for so long. A timer would be too coarse.
async fn spin(lead: Duration) {
    let end = std::time::Instant::now() + lead;
    while std::time::Instant::now() < end {
        tokio::task::yield_now().await;
    }
}

fn on_the_crl(authority: &Arc<Authority>, issued: &[Svid], round: usize) {
    let listed = serials_on(&published(authority, CaRole::Services).der);
    for svid in issued {
        assert!(listed.contains(&svid.serial), "round {round}: {} is not on the CRL", svid.serial);
    }
}

/// With `allow` in the race too, the end decides: a denied identity's certificates are on the CRL, all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_came_last_decides_when_deny_allow_and_issue_race() {
    let mut random = Seeded::new();
    let library = Library::new();
    let authority = library.initialized().await;
    let id = "spiffe://catalyst.example.com/gateway/raced.example.org";
    let request = request(id, SVID_SECONDS);
    let mut ended_denied = 0;
    for round in 0..500 {
        library.pass(SVID_SECONDS + 60);
        let leads = [(); 4].map(|()| random.duration(LONGEST_LEAD));
        let issuing = tokio::spawn(issue_after(authority.clone(), request.clone(), leads[0]));
        let again = tokio::spawn(issue_after(authority.clone(), request.clone(), leads[1]));
        let denying = tokio::spawn(deny_after(authority.clone(), id, leads[2]));
        spin(leads[3]).await;
        authority.allow(&workload(id), Actor::System).await.unwrap();
        denying.await.unwrap();
        let issued: Vec<Svid> =
            [issuing.await.unwrap(), again.await.unwrap()].into_iter().flatten().collect();
        let denied = authority.denied().await.unwrap();
        if denied.is_empty() {
            let listed = serials_on(&published(&authority, CaRole::Services).der);
            assert!(issued.iter().all(|svid| !listed.contains(&svid.serial)), "round {round}: still on hold");
        } else {
            ended_denied += 1;
            on_the_crl(&authority, &issued, round);
            authority.allow(&workload(id), Actor::System).await.unwrap();
        }
    }
    assert!((1..500).contains(&ended_denied), "{ended_denied} of 500 ended denied");
}

async fn issue_after(
    authority: Arc<Authority>,
    request: catalyst_pki::authority::IssueRequest,
    lead: Duration,
) -> Option<Svid> {
    spin(lead).await;
    match issue(&authority, &request).await {
        Ok(svid) => Some(svid),
        Err(AuthorityError::Denied(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn deny_after(authority: Arc<Authority>, id: &str, lead: Duration) {
    spin(lead).await;
    authority.deny(&workload(id), "a race", false, Actor::System).await.unwrap();
}

#[test]
fn no_certificate_escapes_a_denial_over_http() {
    let mut random = Seeded::new();
    let deployment = Deployment::dev();
    let (_service, client) = deployment.initialized();
    let (mut held, mut refused) = (0, 0);
    for round in 0..200 {
        let holder = Holder::new("gateway", &format!("raced-{round}.example.org"));
        let leads = [8, 8, 20].map(|longest| random.duration(Duration::from_millis(longest)));
        let answers = thread::scope(|scope| {
            let issuing = [leads[0], leads[1]].map(|lead| {
                let (holder, client) = (&holder, &client);
                scope.spawn(move || {
                    thread::sleep(lead);
                    holder.ask(client).unwrap()
                })
            });
            thread::sleep(leads[2]);
            let denied = holder.deny(&client).unwrap();
            assert_eq!(denied.status, 200, "{}", denied.body);
            issuing.map(|task| task.join().unwrap())
        });
        for answer in answers {
            match answer.status {
                200 => {
                    held += 1;
                    let serial = answer.body["serial"].as_str().unwrap().parse().unwrap();
                    until("the certificate is on the CRL", || on_crl(&client, serial).then_some(()));
                }
                403 => refused += 1,
                _ => panic!("{}", answer.body),
            }
        }
    }
    println!("{held} certificates were put on hold, {refused} requests refused");
    assert!(held > 0 && refused > 0);
}

fn on_crl(client: &Client, serial: Serial) -> bool {
    serials_on(&client.get("/pki/crl/services").unwrap().body).contains(&serial)
}
