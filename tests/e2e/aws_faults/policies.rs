//! The policies that the documentation gives, enforced: each suffices, and each of its statements is needed.

use super::*;
use serde_json::Value;
use std::fs;

const DOCUMENT: &str = include_str!("../../../docs/backends/aws-kms.md");
const EVERYDAY: &str = "AKIDEVERYDAY";
const ROOT: &str = "AKIDROOT";

/// A policy out of the documentation, for this account.
fn policy(name: &str, proxy: &FaultProxy) -> Value {
    let (_, after) = DOCUMENT.split_once(&format!("<!-- policy: {name} -->\n```json\n")).unwrap();
    let policy = after.split("```").next().unwrap().replace("111122223333", proxy.localstack().account());
    serde_json::from_str(&policy).unwrap()
}

/// The same without one of its statements.
fn without(mut policy: Value, sid: &str) -> Value {
    let statements = policy["Statement"].as_array_mut().unwrap();
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != sid);
    assert_eq!(statements.len(), before - 1, "{sid}");
    policy
}

/// A service with every key in KMS but those of tokens: the root's are asked for by one identity, all others by another.
struct Two {
    proxy: FaultProxy,
    data_dir: TempDir,
    beside: TempDir,
}

impl Two {
    /// Each may do what the documentation gives it.
    fn new() -> Self {
        let proxy = FaultProxy::at_hand().unwrap();
        let two = Self { proxy, data_dir: TempDir::new().unwrap(), beside: TempDir::new().unwrap() };
        two.allow(EVERYDAY, &policy("provisioner", &two.proxy));
        two.allow(ROOT, &policy("root", &two.proxy));
        let endpoint = two.proxy.endpoint();
        let settings = format!(
            "key_backend = 'aws-kms'\nkey_backend_root = 'aws-kms:root'\nkey_backend_tokens = 'local'\n\
             root_credentials = 'profile/root'\n\
             [aws-kms]\nregion = '{REGION}'\nendpoint = '{endpoint}'\nsettle = 2\n\
             [aws-kms.root]\nregion = '{REGION}'\nendpoint = '{endpoint}'\nsettle = 2\n"
        );
        fs::write(two.beside.path().join("settings.toml"), settings).unwrap();
        let profiles = format!("[root]\naws_access_key_id = {ROOT}\naws_secret_access_key = of-the-root\n");
        fs::write(two.beside.path().join("credentials"), profiles).unwrap();
        two
    }

    fn allow(&self, who: &str, policy: &Value) {
        self.proxy.enforce(who, &policy.to_string()).unwrap();
    }

    fn start(&self) -> Pki {
        let beside = |name: &str| self.beside.path().join(name).to_str().unwrap().to_owned();
        let launch = launch_in(self.data_dir.path())
            .env("AWS_ACCESS_KEY_ID", EVERYDAY)
            .env("AWS_SECRET_ACCESS_KEY", "of-everyday")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", &beside("credentials"))
            .arg("--config")
            .arg(&beside("settings.toml"));
        Pki::start(launch)
    }

    fn created(&self) -> usize {
        let keys = self.proxy.localstack().caller(REGION).ask("ListKeys", &json!({})).unwrap();
        keys["Keys"].as_array().unwrap().len()
    }
}

fn both_sign(pki: &Pki) {
    for service_type in ["node", "envoy/app"] {
        let issued = pki.issue(service_type, "n1");
        verifies(&pki.bundle(), issued.answer["certificatePem"].as_str().unwrap());
    }
}

#[test]
fn provisioner_and_root_operator_make_a_hierarchy_and_the_root_is_left_to_its_own() {
    let two = Two::new();
    let pki = two.start();
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    both_sign(&pki);
    assert!(!pki.service.log().contains("AccessDenied"), "{}", pki.service.log());
    let [root, services, transport] = key_uris(&pki);
    for call in two.proxy.calls().iter().filter(|call| call.key.is_some()) {
        let of_root = call.key.as_deref().is_some_and(|key| root.ends_with(key));
        let read_all = call.operation == "ListResourceTags";
        assert!(read_all || of_root == (call.access_key_id == ROOT), "{call:?}");
    }
    // Neither signs with what is the other's.
    let sign = |who: &str, uri: &str| {
        let body = json!({
            "KeyId": uri.trim_start_matches("awskms:"), "MessageType": "DIGEST",
            "Message": base64_of(48), "SigningAlgorithm": "ECDSA_SHA_384",
        });
        two.proxy.caller(REGION).with_access_key_id(who).refusal("Sign", &body).unwrap()
    };
    assert_eq!(sign(EVERYDAY, &root), "AccessDeniedException");
    assert_eq!([sign(ROOT, &services), sign(ROOT, &transport)], ["AccessDeniedException"; 2]);
    assert_eq!([sign(ROOT, &root), sign(EVERYDAY, &services)], [""; 2]);

    // Once the root is there, signing is all that is left to do with it.
    let mut policy = policy("root", &two.proxy);
    policy["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] == "SignWithTheRoot");
    two.allow(ROOT, &policy);
    ok(&pki.post("/pki/intermediary", &json!({"commonName": "Catalyst Services CA v2"})));
}

/// Octets of zero, in base64.
fn base64_of(octets: usize) -> String {
    assert_eq!(octets % 3, 0);
    "A".repeat(octets / 3 * 4)
}

#[test]
fn what_makes_keys_is_needed_by_both() {
    for (who, name, make) in [(EVERYDAY, "provisioner", "Make"), (ROOT, "root", "MakeTheRoot")] {
        let own = |two: &Two| policy(name, &two.proxy);
        let uses = if who == ROOT { "SignWithTheRoot" } else { "UseItsOwn" };
        for (sid, permission) in
            [(make, "kms:CreateKey"), ("Tag", "kms:TagResource"), (uses, "kms:GetPublicKey")]
        {
            let two = Two::new();
            two.allow(who, &without(own(&two), sid));
            let pki = two.start();
            let initialize = || pki.post("/pki/initialize", &json!({}));
            let sentence = refused(&initialize(), 500, "key_refused_denied");
            assert!(sentence.contains(permission), "{name} without {sid}: {sentence}");
            two.allow(who, &own(&two));
            eventually("the hierarchy", || (initialize().status == 200).then_some(()));
            assert_eq!(two.created(), 3, "{name} without {sid}");
        }
    }
}

#[test]
fn what_finds_keys_again_is_needed_by_both_once_an_answer_was_lost() {
    for (who, name) in [(EVERYDAY, "provisioner"), (ROOT, "root")] {
        for (sid, permission) in [("FindAgain", "kms:ListKeys"), ("ReadTags", "kms:ListResourceTags")] {
            let two = Two::new();
            two.allow(who, &without(policy(name, &two.proxy), sid));
            let pki = two.start();
            let initialize = || pki.post("/pki/initialize", &json!({}));
            let lost = When::calling("CreateKey").by(who).first(1);
            two.proxy.script(lost, Fault::AnswerLost);
            refused(&initialize(), 503, "key_store_unavailable");
            let sentence = refused(&initialize(), 500, "key_refused_denied");
            assert!(sentence.contains(permission), "{name} without {sid}: {sentence}");
            two.allow(who, &policy(name, &two.proxy));
            eventually("the hierarchy", || (initialize().status == 200).then_some(()));
            assert_eq!(two.created(), 3, "{name} without {sid}");
        }
    }
}

#[test]
fn without_name_keys_go_without_an_alias() {
    let two = Two::new();
    two.allow(EVERYDAY, &without(policy("provisioner", &two.proxy), "Name"));
    two.allow(ROOT, &without(policy("root", &two.proxy), "Name"));
    let pki = two.start();
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    both_sign(&pki);
    let lines = pki.service.log_lines();
    let told = lines.iter().filter(|line| line.level == "warn" && line.raw.contains("kms:CreateAlias"));
    assert_eq!(told.count(), 3, "{}", pki.service.log());
}

/// The provisioner's, for every Region.
fn everywhere(proxy: &FaultProxy) -> Value {
    let policy = policy("provisioner", proxy).to_string();
    serde_json::from_str(&policy.replace("arn:aws:kms:eu-central-1:", "arn:aws:kms:*:")).unwrap()
}

/// A service that makes keys in two Regions, with these policies for one identity.
fn replicating(proxy: &FaultProxy, data_dir: &TempDir, policies: &[Value]) -> Pki {
    let mut all = policies[0].clone();
    let statements = policies.iter().flat_map(|policy| policy["Statement"].as_array().unwrap().clone());
    all["Statement"] = statements.collect();
    proxy.enforce(EVERYDAY, &all.to_string()).unwrap();
    initialized(
        launch_issuers(data_dir.path(), proxy)
            .env("AWS_ACCESS_KEY_ID", EVERYDAY)
            .env("CATALYST_PKI_AWS_FAILOVER_REGIONS", "eu-west-1"),
    )
}

#[test]
fn a_provisioner_of_two_regions_replicates_and_signs_in_both() {
    let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
    let pki = replicating(&proxy, &data_dir, &[everywhere(&proxy), policy("replicas", &proxy)]);
    proxy.script(When::any().in_region(REGION), Fault::Unavailable);
    both_sign(&pki);
    assert!(!pki.service.log().contains("AccessDenied"), "{}", pki.service.log());

    for sid in ["Replicate", "MakeReplicas"] {
        let (proxy, data_dir) = (FaultProxy::at_hand().unwrap(), TempDir::new().unwrap());
        let replicas = without(policy("replicas", &proxy), sid);
        let pki = replicating(&proxy, &data_dir, &[everywhere(&proxy), replicas]);
        both_sign(&pki);
        let lines = pki.service.log_lines();
        let told =
            lines.iter().filter(|line| line.level == "warn" && line.raw.contains("aws kms replicate-key"));
        assert_eq!(told.count(), 2, "without {sid}: {}", pki.service.log());
    }
}

/// Keys that somebody else made, and a service that may sign with some.
struct Given {
    proxy: FaultProxy,
    data_dir: TempDir,
    /// ARNs of keys for services, transport, tokens and the root.
    keys: [String; 4],
}

impl Given {
    fn new() -> Self {
        let proxy = FaultProxy::at_hand().unwrap();
        let keys = [(); 4].map(|()| {
            let body = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"});
            let made = proxy.caller(REGION).ask("CreateKey", &body).unwrap();
            made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
        });
        let given = Self { proxy, data_dir: TempDir::new().unwrap(), keys };
        given.allow(&given.policy());
        given
    }

    /// The signer's, for these keys.
    fn policy(&self) -> Value {
        let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
        let mut text = policy("signer", &self.proxy).to_string();
        for (name, arn) in ["SERVICES", "TRANSPORT", "TOKENS"].iter().zip(&self.keys) {
            text = text.replace(&format!("key/{name}"), &format!("key/{}", id(arn)));
        }
        serde_json::from_str(&text).unwrap()
    }

    fn allow(&self, policy: &Value) {
        self.proxy.enforce(EVERYDAY, &policy.to_string()).unwrap();
    }

    fn start(&self) -> Pki {
        let [services, transport, tokens, _] = &self.keys;
        Pki::start(
            launch(self.data_dir.path(), &self.proxy)
                .env("CATALYST_PKI_KEY_BACKEND_ROOT", "local")
                .env("CATALYST_PKI_KMS_KEY_ARN_SERVICES", services)
                .env("CATALYST_PKI_KMS_KEY_ARN_TRANSPORT", transport)
                .env("CATALYST_PKI_KMS_KEY_ARN_TOKENS", tokens)
                .env("AWS_ACCESS_KEY_ID", EVERYDAY),
        )
    }

    fn refusal(&self, operation: &str, body: &Value) -> String {
        self.proxy.caller(REGION).with_access_key_id(EVERYDAY).refusal(operation, body).unwrap()
    }
}

#[test]
fn a_signer_serves_with_keys_that_others_made_and_can_do_nothing_else() {
    let given = Given::new();
    let pki = given.start();
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    both_sign(&pki);
    let log = pki.service.log();
    assert!(!log.contains("AccessDenied"), "{log}");

    let sign = |arn: &str, algorithm: &str, octets: usize| {
        given.refusal(
            "Sign",
            &json!({
                "KeyId": arn, "MessageType": "DIGEST", "Message": base64_of(octets), "SigningAlgorithm": algorithm,
            }),
        )
    };
    let [services, .., root] = &given.keys;
    assert_eq!(sign(services, "ECDSA_SHA_384", 48), "");
    assert_eq!(sign(services, "ECDSA_SHA_256", 33), "AccessDeniedException");
    assert_eq!(sign(root, "ECDSA_SHA_384", 48), "AccessDeniedException");
    let create = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"});
    assert_eq!(given.refusal("CreateKey", &create), "AccessDeniedException");
    for operation in ["DisableKey", "GetKeyPolicy", "ListResourceTags"] {
        let answer = given.refusal(operation, &json!({"KeyId": services, "PolicyName": "default"}));
        assert_eq!(answer, "AccessDeniedException", "{operation}");
    }
}

#[test]
fn a_signers_look_is_needed_to_choose_keys_and_not_to_sign_with_them() {
    let given = Given::new();
    let mut pki = given.start();
    given.allow(&without(given.policy(), "Look"));
    let sentence = refused(&pki.post("/pki/initialize", &json!({})), 422, "invalid_request");
    assert!(sentence.contains("allow kms:GetPublicKey"), "{sentence}");
    given.allow(&given.policy());
    ok(&pki.post("/pki/initialize", &json!({})));
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    given.allow(&without(given.policy(), "Look"));
    let mut pki = given.start().ready();
    both_sign(&pki);
    assert!(pki.service.stop().unwrap().success(), "{}", pki.service.log());

    // Without the other statement nothing is signed; what is public is served.
    given.allow(&without(given.policy(), "Sign"));
    let pki = given.start();
    let sentence = refused(&ask(&pki, "node", "n2"), 500, "key_refused_denied");
    assert!(sentence.contains("allow kms:Sign"), "{sentence}");
    let line = pki.logged("Key latched — not used until an operator acts", SERVICES_CA);
    assert!(line.level == "error" && line.raw.contains("kms:Sign"), "{}", line.raw);
    pki.bundle();
}
