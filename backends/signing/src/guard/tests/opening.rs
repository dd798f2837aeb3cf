//! What must hold before a key may be used.

use super::*;

async fn open_err(rogue: &Arc<Rogue>, pin: KeyPin, probe: bool) -> SignError {
    guard(&Arc::default()).open(rogue.clone(), pin, policy(probe, 4), within(5)).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn another_key_than_the_pinned_one_is_refused_and_both_are_named() {
    let (rogue, other) = (Rogue::new(), Rogue::new());
    let error = open_err(&rogue, other.pin(), true).await;
    assert_eq!(error.code(), "key_integrity");
    for pin in [rogue.pin(), other.pin()] {
        let hash: String = pin.spki_sha256().iter().map(|b| format!("{b:02x}")).collect();
        assert!(error.to_string().contains(&hash), "{error}");
    }
    assert_eq!(rogue.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pin_of_another_scheme_algorithm_or_without_a_key_is_refused() {
    let rogue = Rogue::new();
    let elsewhere = KeyPin { uri: KeyUri::parse("local:services-1").unwrap(), ..rogue.pin() };
    assert_eq!(open_err(&rogue, elsewhere, true).await.code(), "key_refused_configuration");
    let pq = KeyPin { algorithm: SignatureAlgorithm::MlDsa65, ..rogue.pin() };
    assert_eq!(open_err(&rogue, pq, true).await.code(), "key_refused_unsupported");
    let empty = KeyPin { spki: Vec::new(), ..rogue.pin() };
    assert_eq!(open_err(&rogue, empty, true).await.code(), "key_integrity");
}

#[tokio::test(start_paused = true)]
async fn a_hidden_public_key_is_proved_by_a_probe_signature_before_opening() {
    let rogue = Rogue::new();
    *rogue.shown.lock().unwrap() = None;
    guard(&Arc::default()).open(rogue.clone(), rogue.pin(), policy(true, 4), within(5)).await.unwrap();
    let signed = rogue.signed.lock().unwrap();
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].1, b"catalyst-pki/probe/v1\x000123456789abcdef");
}

#[tokio::test(start_paused = true)]
async fn a_hidden_public_key_that_is_another_never_opens() {
    let rogue = Rogue::new();
    *rogue.shown.lock().unwrap() = None;
    rogue.will(vec![Act::AnotherKey; 9]);
    assert_eq!(open_err(&rogue, rogue.pin(), true).await.code(), "key_integrity");
    assert_eq!(rogue.calls(), 3, "one attempt and two retries");
}

#[tokio::test(start_paused = true)]
async fn the_root_is_never_probed_even_with_a_hidden_public_key() {
    let rogue = Rogue::new();
    *rogue.shown.lock().unwrap() = None;
    let (key, _) = open(&rogue).await;
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(rogue.calls(), 0);
    assert_eq!(key.probe(within(1)).await.unwrap_err().code(), "key_refused_purpose");
    // Unless an operator wants the proof that it signs.
    key.prove(within(1)).await.unwrap();
    assert_eq!(rogue.calls(), 1);
    // Its first signature is verified like any other.
    rogue.will(vec![Act::AnotherKey; 3]);
    assert_eq!(sign(&key).await.unwrap_err().code(), "key_integrity");
}

#[tokio::test(start_paused = true)]
async fn opening_is_retried_while_it_may_pass_and_no_longer() {
    let rogue = Rogue::new();
    rogue.openings.lock().unwrap().extend(vec![SignError::unavailable("away"); 3]);
    let (_key, seen) = open(&rogue).await;
    assert_eq!(seen.outcomes(Operation::Open).len(), 4);

    rogue.openings.lock().unwrap().push_back(SignError::refused(Refusal::Denied, "kms:GetPublicKey"));
    assert_eq!(open_err(&rogue, rogue.pin(), false).await.code(), "key_refused_denied");
}
