//! What a service owes its users while the cloud that has its keys fails, whoever's cloud that is.

use crate::{
    auth_cli::run,
    csr,
    pkcs11::{ask, refusal},
    pki::{Pki, eventually, ok, refused, spiffe_id, verifies},
};
use catalyst_rigs::{Launch, logs::LogLine};
use serde_json::json;
use std::{fmt::Debug, thread, time::Duration};

pub(crate) const SERVICES_CA: &str = "Catalyst Services CA";
pub(crate) const TRANSPORT_CA: &str = "Catalyst Transport CA";

/// A request has ten seconds; pauses grow to two. So often at most is one signature asked for.
const MOST: usize = 40;
/// Calls a second that an operator allows.
const RATE: usize = 10;
/// How long a request waits for its signature, in seconds.
const PATIENCE: usize = 10;
/// Twice as many as can be served in that time.
const CLIENTS: usize = 2 * RATE * PATIENCE;

/// A service whose services CA and transport CA have their keys in a cloud that fails as a test says.
pub(crate) trait FailingCloud: Sync + Sized {
    /// The key store's name in settings.
    const STORE: &'static str;
    /// The same as a label of metrics.
    const LABEL: &'static str;
    /// The setting that bounds its calls a second.
    const RATE_SETTING: &'static str;
    /// What a test has it do.
    type Fault: Clone + Debug;

    fn with(settings: impl FnOnce(Launch) -> Launch) -> Self;

    fn pki(&self) -> &Pki;

    /// The services CA's key, as errors name it.
    fn services_key(&self) -> &str;

    /// From now on this happens when the services CA signs.
    fn signing(&self, fault: Self::Fault);

    /// This happens when the services CA signs, so often.
    fn signing_first(&self, times: usize, fault: Self::Fault);

    fn heal(&self);

    /// How often the services CA's key was asked to sign so far.
    fn signs(&self) -> usize;

    fn new() -> Self {
        Self::with(|launch| launch)
    }

    /// A certificate, which verifies.
    #[track_caller]
    fn issues(&self, service_type: &str, instance: &str) {
        let issued = self.pki().issue(service_type, instance);
        verifies(&self.pki().bundle(), issued.answer["certificatePem"].as_str().unwrap());
    }

    /// Waits until the services CA signs, whose answer verifies.
    fn recovers(&self) {
        eventually("the services CA to sign", || {
            (ask(self.pki(), "node", "back").status == 200).then_some(())
        });
        self.issues("node", "recovered");
        eventually("a status without warnings", || self.warnings().is_empty().then_some(()));
        assert_eq!(self.status(), (0, "healthy"));
    }

    fn warnings(&self) -> Vec<String> {
        crate::pkcs11::warnings(self.pki())
    }

    #[track_caller]
    fn warned(&self, parts: &[&str]) {
        let warnings = self.warnings();
        let one = warnings.iter().any(|warning| parts.iter().all(|part| warning.contains(part)));
        assert!(one, "{parts:?} are in none of {warnings:?}");
    }

    /// The exit code of `catalyst pki status`, and its verdict.
    fn status(&self) -> (i32, &'static str) {
        let (code, stdout, stderr) = run(&self.pki().service, &["pki", "status"]);
        match stdout.lines().next() {
            Some("PKI Status: HEALTHY") => (code, "healthy"),
            Some("PKI Status: DEGRADED") => (code, "degraded"),
            _ => panic!("{stdout}{stderr}"),
        }
    }

    /// The value of a line of `/metrics`, by all that stands between `catalyst_pki_` and it; `None`: there is no such
    /// line.
    fn metric(&self, line: &str) -> Option<f64> {
        let metrics = self.pki().service.http().get("/metrics").unwrap().text();
        let line = format!("catalyst_pki_{line} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok())
    }

    /// Waits until a line of `/metrics` has this value, or is gone; the service looks at its keys twice a minute.
    #[track_caller]
    fn shows(&self, line: &str, value: Option<f64>) {
        for _ in 0..1200 {
            if self.metric(line) == value {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{line} is {:?}, not {value:?}", self.metric(line));
    }

    /// The line of `/metrics` on a CA's key.
    fn key_state(ca_name: &str) -> String {
        format!("key_state{{backend=\"{}\",ca_name=\"{ca_name}\"}}", Self::STORE)
    }

    /// How many signatures ended so.
    fn ended(&self, outcome: &str) -> f64 {
        let line = format!(
            "signing_duration_seconds_count{{backend=\"{}\",operation=\"sign\",outcome=\"{outcome}\"}}",
            Self::LABEL
        );
        self.metric(&line).unwrap_or_default()
    }

    /// What was said of keys that latched; each refused request has a line of its own besides.
    fn latched(&self) -> Vec<LogLine> {
        let lines = self.pki().service.log_lines().into_iter();
        lines.filter(|line| line.message.starts_with("Key latched")).collect()
    }

    fn retry(&self) -> (i32, String, String) {
        run(&self.pki().service, &["backend", "retry", Self::STORE])
    }
}

/// Initialized, however long a busy machine takes: an initialization that was cut short is taken up again.
pub(crate) fn initialized(launch: Launch) -> Pki {
    let pki = Pki::start(launch);
    eventually("the hierarchy", || {
        let answer = pki.post("/pki/initialize", &json!({}));
        assert!([200, 503].contains(&answer.status), "{}", answer.text());
        (answer.status == 200).then_some(())
    });
    pki.ready()
}

/// A trouble twice is no more than a delay.
pub(crate) fn delays<C: FailingCloud>(cloud: &C, fault: C::Fault, outcome: &str) {
    let (signs, ended) = (cloud.signs(), cloud.ended(outcome));
    cloud.signing_first(2, fault);
    cloud.issues("node", "patient");
    assert_eq!(cloud.signs() - signs, 3, "two failures and a signature, each of one attempt");
    assert_eq!(cloud.ended(outcome) - ended, 2.0, "{outcome}");
    cloud.heal();
}

/// A trouble that stays is 503 until it is over.
pub(crate) fn passes<C: FailingCloud>(fault: C::Fault, code: &str, outcome: &str) {
    let cloud = C::new();
    delays(&cloud, fault.clone(), outcome);
    let (recorded, ended, signs) = (cloud.pki().recorded(), cloud.ended(outcome), cloud.signs());
    cloud.signing(fault);
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(cloud.pki(), "node", "waits"));
        for number in 0..3 {
            cloud.issues("envoy/app", &format!("goes-on-{number}"));
        }
        let sentence = refused(&asked.join().unwrap(), 503, code);
        assert!(sentence.contains(cloud.services_key()), "{sentence}");
    });
    let asked = cloud.signs() - signs;
    assert!((3..=MOST).contains(&asked), "{asked} calls");
    assert!(cloud.ended(outcome) > ended);
    assert_eq!(cloud.pki().recorded(), recorded + 3, "those of the other CA");
    cloud.warned(&[SERVICES_CA]);
    assert_eq!(cloud.status(), (1, "degraded"));
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
    cloud.issues("envoy/app", "goes-on");

    cloud.heal();
    cloud.recovers();
}

/// The cloud names a wait of thirty seconds: nobody is asked again before it is over, and the client is told.
pub(crate) fn a_named_wait_is_kept<C: FailingCloud>(throttled: C::Fault) {
    let cloud = C::new();
    cloud.shows(&C::key_state(SERVICES_CA), Some(1.0));
    let signs = cloud.signs();
    cloud.signing(throttled);
    let answer = ask(cloud.pki(), "node", "waits");
    refused(&answer, 503, "key_store_throttled");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=33).contains(&wait), "{wait}");
    assert_eq!(cloud.signs() - signs, 1, "asked again before the wait was over");
    assert_eq!(cloud.metric("signing_throttled_total"), Some(1.0));
    let states = || [SERVICES_CA, TRANSPORT_CA].map(|ca| cloud.metric(&C::key_state(ca)));
    assert_eq!(states(), [Some(-1.0), Some(1.0)]);
    cloud.heal();
    cloud.recovers();
    assert_eq!(states(), [Some(1.0); 2]);
}

/// A denial while the key store hangs.
pub(crate) fn a_denial_holds_at_once<C: FailingCloud>(hang: C::Fault) {
    let cloud = C::new();
    let pki = cloud.pki();
    let (stolen, id) = (pki.issue("node", "stolen"), spiffe_id("node", "stolen"));
    cloud.signing(hang);
    assert_eq!(pki.deny(&id, true)["crlPending"], true);
    refused(&ask(pki, "node", "stolen"), 403, "identity_denied");
    assert_eq!(pki.crl("services").entries(), []);
    cloud.heal();
    let serial = stolen.certificate.serial();
    eventually("the CRL", || pki.crl("services").reason_for(&serial));
    cloud.recovers();
}

/// What is slow but answers is waited for, and delays no other CA.
pub(crate) fn slowness_is_waited_for<C: FailingCloud>(slow: C::Fault) {
    let cloud = C::new();
    cloud.signing(slow);
    let signs = cloud.signs();
    thread::scope(|scope| {
        let slow: Vec<_> = (0..8)
            .map(|number| {
                let cloud = &cloud;
                scope.spawn(move || ask(cloud.pki(), "node", &format!("slow-{number}")))
            })
            .collect();
        for number in 0..8 {
            cloud.issues("envoy/app", &format!("fast-{number}"));
        }
        for answer in slow {
            let answer = ok(&answer.join().unwrap());
            verifies(&cloud.pki().bundle(), answer["certificatePem"].as_str().unwrap());
        }
    });
    assert_eq!(cloud.signs() - signs, 8, "one call for each certificate");
}

/// A trouble that stays: so many calls, then 500 with this code and these words, and not one call more until an operator
/// says so.
pub(crate) fn latches<C: FailingCloud>(cloud: &C, fault: C::Fault, calls: usize, code: &str, words: &[&str]) {
    let (recorded, before, signs) = (cloud.pki().recorded(), cloud.latched().len(), cloud.signs());
    cloud.signing(fault.clone());
    let sentence = refused(&ask(cloud.pki(), "node", "refused"), 500, code);
    assert!(words.iter().all(|word| sentence.contains(word)), "{fault:?}: {sentence}");
    assert_eq!(cloud.signs() - signs, calls, "{fault:?}");
    assert_eq!(cloud.metric(&C::key_state(SERVICES_CA)), Some(-2.0), "{fault:?}");
    cloud.warned(&[&[SERVICES_CA], words].concat());
    assert_eq!(cloud.status(), (1, "degraded"), "{fault:?}");

    cloud.heal();
    for number in 0..3 {
        refused(&ask(cloud.pki(), "node", "refused"), 500, code);
        cloud.issues("envoy/app", &format!("unharmed-{recorded}-{number}"));
    }
    assert_eq!(cloud.signs() - signs, calls, "{fault:?}: a latched key was asked");
    assert_eq!(cloud.pki().recorded(), recorded + 3, "{fault:?}: those of the other CA");
    let said = cloud.latched().split_off(before);
    assert_eq!(said.len(), 1, "{fault:?}: {said:?}");
    assert_eq!((said[0].level.as_str(), said[0].property("code")), ("error", Some(code)), "{fault:?}");
    assert!(words.iter().all(|word| said[0].raw.contains(word)), "{fault:?}: {}", said[0].raw);

    let (exit, stdout, stderr) = cloud.retry();
    assert_eq!(exit, 0, "{fault:?}: {stdout}{stderr}");
    cloud.issues("node", &format!("again-{recorded}"));
    assert_eq!(cloud.warnings(), [""; 0], "{fault:?}");
    assert_eq!(cloud.metric(&C::key_state(SERVICES_CA)), Some(1.0), "{fault:?}");
    assert_eq!(cloud.status(), (0, "healthy"), "{fault:?}");
}

/// The account's quota is shared: a burst stays within what the operator allows, and leaves CRLs their share.
pub(crate) fn a_burst_stays_within_the_rate<C: FailingCloud>() {
    let cloud = C::with(|launch| launch.env(C::RATE_SETTING, &RATE.to_string()));
    let (pki, throttled) = (cloud.pki(), cloud.metric("signing_throttled_total").unwrap());
    let stolen = pki.issue("node", "stolen");
    let requests: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
            let instance = format!("n{number}");
            let csr = csr::of(&key, &[&spiffe_id("node", &instance)], &[]);
            (instance, csr)
        })
        .collect();
    let signs = cloud.signs();
    let answers: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = requests
            .iter()
            .map(|(instance, csr)| scope.spawn(move || pki.sign("node", instance, csr)))
            .collect();
        eventually("the first calls", || (cloud.signs() - signs > 2).then_some(()));
        // A denial's CRL is signed while they wait.
        assert_eq!(pki.deny(&spiffe_id("node", "stolen"), true)["crlPending"], false);
        assert!(pki.crl("services").reason_for(&stolen.certificate.serial()).is_some());
        assert!(asked.iter().any(|asked| !asked.is_finished()));
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let (issued, refusals): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    // Calls that begin in the last moment are cut off by the deadline.
    let (late, cut_off): (Vec<_>, Vec<_>) =
        refusals.into_iter().partition(|answer| refusal(answer).1 == "key_store_throttled");
    late.iter().for_each(|answer| drop(refused(answer, 503, "key_store_throttled")));
    cut_off.iter().for_each(|answer| drop(refused(answer, 503, "key_store_timeout")));
    assert!(
        late.len() > CLIENTS / 3 && cut_off.len() <= RATE,
        "{} late, {} cut off",
        late.len(),
        cut_off.len()
    );
    let leaf = issued[0].json().unwrap();
    verifies(&pki.bundle(), leaf["certificatePem"].as_str().unwrap());
    let asked = cloud.signs() - signs;
    assert!(asked <= RATE * PATIENCE, "{asked} calls");
    // One for each certificate, and the CRL.
    assert!((issued.len() + 1..=issued.len() + 1 + cut_off.len()).contains(&asked), "{asked} calls");
    assert!(cloud.metric("signing_throttled_total").unwrap() > throttled);
    assert!(cloud.latched().is_empty());
    cloud.recovers();
}
