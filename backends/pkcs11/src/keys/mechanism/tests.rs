use super::*;
use crate::{
    keys::{Address, find::find_private},
    tests::{backend, both, intent},
    token::Purpose,
};
use catalyst_signing::{KeyLifecycle as _, KeyRole, SigningBackend as _};

const ALL: &[MechanismType] = &[
    MechanismType::ECDSA,
    MechanismType::ECC_KEY_PAIR_GEN,
    MechanismType::SHA256_RSA_PKCS,
    MechanismType::RSA_PKCS,
    MechanismType::SHA256_RSA_PKCS_PSS,
    MechanismType::RSA_PKCS_PSS,
    MechanismType::RSA_PKCS_KEY_PAIR_GEN,
    MechanismType::EDDSA,
    MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
    MechanismType::ML_DSA,
    MechanismType::ML_DSA_KEY_PAIR_GEN,
];

fn facts(mechanisms: &[MechanismType], rsa_bits: &[(MechanismType, usize)]) -> TokenFacts {
    TokenFacts {
        label: "CA".to_owned(),
        serial: "1".to_owned(),
        manufacturer: String::new(),
        model: String::new(),
        firmware: String::new(),
        mechanisms: mechanisms.to_vec(),
        rsa_bits: rsa_bits.to_vec(),
        sessions: None,
    }
}

#[test]
fn a_token_that_has_everything_does_everything() {
    assert_eq!(capabilities(&facts(ALL, &[])), everything());
    let named: Vec<_> = everything().iter().map(|c| c.algorithm).collect();
    assert_eq!(named, Algorithm::ALL);
    assert!(everything().iter().all(|c| c.creates && c.max_message.is_none()));
    assert!(capabilities(&facts(&[], &[])).is_empty());
}

#[test]
fn each_mechanism_that_is_missing_costs_its_algorithms() {
    for missing in ALL {
        let left: Vec<_> = ALL.iter().filter(|m| *m != missing).copied().collect();
        let able = capabilities(&facts(&left, &[]));
        for algorithm in Algorithm::ALL {
            let able = able.iter().find(|c| c.algorithm == *algorithm);
            let maker = pair_maker(*algorithm).unwrap().mechanism_type();
            let only =
                matches!(Recipe::all(*algorithm), [one] if one.mechanism().mechanism_type() == *missing);
            assert_eq!(able.is_none(), only, "{algorithm} without {missing}");
            assert_eq!(able.is_some_and(|c| !c.creates), maker == *missing, "{algorithm} without {missing}");
        }
    }
}

#[test]
fn what_is_hashed_in_the_token_comes_first() {
    assert_eq!(Recipe::choose(Algorithm::Rsa3072, ALL), Some(Recipe::RsaInside));
    assert_eq!(Recipe::choose(Algorithm::Rsa4096Pss, ALL), Some(Recipe::PssInside));
    assert_eq!(Recipe::choose(Algorithm::Rsa3072, &[MechanismType::RSA_PKCS]), Some(Recipe::RsaDigest));
    assert_eq!(
        Recipe::choose(Algorithm::Rsa3072Pss, &[MechanismType::RSA_PKCS_PSS]),
        Some(Recipe::PssDigest)
    );
    assert_eq!(Recipe::choose(Algorithm::EcP384, &[MechanismType::ECDSA_SHA384]), None);
    assert_eq!(wanted(Algorithm::Rsa3072), "CKM_SHA256_RSA_PKCS or CKM_RSA_PKCS");
}

#[test]
fn rsa_is_said_only_where_its_modulus_fits() {
    let sizes = [(MechanismType::RSA_PKCS_KEY_PAIR_GEN, 3072), (MechanismType::SHA256_RSA_PKCS_PSS, 2048)];
    let able = capabilities(&facts(ALL, &sizes));
    let creates = |algorithm| able.iter().find(|c| c.algorithm == algorithm).map(|c| c.creates);
    assert_eq!(creates(Algorithm::Rsa3072), Some(true));
    assert_eq!(creates(Algorithm::Rsa4096), Some(false));
    assert_eq!(creates(Algorithm::Rsa3072Pss), None);
}

#[test]
fn a_torn_ecdsa_answer_is_an_integrity_error_that_does_not_repeat_it() {
    let error = Recipe::Ecdsa(ecdsa::Curve::P256).value(vec![0x5a; 63]).unwrap_err();
    assert_eq!(error.code(), "key_integrity");
    assert!(!error.to_string().contains("90"), "{error}");
}

/// Every recipe gives what X.509 wants, those too that a token with a better one is never asked for.
#[tokio::test]
async fn every_recipe_verifies() {
    let message = vec![7; 1000];
    for token in both() {
        let backend = backend(&token);
        backend.describe().await.unwrap();
        for algorithm in backend.capabilities().iter().map(|c| c.algorithm).collect::<Vec<_>>() {
            let pin = backend.create(&intent(KeyRole::Probe, 1, algorithm)).await.unwrap();
            for recipe in Recipe::all(algorithm) {
                let (address, message) = (Address::of_uri(&pin.uri).unwrap(), message.clone());
                let given = backend.at_token(Purpose::Use, move |desk, config| {
                    let key = find_private(desk, config, &address)?;
                    let most = longest(algorithm);
                    desk.sign(&recipe.mechanism(), key, &recipe.input(&message), most, false)
                });
                let signature = recipe.value(given.await.unwrap()).unwrap();
                assert!(algorithm.verify(&pin.spki, &[7; 1000], &signature), "{algorithm}: {recipe:?}");
            }
        }
    }
}
