//! SIGKILL while the hierarchy is being made: never half of it, never a second one.

use crate::{
    deployment::{Deployment, Holder},
    inspect::{KEY_FILES, KEYS, facts, key_files, names_in},
};
use catalyst_rigs::{Seeded, Service, http::Client};
use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

const DEPLOYMENTS: usize = 12;
const KILLS_EACH: usize = 3;

#[test]
fn a_first_start_that_is_killed_is_finished_by_the_next_ones() {
    let mut random = Seeded::new();
    let started = Instant::now();
    drop(Deployment::dev().initialized());
    let whole = started.elapsed();
    // Two at a time: most of it is scrypt, and machines have cores.
    let sources = [random.split(), random.split()];
    let unfinished: usize = thread::scope(|scope| {
        let workers = sources.map(|mut random| {
            scope.spawn(move || -> usize {
                (0..DEPLOYMENTS / 2).map(|_| killed_first_start(&mut random, whole)).sum()
            })
        });
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    println!("{unfinished} of {} kills came before the hierarchy was whole", DEPLOYMENTS * KILLS_EACH);
    assert!(unfinished > 0);
}

/// What was ever seen of one deployment.
#[derive(Default)]
struct Seen {
    deployments: BTreeSet<String>,
    roots: BTreeSet<String>,
    bundles: BTreeSet<String>,
}

/// Kills a new deployment's service a few times, then lets it come up. Answers how often it had not finished.
fn killed_first_start(random: &mut Seeded, whole: Duration) -> usize {
    let deployment = Deployment::dev();
    let mut seen = Seen::default();
    let mut unfinished = 0;
    for _ in 0..KILLS_EACH {
        let mut service = deployment.launch().spawn().unwrap();
        let end = Instant::now() + random.duration(whole);
        seen.watch_until(end, &mut service);
        service.kill().unwrap();
        unfinished += usize::from(!seen.look(&deployment));
    }
    let (mut service, client) = deployment.initialized();
    seen.bundle(&client);
    assert_eq!(Holder::new("gateway", "g.example.org").ask(&client).unwrap().status, 200);
    assert_eq!(service.stop().unwrap().code(), Some(0), "{}", service.log());
    assert!(seen.look(&deployment));
    assert_eq!(facts(&deployment.data_dir()).keys, KEYS);
    assert_eq!(key_files(&deployment.data_dir()), KEY_FILES);
    // Nor does anything else of the killed starts lie about.
    let whole = ["catalyst.lock", "certs.db", "dev-passphrase", "keys", "system-token"];
    assert_eq!(names_in(&deployment.data_dir()), whole);
    assert_eq!((seen.deployments.len(), seen.roots.len(), seen.bundles.len()), (1, 1, 1));
    unfinished
}

impl Seen {
    fn watch_until(&mut self, end: Instant, service: &mut Service) {
        while Instant::now() < end {
            if service.log_lines().iter().any(|line| line.message == "Listening") {
                service.wait_until_listening().unwrap();
                self.bundle(&service.http());
            }
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// All three certificates, or none.
    fn bundle(&mut self, client: &Client) {
        let answer = client.get("/pki/ca/bundle").unwrap();
        if answer.status == 503 {
            assert_eq!(answer.json().unwrap()["code"], "not_initialized");
            return;
        }
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text().matches("BEGIN CERTIFICATE").count(), 3);
        self.bundles.insert(answer.text());
    }

    /// Whether the hierarchy is whole; where it is not, there is nothing of it.
    fn look(&mut self, deployment: &Deployment) -> bool {
        if !deployment.data_dir().join("certs.db").exists() {
            return false;
        }
        let facts = facts(&deployment.data_dir());
        assert_eq!(facts.cas.len(), if facts.initialized { 3 } else { 0 });
        self.roots.extend(facts.cas.get("root-ca").cloned());
        self.deployments.insert(facts.deployment);
        facts.initialized
    }
}
