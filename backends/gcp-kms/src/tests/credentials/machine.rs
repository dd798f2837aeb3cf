//! Application Default Credentials: the machine's own account, or a file. Where they are stands in the environment, which
//! belongs to a process: each case runs in one of its own.

use super::{
    sources::{Files, WORKLOAD},
    *,
};
use catalyst_rigs::gcp::MACHINE;
use catalyst_signing::TransientKind;
use std::{
    env,
    net::TcpListener,
    process::{Command, Output},
};
use tokio::task::spawn_blocking;

const KMS: &str = "CATALYST_TEST_KMS";

/// Runs one of the cases below with that metadata server.
async fn run(case: &'static str, kms: String, metadata: String) -> Output {
    run_with(case, kms, ("GCE_METADATA_HOST", metadata)).await
}

/// Runs one of the cases below with that variable.
async fn run_with(case: &'static str, kms: String, (name, value): (&'static str, String)) -> Output {
    spawn_blocking(move || {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "--ignored", "--nocapture"])
            .arg(format!("tests::credentials::machine::{case}"));
        command.env_remove("GOOGLE_APPLICATION_CREDENTIALS").env_remove("GOOGLE_CLOUD_UNIVERSE_DOMAIN");
        command.env(KMS, kms).env("HOME", "/nonexistent").env(name, value);
        command.output().unwrap()
    })
    .await
    .unwrap()
}

fn check(output: &Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn key() -> Arc<dyn SigningKey> {
    let config = GcpKmsConfig { call_timeout: Duration::from_secs(6), ..config(&env::var(KMS).unwrap()) };
    GcpKmsBackend::new(config).open(&pin(SignatureAlgorithm::EcP384)).await.unwrap()
}

#[tokio::test]
async fn the_machine_asks_under_its_own_name() {
    let fake = FakeKms::start().unwrap();
    plant(&fake, P384, "ca");
    check(&run("case_signs", fake.endpoint(), fake.address().to_string()).await);
    let calls = fake.calls().unwrap();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| call.caller.as_deref() == Some(MACHINE)),
        "{calls:?}"
    );
}

#[tokio::test]
#[ignore = "a case of the_machine_asks_under_its_own_name"]
async fn case_signs() {
    key().await.sign(b"message").await.unwrap();
}

#[tokio::test]
async fn a_metadata_server_that_hangs_is_not_taken_for_cloud_kms() {
    let metadata = Server::always(Reply::Hang).await;
    let kms = Server::always(signed()).await;
    let address = metadata.endpoint().replace("http://", "");
    check(&run("case_hangs", kms.endpoint(), address).await);
    assert!(kms.take().is_empty());
}

#[tokio::test]
#[ignore = "a case of a_metadata_server_that_hangs_is_not_taken_for_cloud_kms"]
async fn case_hangs() {
    let error = key().await.sign(b"message").await.unwrap_err();
    assert!(matches!(error, SignError::Transient { kind: TransientKind::Unavailable, .. }), "{error}");
    assert!(error.to_string().contains("no token came in time"), "{error}");
}

#[tokio::test]
async fn without_a_metadata_server_there_are_no_credentials_for_now() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kms = Server::always(signed()).await;
    check(&run("case_away", kms.endpoint(), closed.to_string()).await);
    assert!(kms.take().is_empty());
}

#[tokio::test]
#[ignore = "a case of without_a_metadata_server_there_are_no_credentials_for_now"]
async fn case_away() {
    let error = key().await.sign(b"message").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("look at what gives them"), "{error}");
}

const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

#[tokio::test]
async fn a_file_in_the_environment_comes_before_the_machine() {
    let fake = FakeKms::start().unwrap();
    plant(&fake, P384, "ca");
    let files = Files::new();
    let Credentials::File(path) = files.credentials(&files.workload(&fake.endpoint())) else {
        unreachable!()
    };
    check(&run_with("case_file", fake.endpoint(), (FILE, path.display().to_string())).await);
    let calls = fake.calls().unwrap();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| call.caller.as_deref() == Some(WORKLOAD)),
        "{calls:?}"
    );
}

#[tokio::test]
#[ignore = "a case of a_file_in_the_environment_comes_before_the_machine"]
async fn case_file() {
    let backend = GcpKmsBackend::new(config(&env::var(KMS).unwrap()));
    backend.open(&pin(SignatureAlgorithm::EcP384)).await.unwrap().sign(b"message").await.unwrap();
    let facts = backend.describe().await.unwrap();
    let who = &facts.iter().find(|fact| fact.name == "credentials").unwrap().value;
    assert!(who.contains(&env::var(FILE).unwrap()) && who.contains(FILE), "{who}");
}

#[tokio::test]
async fn a_file_in_the_environment_that_is_none_is_refused_and_not_repeated() {
    let kms = Server::always(signed()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    for content in
        [None, Some("TheSecret"), Some(r#"{"type":"TheSecret"}"#), Some(r#"{"type":"service_account"}"#)]
    {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        check(&run_with("case_no_file", kms.endpoint(), (FILE, path.display().to_string())).await);
    }
    assert!(kms.take().is_empty());
}

#[tokio::test]
#[ignore = "a case of a_file_in_the_environment_that_is_none_is_refused_and_not_repeated"]
async fn case_no_file() {
    let error = key().await.sign(b"message").await.unwrap_err();
    assert!(is_configuration(&error), "{error}");
    assert!(
        error.to_string().contains("credentials file") && !error.to_string().contains("TheSecret"),
        "{error}"
    );
}
