//! Permissions that are missing, one by one, and those that are taken away and given back.

use super::*;
use catalyst_rigs::gcp::{Binding, Grant, MACHINE};

const SIGN: &str = "cloudkms.cryptoKeyVersions.useToSign";
const VIEW: &str = "cloudkms.cryptoKeyVersions.viewPublicKey";
const CREATE: &str = "cloudkms.cryptoKeys.create";
/// All that the service asks for.
const ALL: [&str; 8] = [
    SIGN,
    VIEW,
    CREATE,
    "cloudkms.cryptoKeys.get",
    "cloudkms.cryptoKeys.list",
    "cloudkms.cryptoKeyVersions.create",
    "cloudkms.cryptoKeyVersions.get",
    "cloudkms.cryptoKeyVersions.list",
];

fn allow(fake: &FakeKms, permissions: &[&str], resource: &str) {
    let permissions = permissions.iter().map(|permission| (*permission).to_owned()).collect();
    let (caller, resource) = (Some(MACHINE.to_owned()), resource.to_owned());
    fake.bind(&Binding { caller, grant: Grant::Permissions(permissions), resource }).unwrap();
}

/// From the first call on the machine may do all this but one.
fn without(permission: &str) -> (Pki, FakeKms, TempDir) {
    let (fake, data_dir) = (fake(), TempDir::new().unwrap());
    let others: Vec<_> = ALL.into_iter().filter(|other| *other != permission).collect();
    allow(&fake, &others, PROJECT);
    // Tokens are made without Cloud KMS, so that the service can be asked.
    let pki = Pki::start(launch(data_dir.path(), &fake).env("CATALYST_PKI_KEY_BACKEND_TOKENS", "local"));
    (pki, fake, data_dir)
}

#[test]
fn without_what_makes_keys_nothing_is_made_and_the_permission_is_named() {
    for (permission, on) in [
        (CREATE, RING),
        ("cloudkms.cryptoKeys.get", "/cryptoKeys/root-"),
        ("cloudkms.cryptoKeyVersions.list", "/cryptoKeys/root-"),
        (VIEW, "/cryptoKeys/root-"),
    ] {
        let (pki, fake, _data_dir) = without(permission);
        let initialize = || pki.post("/pki/initialize", &json!({}));
        let sentence = refused(&initialize(), 500, "key_refused_denied");
        assert!(sentence.contains(permission) && sentence.contains(on), "{permission}: {sentence}");
        let line = pki.logged("Change not made", permission);
        assert_eq!(line.level, "error", "{}", line.raw);
        allow(&fake, &[permission], PROJECT);
        ok(&initialize());
        let calls = fake.calls().unwrap();
        let made = calls.iter().filter(|call| call.method == Method::CreateCryptoKey && call.acted);
        assert_eq!(made.count(), 3, "{permission}: root, services, transport");
        assert_eq!(ok(&pki.get("/pki/keys/unclaimed")), json!({"keys": [], "unread": []}));
        pki.ready().issue("node", "n1");
    }
}

#[test]
fn without_what_only_tells_of_keys_everything_works() {
    let cloud = Cloud::new();
    allow(&cloud.fake, &[SIGN], PROJECT);
    let (signs, asked) = (cloud.signs(), cloud.fake.count(Method::GetPublicKey).unwrap());
    let mut cloud = cloud.restarted(|launch| launch);
    cloud.pki = cloud.pki.ready();
    for number in 0..2 {
        cloud.issues("node", &format!("n{number}"));
        cloud.issues("envoy/app", &format!("n{number}"));
    }
    assert!(cloud.fake.count(Method::GetPublicKey).unwrap() > asked);
    assert_eq!(cloud.warnings(), [""; 0]);
    // Where the public key cannot be compared, a signature proves it.
    assert_eq!(cloud.signs() - signs, 3);
}

#[test]
fn a_permission_that_is_taken_away_and_given_back() {
    let cloud = Cloud::new();
    let others: Vec<_> = ALL.into_iter().filter(|permission| *permission != SIGN).collect();
    allow(&cloud.fake, &others, PROJECT);
    let key = cloud.services.rsplit_once("/cryptoKeyVersions/").unwrap().0;
    let other = cloud.transport.rsplit_once("/cryptoKeyVersions/").unwrap().0;
    allow(&cloud.fake, &[SIGN], other);
    let signs = cloud.signs();
    for _ in 0..2 {
        let sentence = refused(&ask(&cloud.pki, "node", "refused"), 500, "key_refused_denied");
        assert!(sentence.contains(&format!("grant {SIGN} on {key} ")), "{sentence}");
    }
    assert_eq!(cloud.signs() - signs, 1);
    cloud.issues("envoy/app", "unharmed");
    assert_eq!(cloud.status(), (1, "degraded"));
    let said = cloud.latched();
    assert_eq!((said.len(), said[0].level.as_str()), (1, "error"), "{said:?}");
    assert!(said[0].raw.contains(SIGN) && said[0].raw.contains(key), "{}", said[0].raw);

    // An operator who asks too early is told so.
    let (exit, stdout, stderr) = cloud.retry();
    assert!(exit == 1 && stdout.contains(SERVICES_CA), "{stdout}{stderr}");
    allow(&cloud.fake, &[SIGN], RING);
    let (exit, stdout, stderr) = cloud.retry();
    assert_eq!(exit, 0, "{stdout}{stderr}");
    cloud.recovers();
}

#[test]
fn an_account_that_may_nothing_is_no_reason_to_give_up_the_key() {
    let cloud = Cloud::new();
    // Google does not know who asks: the credentials are looked at anew, and may be others by then.
    let nobody = Binding {
        caller: Some("somebody-else@p.iam.gserviceaccount.com".into()),
        grant: Grant::Role("roles/cloudkms.signer".into()),
        resource: PROJECT.into(),
    };
    cloud.fake.bind(&nobody).unwrap();
    let sentence = refused(&ask(&cloud.pki, "node", "waits"), 503, "key_store_unavailable");
    assert!(sentence.contains("UNAUTHENTICATED") && sentence.contains("credentials"), "{sentence}");
    cloud.warned(&[SERVICES_CA, "credentials"]);
    assert_eq!(cloud.latched().len(), 0, "{:?}", cloud.latched());
    allow(&cloud.fake, &ALL, PROJECT);
    cloud.recovers();
}
