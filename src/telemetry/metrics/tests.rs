use super::*;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

fn name(text: &str) -> Arc<str> {
    text.into()
}

fn has_line(metrics: &Metrics, line: &str) -> bool {
    metrics.render().lines().any(|other| other == line)
}

#[test]
fn counters_stand_at_zero_before_anything_happens() {
    let metrics = Metrics::new().unwrap();
    metrics.announce_issuer(CertType::EndEntity, "EC-P384", &name("Catalyst Services CA"));
    for line in [
        "catalyst_pki_purged_cert_count 0",
        "catalyst_pki_signing_throttled_total 0",
        "catalyst_pki_signing_inflight 0",
        "catalyst_pki_cert_issued_total{algorithm=\"EC-P384\",issuer=\"Catalyst Services CA\",type=\"end-entity\"} 0",
    ] {
        assert!(has_line(&metrics, line), "{line}\n{}", metrics.render());
    }
    assert!(!metrics.render().contains("deny_list_size"), "a gauge that nobody set says nothing");
}

#[test]
fn every_metric_has_the_name_that_operators_use() {
    let metrics = Metrics::new().unwrap();
    let (ca, backend) = (name("Catalyst Root CA"), name("local"));
    metrics.cert_issued(CertType::Intermediate, "EC-P384", &ca);
    metrics.certs_purged(3);
    metrics.csr_signed(Duration::from_micros(700));
    metrics.signing("local", "sign", "ok", Duration::from_micros(60));
    metrics.signing_throttled();
    metrics.set_deny_list_size(2);
    metrics.set_active_certs(7);
    metrics.set_ca_expiries([(ca.clone(), SystemTime::now() + Duration::from_secs(1000))].into());
    metrics.set_crl_next_updates([(ca.clone(), SystemTime::now() - Duration::from_secs(10))].into());
    metrics.set_key_states([((ca.clone(), backend.clone()), KeyHealth::Ready)].into());
    // Of a key that nothing is known of yet there is nothing to correct.
    metrics.set_key_state(&ca, KeyHealth::Latched);
    metrics.set_key_state("token", KeyHealth::Latched);
    let made = SystemTime::now() - Duration::from_secs(100);
    let figures = BackupFigures { made: Some((made, 14_650)), verified: Some(made), hook_pending: Some(0) };
    metrics.set_backups(figures);
    metrics.backup_failed("hook");
    metrics.set_signing_elsewhere([(ca.clone(), name("aws-kms"), name("eu-west-1"))].into());
    let text = metrics.render();
    let types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(
        types,
        [
            "catalyst_auth_failure_total counter",
            "catalyst_pki_active_cert_count gauge",
            "catalyst_pki_backup_age_seconds gauge",
            "catalyst_pki_backup_failure_total counter",
            "catalyst_pki_backup_hook_pending gauge",
            "catalyst_pki_backup_size_bytes gauge",
            "catalyst_pki_backup_verified_age_seconds gauge",
            "catalyst_pki_ca_expiry_seconds gauge",
            "catalyst_pki_cert_issued_total counter",
            "catalyst_pki_crl_next_update_seconds gauge",
            "catalyst_pki_csr_sign_duration_seconds histogram",
            "catalyst_pki_deny_list_size gauge",
            "catalyst_pki_key_state gauge",
            "catalyst_pki_purged_cert_count counter",
            "catalyst_pki_signing_duration_seconds histogram",
            "catalyst_pki_signing_elsewhere gauge",
            "catalyst_pki_signing_inflight gauge",
            "catalyst_pki_signing_throttled_total counter",
        ]
    );
    assert!(text.contains("ca_expiry_seconds{ca_name=\"Catalyst Root CA\"} 999"), "{text}");
    assert!(text.contains("crl_next_update_seconds{ca_name=\"Catalyst Root CA\"} -10"), "{text}");
    assert!(text.contains("key_state{backend=\"local\",ca_name=\"Catalyst Root CA\"} -2"), "{text}");
    assert!(text.contains("backup_age_seconds 100") && text.contains("backup_size_bytes 14650"), "{text}");
    assert!(text.contains("backup_failure_total{step=\"hook\"} 1"), "{text}");
    assert!(text.contains("csr_sign_duration_seconds_bucket{le=\"0.001\"} 1"), "{text}");
    assert!(
        text.contains(
            "signing_elsewhere{backend=\"aws-kms\",ca_name=\"Catalyst Root CA\",place=\"eu-west-1\"} 1"
        ),
        "{text}"
    );
    assert!(!text.contains("otel_scope") && !text.contains("target_info"), "{text}");
}

#[test]
fn calls_count_as_under_way_until_they_end() {
    let metrics = Metrics::new().unwrap();
    metrics.signing_started();
    assert!(has_line(&metrics, "catalyst_pki_signing_inflight 1"));
    metrics.signing_ended();
    assert!(has_line(&metrics, "catalyst_pki_signing_inflight 0"));
}

#[test]
fn what_is_new_of_where_keys_sign_is_said_once() {
    let metrics = Metrics::new().unwrap();
    let at = |place: &str| (name("Catalyst Services CA"), name("aws-kms"), name(place));
    let changes = metrics.set_signing_elsewhere([at("eu-west-1")].into());
    assert_eq!((changes.begun, changes.ended.len()), (vec![at("eu-west-1")], 0));
    assert_eq!(metrics.set_signing_elsewhere([at("eu-west-1")].into()), ElsewhereChanges::default());
    let changes = metrics.set_signing_elsewhere([at("eu-north-1")].into());
    assert_eq!((changes.begun, changes.ended), (vec![at("eu-north-1")], vec![at("eu-west-1")]));
    assert_eq!(metrics.set_signing_elsewhere([].into()).ended, [at("eu-north-1")]);
    assert!(!metrics.render().contains("signing_elsewhere{"));
}

#[test]
fn a_ca_that_is_gone_is_told_of_no_more() {
    let metrics = Metrics::new().unwrap();
    metrics.set_ca_expiries([(name("Catalyst Services CA"), SystemTime::now())].into());
    metrics.set_ca_expiries([(name("Catalyst Services CA v2"), SystemTime::now())].into());
    assert!(metrics.render().contains("Services CA v2"));
    assert!(!metrics.render().contains("Services CA\""));
}

#[test]
fn a_collector_gets_what_was_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let collector = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        // The names lie in clear in the protobuf body; the last instrument registered ends it.
        while !contains(&request, "catalyst.pki.key_state") {
            let read = socket.read(&mut chunk).unwrap();
            assert_ne!(read, 0, "the request ended early");
            request.extend_from_slice(&chunk[..read]);
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        request
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let metrics = Metrics::pushed_to(&endpoint, runtime.handle()).unwrap();
    metrics.set_key_states([((name("Catalyst Root CA"), name("local")), KeyHealth::Ready)].into());
    metrics.shutdown();
    let request = collector.join().unwrap();
    assert!(request.starts_with(b"POST /v1/metrics HTTP/1.1"));
    assert!(contains(&request, "service.name") && contains(&request, "catalyst-pki"));
}

#[test]
fn a_collector_behind_tls_is_refused_with_advice() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = Metrics::pushed_to("https://collector:4318", runtime.handle()).err().unwrap().to_string();
    assert!(error.contains("https://collector:4318") && error.contains("/metrics"), "{error}");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
