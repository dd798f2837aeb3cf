//! The quota of a project is shared: calls stay below what the operator allows.

use super::*;
use crate::pki::spiffe_id;

/// Calls a second.
const RATE: usize = 10;
/// How long a request waits for its signature, in seconds.
const PATIENCE: usize = 10;
/// Twice as many as can be served in that time.
const CLIENTS: usize = 2 * RATE * PATIENCE;

#[test]
fn a_burst_stays_within_the_rate_and_leaves_crls_their_share() {
    let cloud = Cloud::with(|launch| launch.env("CATALYST_PKI_GCP_RATE", &RATE.to_string()));
    let (pki, throttled) = (&cloud.pki, cloud.metric("signing_throttled_total").unwrap());
    let stolen = pki.issue("node", "stolen");
    let requests: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
            let instance = format!("n{number}");
            let csr = crate::csr::of(&key, &[&spiffe_id("node", &instance)], &[]);
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
