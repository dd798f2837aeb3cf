//! What the check of a credential costs beside the issuance that it stands before.

use crate::{
    Outcome, library,
    process::own_cpu,
    requests::{Request, TRUST_DOMAIN},
    table::{Row, Table},
};
use aws_lc_rs::digest::{SHA256, digest};
use catalyst_pki::{
    access::{
        Access, Action, Caller, Config, Entity, MintRequest, Minted, PeerCertificate, Policies, Presented,
        PrincipalKind, Resource,
    },
    authority::Authority,
    identity::{Actor, Fingerprint, ServiceType, Workload},
    store::SqliteStore,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use std::{hint::black_box, sync::Arc, time::Duration};
use tokio::runtime::Builder;

const SYSTEM_TOKEN: &str = "a preset secret of the benchmarks";
const MINTED: u32 = 1_000;
const CHECKS: u32 = 100_000;

struct Setup {
    authority: Arc<Authority>,
    access: Access,
}

/// Measures with one task, so that nothing else uses the process's CPU.
pub(crate) fn report(requests: &[Request], count: usize, table: &mut Table) -> Outcome {
    let directory = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(&directory.path().join("certs.db"))?);
    let requests = &requests[..count.min(requests.len())];
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let authority = library::open(store).await?;
        let access = access(&authority).await?;
        Setup { authority, access }.measure(requests, table).await
    })
}

async fn access(authority: &Authority) -> Outcome<Access> {
    let own = Workload::new(authority.trust_domain(), ServiceType::Auth, "auth.example.org".parse()?)?;
    let config = Config {
        own,
        domains: vec!["example.org".to_owned()],
        dev: false,
        bootstrap_ttl: Duration::from_secs(3_600),
    };
    let (store, clock) = (authority.store().clone(), authority.clock().clone());
    let mut access = Access::new(config, store, clock, Policies::built_in()?);
    access.preset_system_token(&SYSTEM_TOKEN.into()).await?;
    access.open(authority.token_key().await?).await?;
    Ok(access)
}

impl Setup {
    async fn measure(&self, requests: &[Request], table: &mut Table) -> Outcome {
        let before = own_cpu();
        library::issue_all(&self.authority, requests, 1).await?;
        let issuance = (own_cpu() - before) / u32::try_from(requests.len())?;
        table.push(Row::of("credentials: an issuance, a store on disk").cpu(issuance));
        let mut push = |what: &str, cpu: Duration, target| {
            let part = 100.0 * cpu.as_secs_f64() / issuance.as_secs_f64();
            table.push(
                Row::of(format!("credentials: {what}"))
                    .cpu(cpu)
                    .figure(format!("{part:.2} % of it"))
                    .target(target),
            );
        };

        let resources: Vec<_> =
            requests.iter().map(|request| self.access.certificates_of(&request.workload)).collect();
        let system = self.caller(SYSTEM_TOKEN).await?;
        let before = own_cpu();
        let mut minted = Vec::new();
        for number in 0..MINTED {
            minted.push(self.mint(&system, &format!("bench-{number}.example.org")).await?);
        }
        push("mint a token", (own_cpu() - before) / MINTED, "");

        let headers: Vec<_> =
            minted.iter().map(|minted| format!("Bearer {}", minted.token.expose_secret())).collect();
        let before = own_cpu();
        for (header, resource) in headers.iter().zip(&resources) {
            self.check(&bearer(header), resource).await?;
        }
        push("new token, new identity", (own_cpu() - before) / MINTED, "");

        let before = own_cpu();
        for number in 0..CHECKS as usize {
            let number = number % headers.len();
            self.check(&bearer(&headers[number]), &resources[number]).await?;
        }
        push("known token, known identity", (own_cpu() - before) / CHECKS, "≤ 5 %");

        // One administrator asks for all identities, each once.
        let admin = format!("Bearer {SYSTEM_TOKEN}");
        let before = own_cpu();
        for resource in &resources {
            self.check(&bearer(&admin), resource).await?;
        }
        push("known token, new identity", (own_cpu() - before) / u32::try_from(resources.len())?, "≤ 5 %");

        let workload = requests[0].workload.clone();
        let (_, svid) = self.authority.issue_with_new_key(workload, None, None, Actor::System).await?;
        let der = CertificateDer::from_pem_slice(svid.certificate_pem.as_bytes())?.to_vec();
        let certificate = PeerCertificate {
            fingerprint: Fingerprint::of_certificate(&der),
            der,
            not_after: Some(svid.expires_at),
        };
        let presented = Presented { authorization: None, certificate: Some(&certificate), for_csr: true };
        self.check(&presented, &resources[0]).await?;
        let before = own_cpu();
        for _ in 0..CHECKS {
            self.check(&presented, &resources[0]).await?;
        }
        push("known certificate (mutual TLS), known identity", (own_cpu() - before) / CHECKS, "≤ 5 %");

        let token = headers[0].as_bytes();
        let before = own_cpu();
        for _ in 0..CHECKS {
            black_box(digest(&SHA256, black_box(token)));
        }
        push("SHA-256 of a token, for comparison", (own_cpu() - before) / CHECKS, "");
        self.authority.shut_down().await?;
        Ok(())
    }

    async fn caller(&self, token: &str) -> Outcome<Caller> {
        let header = format!("Bearer {token}");
        Ok(self.access.authenticate(bearer(&header)).await?)
    }

    /// As the service does it for each request.
    async fn check(&self, presented: &Presented<'_>, resource: &Resource) -> Outcome {
        let caller = self.access.authenticate(*presented).await?;
        Ok(self.access.authorize(&caller, Action::CertSign, black_box(resource))?)
    }

    async fn mint(&self, caller: &Caller, node: &str) -> Outcome<Minted> {
        let request = MintRequest {
            subject: node.to_owned(),
            principal: PrincipalKind::Node,
            entity: Entity {
                id: node.to_owned(),
                name: node.to_owned(),
                entity_type: "service".to_owned(),
                node_id: Some(node.to_owned()),
                trusted_nodes: Vec::new(),
                trusted_domains: vec![TRUST_DOMAIN.to_owned()],
            },
            sans: vec![node.to_owned()],
            expires_in: None,
            certificate: None,
            bootstrap: Default::default(),
        };
        Ok(self.access.mint(caller, request).await?)
    }
}

fn bearer(header: &str) -> Presented<'_> {
    Presented { authorization: Some(header.as_bytes()), certificate: None, for_csr: true }
}
