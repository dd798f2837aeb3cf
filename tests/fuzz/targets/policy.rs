//! Files of an operator's policy directory: whatever lies there is taken or refused with a sentence, and what is taken
//! decides.
#![no_main]

use catalyst_pki::access::{Action, Facts, Policies, PrincipalKind, Resource};
use libfuzzer_sys::fuzz_target;
use std::{cell::OnceCell, fs};
use tempfile::TempDir;

thread_local! {
    static PLACE: OnceCell<TempDir> = const { OnceCell::new() };
}

fn facts(kind: PrincipalKind) -> Facts {
    Facts {
        kind,
        cedar_id: "n".into(),
        sub: "n".into(),
        id: "n".into(),
        name: "n".into(),
        entity_type: "service".into(),
        node_id: Some("n1".into()),
        spiffe_id: "spiffe://example.org/node/n1".parse().ok(),
        trusted_nodes: vec!["n1".into()],
        trusted_domains: vec!["example.org".into()],
    }
}

fuzz_target!(|content: &[u8]| {
    PLACE.with(|place| {
        let place = place.get_or_init(|| TempDir::new().unwrap());
        // A second file, so that names and counts of two are told apart.
        fs::write(place.path().join("a.cedar"), content).unwrap();
        fs::write(place.path().join("b.cedar"), &content[content.len() / 2..]).unwrap();
        let both = Policies::load(Some(place.path()));
        fs::remove_file(place.path().join("b.cedar")).unwrap();
        for policies in [both, Policies::load(Some(place.path()))] {
            match policies {
                Ok(policies) => {
                    assert!(!policies.hash().is_empty());
                    let resource = Resource::of_node("n1", &["example.org".into()]);
                    for kind in PrincipalKind::ALL {
                        for action in
                            [Action::CertSign, Action::IbgpConnect, Action::TokenCreate, Action::Login]
                        {
                            let _ = policies.decide(&facts(*kind), action, &resource);
                        }
                    }
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    });
});
