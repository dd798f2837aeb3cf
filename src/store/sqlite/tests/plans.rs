//! With many rows no step of the everyday reads them all.

use super::SqliteStore;
use crate::{
    identity::Fingerprint,
    store::{
        BootstrapUse, CertificateQuery, CertificateStatus, IssuanceLimit, KeyRole, RenewalUse,
        RevocationReason, Ticket, TokenQuery, TokenSelector,
        conformance::fixture::{World, at, intention, made, signed, spiffe, stamp, token},
    },
};
use rusqlite::{
    Connection,
    trace::{TraceEvent, TraceEventCodes},
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Copies the one certificate 100,000 times, by hand: the plans do not depend on how the rows came.
const MULTIPLY: &str = "
    INSERT INTO identity (spiffe_id)
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
        SELECT 'spiffe://td.example/node/many-' || n FROM n;
    INSERT INTO certificate_record (id, identity, issuer, state, not_before, not_after, created_at, serial, spki,
        fingerprint, type, common_name, certificate_pem)
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
        SELECT 1000 + n, (SELECT max(id) FROM identity) - n % 1000, issuer, iif(n % 100 = 7, 1, 0), not_before,
            not_after - n * 100, created_at, CAST(x'01' || randomblob(15) AS BLOB),
            randomblob(32), lower(hex(randomblob(32))), type, common_name,
            certificate_pem
        FROM n, certificate_record WHERE identity IS NOT NULL;
    UPDATE deployment SET last_certificate = 200000;
    INSERT INTO token (jti, subject, principal, entity, certificate_fingerprint, issued_at, expires_at, revoked_at)
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
        SELECT 'many-' || n, 's', 'p', '{}', printf('%042d0', n % 5000), 0, 9000000000000 + n, iif(n % 100 = 7, 1, NULL) FROM n;
    INSERT INTO token_san (token, place, san) SELECT id, 0, 'san-' || id % 5000 FROM token;
    INSERT INTO bootstrap_use (credential, spki, serial, used_at)
        SELECT 'jti-' || id % 1000, spki, serial, created_at FROM certificate_record WHERE id % 5 = 0;
    INSERT INTO renewal_proof (jti_hash, expires_at) SELECT randomblob(32), id FROM token;";

/// What grows with use: none of these is read from end to end.
const GROWING: [&str; 7] =
    ["certificate_record", "c", "token", "t", "token_san", "bootstrap_use", "renewal_proof"];

/// Every statement that the traced connection has run.
static RAN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(_, sql) = event {
        RAN.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned());
    }
}

async fn on_connection<T: Send + 'static>(
    store: &SqliteStore,
    mut work: impl FnMut(&Connection) -> T + Send + 'static,
) -> T {
    store.write(move |step| Ok(work(step.connection()))).await.unwrap()
}

#[tokio::test]
async fn no_everyday_step_reads_all_certificates() {
    // In memory, where one connection does everything.
    let store = SqliteStore::in_memory().unwrap();
    let world = World::new(&store).await;
    let first = world.issue("n1", 10).await;
    on_connection(&store, |connection| connection.execute_batch(MULTIPLY).unwrap()).await;
    on_connection(&store, |connection| connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note)))
        .await;
    everyday(&world, &first).await;
    let ran = on_connection(&store, |connection| {
        connection.trace_v2(TraceEventCodes::empty(), None);
        let ran = RAN.lock().unwrap().clone();
        ran.into_iter().map(|sql| (plan(connection, &sql), sql)).collect::<Vec<_>>()
    });
    let ran = ran.await;
    assert!(
        ran.iter().any(|(_, sql)| sql.contains("INSERT INTO certificate_record")),
        "the trace sees the steps"
    );
    let mut explained = 0;
    for (plan, sql) in ran {
        explained += usize::from(!plan.is_empty());
        let scan = plan.iter().any(|line| line.strip_prefix("SCAN ").is_some_and(reads_all));
        // Newest first with nothing filtered is a walk from the end that stops at the limit.
        let walk = sql.contains("FROM certificate_record  WHERE :spiffe_id IS NULL AND (:at IS NOT NULL)");
        assert!(!scan || walk, "{sql}\n{plan:#?}");
    }
    assert!(explained > 40, "{explained}");
}

/// Whether what is scanned is a growing table, or an index of one.
fn reads_all(scanned: &str) -> bool {
    scanned.split(' ').next().is_some_and(|table| GROWING.contains(&table))
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    if !["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word)) {
        return Vec::new();
    }
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get::<_, String>(3).unwrap());
    }
    lines
}

async fn everyday(world: &World<'_>, first: &crate::store::IssuedCertificate) {
    use CertificateStatus::{Active, Expired, Held, Revoked};
    let store = world.store;
    let mut record = world.record("n2", 20);
    record.spiffe_id = spiffe("many-5");
    record.limit = Some(IssuanceLimit { count: 1_000_000, since: at(0) });
    let (names, limit) = (record.owned_names.clone(), record.limit);
    store.preflight(&record.spiffe_id, record.spki, &names, limit, None, at(20)).await.unwrap();
    store.record_issued(signed(record), &stamp(20)).await.unwrap();
    store.summary(at(20)).await.unwrap();
    store.certificate(first.record().serial, at(20)).await.unwrap().unwrap();
    store.certificate_by_fingerprint(first.fingerprint(), at(20)).await.unwrap().unwrap();
    for status in [None, Some(Active), Some(Held), Some(Revoked), Some(Expired)] {
        for spiffe_id in [None, Some(spiffe("many-7"))] {
            let query = CertificateQuery { limit: 10, before: Some(90_000), status, spiffe_id };
            store.certificates(&query, at(20)).await.unwrap();
        }
    }
    store.deny_identity(&spiffe("many-7"), "out", false, &stamp(20)).await.unwrap();
    store.allow_identity(&spiffe("many-7"), &stamp(20)).await.unwrap();
    store.revoke_certificate(first.record().serial, RevocationReason::Superseded, &stamp(20)).await.unwrap();
    store.reserve_crl(world.services.ski, &stamp(20)).await.unwrap();
    store.purge_expired(at(-1000), 100, &stamp(20)).await.unwrap();
    store.hierarchy().await.unwrap();
    credentials(world).await;
}

async fn credentials(world: &World<'_>) {
    let store = world.store;
    let issued = world.issue("n3", 30).await;
    let bootstrap = |refuse_existing| {
        let credential = "jti-7".to_owned();
        Ticket::Bootstrap(BootstrapUse {
            credential,
            uses: Some(100_000),
            refuse_existing,
            warn_existing: false,
        })
    };
    let renewal = RenewalUse { certificate: issued.fingerprint(), proof: Some(([9; 32], at(40))) };
    for ticket in [bootstrap(true), bootstrap(false), Ticket::Renewal(renewal)] {
        let mut record = world.record("n3", 30);
        record.ticket = Some(ticket);
        store
            .preflight(&record.spiffe_id, record.spki, &[], None, record.ticket.as_ref(), at(30))
            .await
            .unwrap();
        store.record_issued(signed(record), &stamp(30)).await.unwrap();
    }
    store.record_token(&token("one"), &stamp(30)).await.unwrap();
    store.token("one").await.unwrap().unwrap();
    let certificate = Fingerprint::of_certificate(b"one");
    for certificate_fingerprint in [None, Some(certificate)] {
        for san in [None, Some("san-7".to_owned())] {
            let query = TokenQuery { certificate_fingerprint, san, before: Some(9_000), limit: 10 };
            store.tokens(&query).await.unwrap();
        }
    }
    store.revoked_tokens(at(30)).await.unwrap();
    store.intend_key(&intention(KeyRole::Token, 1), &stamp(30)).await.unwrap();
    store.record_key_made(KeyRole::Token, 1, &made(KeyRole::Token, 1), &stamp(30)).await.unwrap();
    store.activate_token_key(1, at(30), None, &stamp(30)).await.unwrap();
    for which in [
        TokenSelector::Jti("one".to_owned()),
        TokenSelector::San("san-7".to_owned()),
        TokenSelector::Certificate(certificate),
    ] {
        store.revoke_tokens(&which, &stamp(30)).await.unwrap();
    }
}
