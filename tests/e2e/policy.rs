//! `catalyst policy` as an operator types it.

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

fn policy(directory: &Path, args: &[&str], vars: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(catalyst_rigs::catalyst().unwrap());
    command.arg("policy").args(args).current_dir(directory).env_clear().envs(vars.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn exported_policies_are_a_start_for_ones_own() {
    let scratch = TempDir::new().unwrap();
    let (code, written, stderr) = policy(scratch.path(), &["export", "mine"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(written.lines().any(|line| line == "mine/admin.cedar"), "{written}");

    let (_, built_in, _) = policy(scratch.path(), &["check"], &[]);
    assert!(
        built_in.starts_with("the program's own policies: valid\n  admin.cedar: 1 policy\n"),
        "{built_in}"
    );
    let (code, mine, stderr) = policy(scratch.path(), &["check", "mine"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let hash = |text: &str| text.lines().last().unwrap().to_owned();
    assert_eq!(hash(&mine), hash(&built_in));

    let own = "permit (principal is CATALYST::SVID, action == CATALYST::Action::\"CA_READ\", resource);\n";
    fs::write(scratch.path().join("mine/own.cedar"), own).unwrap();
    let (_, mine, _) =
        policy(scratch.path(), &["check", "--output", "json"], &[("CATALYST_POLICY_DIR", "mine")]);
    let mine: Value = serde_json::from_str(&mine).unwrap();
    assert_eq!((&mine["directory"], &mine["files"]["own.cedar"]), (&Value::from("mine"), &Value::from(1)));

    let (code, stdout, stderr) = policy(scratch.path(), &["export", "mine"], &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("mine/schema.cedarschema is there already"), "{stderr}");
}

#[test]
fn every_mistake_is_on_standard_error_with_its_place() {
    let scratch = TempDir::new().unwrap();
    fs::create_dir(scratch.path().join("mine")).unwrap();
    fs::write(scratch.path().join("mine/a.cedar"), "permit (principal, action resource);\n").unwrap();
    fs::write(scratch.path().join("mine/b.cedar"), "\npermit (principal, action, resource)\n").unwrap();
    let (code, stdout, stderr) = policy(scratch.path(), &["check", "mine"], &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("error: mine/a.cedar:1:27: "), "{stderr}");
    assert!(stderr.contains("error: mine/b.cedar:2:37: "), "{stderr}");

    let (code, stdout, again) = policy(scratch.path(), &["check", "mine", "--output", "json"], &[]);
    assert_eq!((code, again), (1, stderr));
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2, "{answer}");

    let (code, _, stderr) = policy(scratch.path(), &["check", "--policy-dir", "nowhere"], &[]);
    assert!(code == 1 && stderr.starts_with("error: nowhere: cannot be read: "), "{stderr}");
}
