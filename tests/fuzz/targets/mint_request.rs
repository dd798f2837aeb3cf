//! Bodies that ask for a token, from minters of several ranks. What is made grants no more than its minter holds.
#![no_main]

#[path = "shared/service.rs"]
mod service;

use catalyst_pki::{
    access::{Caller, Claims, Credential, Entity, MintRequest, PrincipalKind},
    api,
    server::mint_request,
};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;
use service::{SYSTEM_TOKEN, Service};
use std::{cell::OnceCell, time::Duration};

struct Setup {
    service: Service,
    minters: Vec<Caller>,
}

impl Setup {
    fn start() -> Self {
        let service = Service::start();
        let system = service.caller(format!("Bearer {SYSTEM_TOKEN}").as_bytes()).unwrap();
        let made = |principal, node: Option<&str>, nodes: &[&str], domains: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
            let request = MintRequest {
                subject: "minter".into(),
                principal,
                entity: Entity {
                    id: "m".into(),
                    name: "m".into(),
                    entity_type: "service".into(),
                    node_id: node.map(str::to_owned),
                    trusted_nodes: owned(nodes),
                    trusted_domains: owned(domains),
                },
                sans: Vec::new(),
                expires_in: Some(Duration::from_secs(86_400)),
                certificate: None,
                bootstrap: Default::default(),
            };
            let minted = service.runtime.block_on(service.access.mint(&system, request)).unwrap();
            service.caller(format!("Bearer {}", minted.token.expose_secret()).as_bytes()).unwrap()
        };
        let minters = vec![
            made(PrincipalKind::Admin, None, &[], &["a.example.org"]),
            made(PrincipalKind::Admin, None, &["n1", "n2"], &[]),
            made(PrincipalKind::Node, Some("n1"), &[], &["a.example.org"]),
            made(PrincipalKind::User, None, &[], &[]),
            system,
        ];
        Self { service, minters }
    }

    fn mint(&self, minter: &Caller, request: MintRequest) {
        let asked = request.clone();
        let access = &self.service.access;
        let Ok(minted) = self.service.runtime.block_on(access.mint(minter, request)) else { return };
        let claims =
            self.service.runtime.block_on(access.verify(minted.token.expose_secret(), None)).unwrap();
        grants_no_more(minter, &claims);
        assert_eq!((&claims.sub, claims.sub == "bootstrap"), (&asked.subject, claims.bootstrap.is_some()));
        assert_eq!(claims.cnf.is_some(), asked.certificate.is_some());
        assert_eq!(minted.expires_at.seconds(), claims.exp);
    }
}

fn grants_no_more(minter: &Caller, claims: &Claims) {
    let Credential::Token { expires, .. } = minter.credential else { panic!("mints without a token") };
    assert!(expires.is_none_or(|end| claims.exp <= end.seconds()), "outlives its minter");
    let kind: PrincipalKind = claims.principal.trim_start_matches("CATALYST::").parse().unwrap();
    let facts = &minter.facts;
    if let Some(grant) = &claims.bootstrap {
        assert_eq!(kind, PrincipalKind::Bootstrap);
        let auth = grant.spiffe_id.as_ref().is_some_and(|id| id.0.path().starts_with("auth/"));
        assert!(!auth && grant.uses >= 1 && (grant.spiffe_id.is_some() || facts.is_global_admin()));
        return;
    }
    assert!(kind == facts.kind || facts.kind == PrincipalKind::Admin, "{} makes {kind}", facts.kind);
    assert!(kind != PrincipalKind::Admin || facts.is_global_admin(), "{} makes an ADMIN", facts.kind);
    let sets = [
        (&claims.entity.trusted_nodes, &facts.trusted_nodes),
        (&claims.entity.trusted_domains, &facts.trusted_domains),
    ];
    for (granted, held) in sets {
        let within = !granted.is_empty() && granted.iter().all(|item| held.contains(item));
        assert!(held.is_empty() || within, "{granted:?} of {held:?}");
    }
}

thread_local! {
    static SETUP: OnceCell<Setup> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    SETUP.with(|setup| {
        let setup = setup.get_or_init(Setup::start);
        let Some((which, body)) = data.split_first() else { return };
        let Ok(body) = serde_json::from_slice::<api::MintRequest>(body) else { return };
        if let Some(request) = mint_request(setup.service.ca.trust_domain(), body) {
            setup.mint(&setup.minters[usize::from(*which) % setup.minters.len()], request);
        }
    });
});
