//! Tokens: an `Authorization` header of any bytes, and a JWT of any header and claims under our own key. Who is let in
//! has what a token of ours has.
#![no_main]

#[path = "shared/service.rs"]
mod service;

use catalyst_pki::access::{Credential, Entity, MintRequest, PrincipalKind};
use libfuzzer_sys::fuzz_target;
use service::{SYSTEM_TOKEN, Service, TRUST_DOMAIN, now};
use std::cell::OnceCell;

/// A service and the name of a token that it knows: without it nothing that a fuzzer writes is ever taken.
struct Setup {
    service: Service,
    jti: String,
}

impl Setup {
    fn start() -> Self {
        let service = Service::start();
        let system = service.caller(format!("Bearer {SYSTEM_TOKEN}").as_bytes()).unwrap();
        let name = || "node-a".to_owned();
        let request = MintRequest {
            subject: name(),
            principal: PrincipalKind::Node,
            entity: Entity {
                id: name(),
                name: name(),
                entity_type: "service".into(),
                node_id: None,
                trusted_nodes: Vec::new(),
                trusted_domains: Vec::new(),
            },
            sans: Vec::new(),
            expires_in: None,
            certificate: None,
            bootstrap: Default::default(),
        };
        let minted = service.runtime.block_on(service.access.mint(&system, request)).unwrap();
        Self { jti: minted.jti, service }
    }

    fn presented(&self, token: &str) {
        let Some(caller) = self.service.caller(format!("Bearer {token}").as_bytes()) else { return };
        let claims = self.service.runtime.block_on(self.service.access.verify(token, None)).unwrap();
        assert_eq!((claims.aud.as_str(), &claims.jti), (TRUST_DOMAIN, &self.jti));
        assert!(claims.iss.starts_with("spiffe://example.org/auth/"), "{}", claims.iss);
        assert!(claims.cnf.is_none(), "taken without its certificate");
        assert!(claims.nbf <= now() + 1 && now() < claims.exp + 1);
        match caller.credential {
            Credential::Token { expires, .. } => {
                assert!(claims.bootstrap.is_none());
                assert_eq!(expires.unwrap().seconds(), claims.exp);
            }
            Credential::Bootstrap(_) => assert_eq!(caller.facts.kind, PrincipalKind::Bootstrap),
            Credential::Svid { .. } => panic!("a token is no certificate"),
        }
    }
}

thread_local! {
    static SETUP: OnceCell<Setup> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    SETUP.with(|setup| {
        let setup = setup.get_or_init(Setup::start);
        let (kid, now) = (setup.service.kid(), now().to_string());
        let filled =
            |text: &str| text.replace("$KID", &kid).replace("$JTI", &setup.jti).replace("$NOW", &now);
        match data.split_first().map(|(first, rest)| (*first, std::str::from_utf8(rest))) {
            Some((0, Ok(claims))) => {
                let header = filled(r#"{"alg":"ES384","kid":"$KID","typ":"JWT"}"#);
                setup.presented(&setup.service.signed(&header, &filled(claims)));
            }
            Some((1, Ok(both))) => {
                let (header, claims) = both.split_once('\n').unwrap_or((both, ""));
                setup.presented(&setup.service.signed(&filled(header), &filled(claims)));
            }
            _ => assert!(setup.service.caller(data).is_none()),
        }
    });
});
