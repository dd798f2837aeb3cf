//! `catalyst backend check aws-kms`, with what operators get wrong.

use super::*;
use catalyst_rigs::{aws::LocalStack, catalyst};
use serde_json::Value;
use std::process::Command;

/// Exit code, standard output and standard error, with these variables besides or instead; empty ones are unset.
fn check(proxy: &FaultProxy, args: &[&str], more: &[(&str, &str)]) -> (i32, String, String) {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(catalyst().unwrap());
    command.args(["backend", "check", "aws-kms"]).args(args).current_dir(directory.path()).env_clear();
    command.envs(variables(proxy));
    for (name, value) in more {
        match value.is_empty() {
            true => command.env_remove(name),
            false => command.env(name, value),
        };
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// It fails, and says all of these.
#[track_caller]
fn fails(proxy: &FaultProxy, args: &[&str], more: &[(&str, &str)], words: &[&str]) {
    let (code, stdout, stderr) = check(proxy, args, more);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stderr.starts_with("error: aws-kms: "), "{stderr}");
    assert!(words.iter().all(|word| stderr.contains(word)), "{words:?} are not all in {stderr}");
    assert!(!format!("{stdout}{stderr}").contains("a-secret-that-nobody-checks"), "{stdout}{stderr}");
}

fn key(proxy: &FaultProxy) -> String {
    let body = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"});
    let made = proxy.caller(REGION).ask("CreateKey", &body).unwrap();
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

/// How many keys there are that nobody has given up.
fn alive(localstack: &LocalStack) -> usize {
    let aws = localstack.caller(REGION);
    let keys = aws.ask("ListKeys", &json!({"Limit": 1000})).unwrap();
    let state = |key: &Value| {
        let described = aws.ask("DescribeKey", &json!({"KeyId": key["KeyId"]})).unwrap();
        described["KeyMetadata"]["KeyState"].as_str().unwrap().to_owned()
    };
    keys["Keys"].as_array().unwrap().iter().filter(|key| state(key) == "Enabled").count()
}

#[test]
fn a_check_makes_a_key_signs_and_gives_it_up() {
    let proxy = FaultProxy::at_hand().unwrap();
    let (code, stdout, stderr) = check(&proxy, &[], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for part in ["[ok] Key store aws-kms\n", "  Region: eu-central-1\n", "Probe key: awskms:arn:aws:kms:"] {
        assert!(stdout.contains(part), "'{part}' is not in\n{stdout}");
    }
    assert_eq!((proxy.count("CreateKey"), alive(proxy.localstack())), (1, 0));
}

#[test]
fn a_named_key_signs_and_stays() {
    let proxy = FaultProxy::at_hand().unwrap();
    let arn = key(&proxy);
    let alias = json!({"AliasName": "alias/of-a-key", "TargetKeyId": arn});
    proxy.caller(REGION).ask("CreateAlias", &alias).unwrap();
    for name in [arn.as_str(), "alias/of-a-key", arn.rsplit('/').next().unwrap()] {
        let (code, stdout, stderr) = check(&proxy, &["--key", name], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        assert!(stdout.contains(&format!("Probe key: awskms:{arn} (EC-P384, as named)")), "{stdout}");
    }
    assert_eq!((proxy.count("CreateKey"), alive(proxy.localstack())), (1, 1));
}

#[test]
fn the_whole_contract_is_tried_and_leaves_nothing() {
    let proxy = FaultProxy::at_hand().unwrap();
    let (code, stdout, stderr) = check(&proxy, &["--full", "--output", "json"], &[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let seen: Value = serde_json::from_str(&stdout).unwrap();
    let rules = seen["backends"][0]["rules"].as_array().unwrap();
    let passed = rules.iter().filter(|rule| rule["verdict"] == "passed").count();
    assert!(passed > 10 && rules.iter().all(|rule| rule["verdict"] != "failed"), "{stdout}");
    assert_eq!(alive(proxy.localstack()), 0, "keys of the suite were left");
}

#[test]
fn what_is_wrong_is_said_with_its_cure() {
    let proxy = FaultProxy::at_hand().unwrap();
    let arn = key(&proxy);
    let nobody = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    fails(&proxy, &[], &nobody, &["credentials"]);
    let west = [("CATALYST_PKI_AWS_REGION", "eu-west-1")];
    fails(&proxy, &["--key", arn.rsplit('/').next().unwrap()], &west, &["NotFoundException", "Region"]);
    fails(&proxy, &["--key", "alias/of-nothing"], &[], &["alias/of-nothing", "NotFoundException"]);
    let away = [("CATALYST_PKI_AWS_ENDPOINT", "http://127.0.0.1:9")];
    fails(&proxy, &[], &away, &["http://127.0.0.1:9"]);
    assert_eq!(proxy.count("CreateKey"), 1, "the test's own");
}

#[test]
fn what_is_denied_is_named_and_so_is_what_it_leaves() {
    let proxy = FaultProxy::at_hand().unwrap();
    let arn = key(&proxy);
    for operation in ["Sign", "CreateKey"] {
        let rule = proxy.script(When::calling(operation), Fault::Denied);
        let permission = format!("kms:{operation}");
        fails(&proxy, &[], &[], &[&permission]);
        proxy.lift(rule);
        assert_eq!(alive(proxy.localstack()), 1, "without {permission} a key was left");
    }
    for operation in ["Sign", "GetPublicKey"] {
        let rule = proxy.script(When::calling(operation), Fault::Denied);
        fails(&proxy, &["--key", &arn], &[], &[&format!("kms:{operation}"), &arn]);
        proxy.lift(rule);
    }
    // What cannot be given up is named, so that somebody else does it.
    for operation in ["GetPublicKey", "ScheduleKeyDeletion"] {
        let rule = proxy.script(When::calling(operation), Fault::Denied);
        let words = [
            &format!("kms:{operation}"),
            "the probe key awskms:arn:aws:kms:",
            "may be left in the key store",
        ];
        fails(&proxy, &[], &[], &words);
        proxy.lift(rule);
    }
}
