//! Renewal proofs: any header and claims, signed by the key of a certificate of ours; and certificates as mutual TLS
//! presents them. Who is let in holds that certificate, and has proven it for one CSR and for a minute.
#![no_main]

#[path = "shared/service.rs"]
mod service;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use catalyst_pki::{
    access::{Credential, PeerCertificate, Presented, PrincipalKind},
    identity::Fingerprint,
};
use libfuzzer_sys::fuzz_target;
use service::{Issued, Service, now};
use std::cell::OnceCell;

struct Setup {
    service: Service,
    issued: Issued,
    x5c: String,
}

impl Setup {
    fn start() -> Self {
        let service = Service::start();
        let issued = Issued::to(&service, "node-a.example.org");
        Self { x5c: STANDARD.encode(&issued.der), issued, service }
    }

    fn proven(&self, proof: &str) {
        assert!(self.service.caller(format!("Bearer {proof}").as_bytes()).is_none(), "taken as a token");
        let Some(caller) = self.service.caller(format!("Catalyst-Renew {proof}").as_bytes()) else { return };
        assert_eq!(caller.facts.kind, PrincipalKind::Svid);
        let Credential::Svid { renewal, csr: Some(_) } = caller.credential else { panic!("of no CSR") };
        assert_eq!(renewal.certificate, Fingerprint::of_certificate(&self.issued.der));
        let (_, ends) = renewal.proof.unwrap();
        assert!((now()..=now() + 121).contains(&ends.seconds()), "{ends}");
    }

    fn shown(&self, der: &[u8]) {
        let fingerprint = Fingerprint::of_certificate(der);
        let certificate = PeerCertificate { der: der.to_vec(), fingerprint, not_after: None };
        let presented = Presented { authorization: None, certificate: Some(&certificate), for_csr: true };
        let taken = self.service.runtime.block_on(self.service.access.authenticate(presented)).is_ok();
        assert_eq!(taken, der == self.issued.der);
    }
}

thread_local! {
    static SETUP: OnceCell<Setup> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    SETUP.with(|setup| {
        let setup = setup.get_or_init(Setup::start);
        match data.split_first() {
            Some((0, der)) => setup.shown(der),
            Some((1, text)) => {
                let Ok(text) = std::str::from_utf8(text) else { return };
                let mut now_and_end = text.replace("$X5C", &setup.x5c);
                for (word, time) in [("$NOW", now()), ("$END", now() + 60)] {
                    now_and_end = now_and_end.replace(word, &time.to_string());
                }
                let (header, claims) = now_and_end.split_once('\n').unwrap_or((&now_and_end, ""));
                setup.proven(&setup.issued.signed(header, claims));
            }
            _ => {
                if let Ok(proof) = std::str::from_utf8(data) {
                    setup.proven(proof);
                }
            }
        }
    });
});
