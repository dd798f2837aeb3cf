//! The roles that the documentation gives, enforced: each suffices, and each of its permissions is needed.

use super::{RING, clients, config, fake, intent, of, over, plant, refusal};
use crate::{Credentials, GcpKmsBackend, GcpKmsConfig, Opening, keys::create::create_within};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use catalyst_rigs::gcp::{Binding, FakeKms, Generation, Grant, Settings, api::Algorithm};
use catalyst_signing::{
    KeyIntent, KeyLifecycle as _, KeyRole, KeyState, Refusal, SignatureAlgorithm::EcP384, SigningBackend as _,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const TERRAFORM: &str = include_str!("../../../../../docs/deploy/gcp-kms.tf");
const DOCUMENT: &str = include_str!("../../../../../docs/backends/gcp-kms.md");
const SERVICE: &str = "service";
const KEY: &str = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/services";

/// A custom role out of the documentation.
fn file(name: &str) -> Value {
    let (_, after) = DOCUMENT.split_once(&format!("<!-- role: {name} -->\n```json\n")).unwrap();
    serde_json::from_str(after.split("```").next().unwrap()).unwrap()
}

/// Its permissions.
fn role(name: &str) -> Vec<String> {
    let role = file(name);
    // What `gcloud iam roles create --file` takes.
    assert!(role["title"].is_string() && role["description"].is_string() && role["stage"] == "GA", "{role}");
    let permissions = role["includedPermissions"].as_array().unwrap().iter();
    permissions.map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Custom roles out of the documentation, and the signer's, to be bound.
pub(super) fn roles(names: &[&str]) -> Vec<Grant> {
    let custom = names.iter().map(|name| Grant::Permissions(role(name)));
    custom.chain([Grant::Role("roles/cloudkms.signer".to_owned())]).collect()
}

/// A fake in which the service may do this on a resource, and nothing else.
fn allow(fake: &FakeKms, resource: &str, grants: Vec<Grant>) {
    fake.unbind().unwrap();
    for grant in grants {
        let binding = Binding { caller: Some(SERVICE.to_owned()), grant, resource: resource.to_owned() };
        fake.bind(&binding).unwrap();
    }
}

/// These without one permission.
fn without(grants: Vec<Grant>, permission: &str) -> Vec<Grant> {
    let lessened = |grant| match grant {
        Grant::Permissions(list) => {
            Grant::Permissions(list.into_iter().filter(|one| one != permission).collect())
        }
        role @ Grant::Role(_) => role,
    };
    grants.into_iter().map(lessened).collect()
}

fn service(fake: &FakeKms) -> GcpKmsBackend {
    over(GcpKmsConfig { credentials: of(SERVICE), ..config(fake) })
}

/// Whether the service was denied anything.
fn denied(fake: &FakeKms) -> bool {
    use catalyst_rigs::gcp::api::Code::{PermissionDenied, Unauthenticated};
    fake.calls().unwrap().iter().any(|call| matches!(call.code, Some(PermissionDenied | Unauthenticated)))
}

fn signers() -> Vec<Grant> {
    let viewer = Grant::Role("roles/cloudkms.publicKeyViewer".to_owned());
    roles(&["state"]).into_iter().chain([viewer]).collect()
}

#[tokio::test]
async fn a_signer_serves_with_keys_that_others_made_and_can_do_nothing_else() {
    let fake = fake();
    let version = fake.plant(&plant::plain("services", Algorithm::EcSignP384Sha384)).unwrap();
    let root = fake.plant(&plant::plain("root", Algorithm::EcSignP384Sha384)).unwrap();
    allow(&fake, KEY, signers());
    let service = service(&fake);
    let pin = service.resolve(KEY, EcP384).await.unwrap();
    assert_eq!(pin.uri.rest(), version);
    let key = service.open(&pin).await.unwrap();
    key.sign(b"to be signed").await.unwrap();
    assert_eq!(key.public_key().await, Ok(Some(pin.spki.clone())));
    assert_eq!(key.state().await, Ok(KeyState::Usable));
    assert!(!denied(&fake));

    let told = refusal(service.resolve(&root, EcP384).await, Refusal::Denied);
    assert!(told.contains("cloudkms.cryptoKeyVersions.viewPublicKey"), "{told}");
    let told = refusal(service.create(&intent(EcP384)).await, Refusal::Denied);
    assert!(told.contains("grant cloudkms.cryptoKeys."), "{told}");
    let told = refusal(service.schedule_destruction(&pin).await, Refusal::Denied);
    assert!(told.contains("grant cloudkms.cryptoKeyVersions.destroy on"), "{told}");
}

#[tokio::test]
async fn each_permission_of_a_signer_is_for_what_the_documentation_says() {
    let fake = fake();
    let version = fake.plant(&plant::plain("services", Algorithm::EcSignP384Sha384)).unwrap();
    let pin = service(&fake).resolve(&version, EcP384).await.unwrap();

    for permission in role("state") {
        allow(&fake, KEY, without(signers(), &permission));
        let key = service(&fake).open(&pin).await.unwrap();
        key.sign(b"to be signed").await.unwrap();
        let wanted = match permission.as_str() {
            "cloudkms.cryptoKeyVersions.get" => KeyState::Unknown,
            _ => {
                let told = refusal(service(&fake).resolve(KEY, EcP384).await, Refusal::Denied);
                assert!(told.contains(&format!("grant {permission} on {KEY}")), "{told}");
                KeyState::Usable
            }
        };
        assert_eq!(key.state().await, Ok(wanted), "without {permission}");
        service(&fake).resolve(&version, EcP384).await.unwrap();
    }

    // Google's two: the one to pin a key, the other to sign with it.
    allow(&fake, KEY, roles(&["state"]));
    let told = refusal(service(&fake).resolve(&version, EcP384).await, Refusal::Denied);
    assert!(told.contains("roles/cloudkms.publicKeyViewer"), "{told}");
    service(&fake).open(&pin).await.unwrap().sign(b"to be signed").await.unwrap();
    let viewer = Grant::Role("roles/cloudkms.publicKeyViewer".to_owned());
    allow(&fake, KEY, vec![Grant::Permissions(role("state")), viewer]);
    let key = service(&fake).open(&pin).await.unwrap();
    let told = refusal(key.sign(b"to be signed").await, Refusal::Denied);
    assert!(told.contains(&format!("grant cloudkms.cryptoKeyVersions.useToSign on {KEY}")), "{told}");
}

/// All that a provisioner does with an intent, and the first thing that is refused or not to be known.
async fn provisions(fake: &FakeKms, intent: &KeyIntent) -> Result<(), String> {
    let service = service(fake);
    let words = |error: catalyst_signing::SignError| error.to_string();
    let pin = service.create(intent).await.map_err(words)?;
    let listed = service.list(&intent.deployment).await.map_err(words)?;
    assert!(listed.iter().any(|found| found.uri == pin.uri));
    let key = service.open(&pin).await.map_err(words)?;
    key.sign(b"to be signed").await.map_err(words)?;
    match key.state().await.map_err(words)? {
        KeyState::Usable => Ok(()),
        state => Err(format!("its state is {state:?}")),
    }
}

/// An intent whose key was made, of which nothing came.
async fn failed(fake: &FakeKms) -> KeyIntent {
    let intent = intent(EcP384);
    fake.set(&Settings { generation: Generation::Failing, ..Settings::default() }).unwrap();
    let clients = clients(config(fake));
    create_within(Duration::ZERO, &clients, &intent).await.unwrap_err();
    fake.set(&Settings::default()).unwrap();
    intent
}

#[tokio::test]
async fn a_provisioner_makes_finds_and_uses_keys_with_each_of_its_permissions() {
    let fake = fake();
    let provisioner = || roles(&["provisioner"]);
    let spent = failed(&fake).await;
    allow(&fake, RING, provisioner());
    provisions(&fake, &spent).await.unwrap();
    provisions(&fake, &intent(EcP384)).await.unwrap();
    assert!(!denied(&fake));

    for permission in role("provisioner") {
        fake.unbind().unwrap();
        let wanted = match permission.as_str() {
            "cloudkms.cryptoKeyVersions.create" => failed(&fake).await,
            _ => intent(EcP384),
        };
        allow(&fake, RING, without(provisioner(), &permission));
        let told = provisions(&fake, &wanted).await.unwrap_err();
        match permission.as_str() {
            "cloudkms.cryptoKeyVersions.get" => assert_eq!(told, "its state is Unknown"),
            // The sentence names the role that has it.
            "cloudkms.cryptoKeyVersions.viewPublicKey" => assert!(told.contains(&permission), "{told}"),
            // And not on a key that is not there yet.
            "cloudkms.cryptoKeys.get" => assert!(told.contains("on its key ring"), "{told}"),
            _ => assert!(told.contains(&format!("grant {permission} on ")), "without {permission}: {told}"),
        }
        allow(&fake, RING, provisioner());
        provisions(&fake, &wanted).await.unwrap();
        fake.unbind().unwrap();
        assert_eq!(plant::live(&fake, &plant::name(&wanted)), 1);
    }
}

#[tokio::test]
async fn who_gives_up_needs_one_permission_more() {
    let fake = fake();
    allow(&fake, RING, roles(&["provisioner"]));
    let service = service(&fake);
    let pin = service.create(&intent(EcP384)).await.unwrap();
    let told = refusal(service.schedule_destruction(&pin).await, Refusal::Denied);
    assert!(told.contains("grant cloudkms.cryptoKeyVersions.destroy on"), "{told}");
    allow(&fake, RING, roles(&["provisioner", "give-up"]));
    service.schedule_destruction(&pin).await.unwrap();
    assert_eq!(service.state_of(&pin).await, Ok(KeyState::DestructionScheduled));
    assert_eq!(role("give-up"), ["cloudkms.cryptoKeyVersions.destroy"]);
}

#[tokio::test]
async fn a_role_on_one_key_ring_reaches_no_other() {
    let fake = fake();
    let other = RING.replace("/r", "/root");
    fake.ring(&other).unwrap();
    allow(&fake, RING, roles(&["provisioner", "give-up"]));
    let elsewhere =
        over(GcpKmsConfig { credentials: of(SERVICE), rings: super::rings(&other), ..config(&fake) });
    let told = refusal(elsewhere.create(&intent(EcP384)).await, Refusal::Denied);
    assert!(told.contains(&other), "{told}");
    let told = refusal(elsewhere.list("0123456789abcdef").await, Refusal::Denied);
    assert!(told.contains(&format!("grant cloudkms.cryptoKeys.list on {other}")), "{told}");
}

/// The file of an identity that impersonates an account, with every address at the fake.
fn impersonating(fake: &FakeKms, account: &str, directory: &Path) -> PathBuf {
    let (token, own) = (directory.join("token"), directory.join("credentials.json"));
    let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({"sub": SERVICE}).to_string());
    fs::write(&token, format!("e30.{claims}.e30")).unwrap();
    let endpoint = fake.endpoint();
    let credentials = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url":
            format!("{endpoint}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"),
        "source_credentials": {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{endpoint}/v1/token"),
            "credential_source": {"file": token},
        },
    });
    fs::write(&own, credentials.to_string()).unwrap();
    own
}

#[tokio::test]
async fn the_root_is_reached_by_impersonation_alone_which_needs_one_permission() {
    const ROOT: &str = "catalyst-pki-root@p.iam.gserviceaccount.com";
    let fake = fake();
    let ring = RING.replace("/r", "/root");
    fake.ring(&ring).unwrap();
    for grant in roles(&["provisioner"]) {
        fake.bind(&Binding { caller: Some(ROOT.to_owned()), grant, resource: ring.clone() }).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let root = GcpKmsBackend::new(GcpKmsConfig {
        rings: super::rings(&ring),
        credentials: Credentials::File(impersonating(&fake, ROOT, directory.path())),
        opening: Opening::WhileInUse,
        ..config(&fake)
    });
    let wanted = KeyIntent { role: KeyRole::Root, ..intent(EcP384) };
    root.create(&wanted).await.unwrap_err();
    assert!(fake.calls().unwrap().iter().all(|call| call.caller.as_deref() != Some(ROOT)));

    let grant = Grant::Permissions(role("impersonate"));
    let resource = format!("projects/-/serviceAccounts/{ROOT}");
    fake.bind(&Binding { caller: Some(SERVICE.to_owned()), grant, resource }).unwrap();
    let pin = root.create(&wanted).await.unwrap();
    root.open(&pin).await.unwrap().sign(b"to be signed").await.unwrap();
    // The service's own identity has nothing there.
    let own = over(GcpKmsConfig { credentials: of(SERVICE), rings: super::rings(&ring), ..config(&fake) });
    refusal(own.create(&wanted).await, Refusal::Denied);
    refusal(own.open(&pin).await.unwrap().sign(b"to be signed").await, Refusal::Denied);
}

#[test]
fn terraform_has_the_roles_of_the_documentation_and_keeps_what_it_makes() {
    for name in ["state", "provisioner", "impersonate"] {
        let title = file(name)["title"].to_string();
        let (_, after) = TERRAFORM.split_once(&format!("title       = {title}")).unwrap();
        let (_, list) = after.split_once("permissions = [").unwrap();
        let list = list.split(']').next().unwrap();
        let permissions: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(permissions, role(name), "{name}");
    }
    let kept: Vec<&str> = TERRAFORM
        .split("\nresource ")
        .filter(|resource| {
            let made = ["\"google_kms_key_ring\"", "\"google_kms_crypto_key\""];
            made.iter().any(|kind| resource.starts_with(kind))
        })
        .collect();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|resource| resource.contains("prevent_destroy = true")));
    assert!(!TERRAFORM.contains("cloudkms.admin") && !TERRAFORM.contains("google_project_iam_member"));
}

#[test]
fn no_role_of_the_documentation_can_do_more_than_it_says() {
    let all: Vec<String> =
        ["state", "provisioner", "give-up", "impersonate"].iter().flat_map(|name| role(name)).collect();
    for word in ["setIamPolicy", "update", "restore", "keyRings", "useToDecrypt", "*"] {
        assert!(!all.iter().any(|permission| permission.contains(word)), "{word} in {all:?}");
    }
    assert_eq!(role("impersonate"), ["iam.serviceAccounts.getAccessToken"]);
}
