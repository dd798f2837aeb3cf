//! Accounts in AWS KMS.

use super::{super::*, file, names, open_one, refused, settings};
use std::time::Duration;
use tempfile::TempDir;

const CHOSEN: (&str, &str) = ("CATALYST_PKI_KEY_BACKEND", "aws-kms");
const REGION: (&str, &str) = ("CATALYST_PKI_AWS_REGION", "eu-central-1");
const ROLE: &str = "arn:aws:iam::111122223333:role/pki-root";

fn shown(settings: &Settings, name: &str) -> String {
    format!("{:?}", open_one(settings, name).unwrap())
}

/// Nothing is read or asked: what the SDK's chain lacks shows when a key is wanted.
#[test]
fn the_sdks_own_chain_is_enough() {
    let settings = settings(None, &[CHOSEN]).unwrap();
    assert_eq!(names(&settings), ["aws-kms"]);
    let shown = shown(&settings, "aws-kms");
    for wanted in [
        "credentials: Chain",
        "region: None",
        "Kept",
        "calls_per_second: 250",
        &format!("call_timeout: {:?}", Duration::from_secs(3)),
        &format!("settle: {:?}", Duration::from_secs(300)),
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

#[test]
fn an_account_is_there_when_it_is_described_or_chosen() {
    assert_eq!(names(&settings(None, &[]).unwrap()), [""; 0]);
    assert_eq!(names(&settings(None, &[REGION]).unwrap()), ["aws-kms"]);
    let directory = TempDir::new().unwrap();
    let text = "[aws-kms]\nprofile = 'signer'\nfailover_regions = ['eu-west-1', 'eu-north-1']\n\
        [aws-kms.dr]\nregion = 'us-east-1'\nrole = 'arn:aws:iam::111122223333:role/dr'\nprofile = 'hop'\nrate = 900\n";
    let settings = settings(Some(&file(&directory, text)), &[REGION]).unwrap();
    assert_eq!(names(&settings), ["aws-kms", "aws-kms:dr"]);
    let first = shown(&settings, "aws-kms");
    for wanted in ["Profile(\"signer\")", "\"eu-central-1\"", "[\"eu-west-1\", \"eu-north-1\"]"] {
        assert!(first.contains(wanted), "{wanted}: {first}");
    }
    let second = shown(&settings, "aws-kms:dr");
    for wanted in ["role/dr", "profile: Some(\"hop\")", "\"us-east-1\"", "calls_per_second: 900"] {
        assert!(second.contains(wanted), "{wanted}: {second}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (vars, wanted) in [
        (
            &[("CATALYST_PKI_AWS_REGION", "Frankfurt")][..],
            "CATALYST_PKI_AWS_REGION (env): the name of a Region",
        ),
        (&[("CATALYST_PKI_AWS_ROLE", "signer")], "CATALYST_PKI_AWS_ROLE (env): the ARN of a role"),
        (
            &[("CATALYST_PKI_AWS_ENDPOINT", "http://kms.example.org")],
            "CATALYST_PKI_AWS_ENDPOINT (env): plain http is for this machine alone",
        ),
        (&[("CATALYST_PKI_AWS_RATE", "0")], "CATALYST_PKI_AWS_RATE is '0' (env): a whole number of calls"),
        (
            &[("CATALYST_PKI_AWS_FAILOVER_REGIONS", "eu-west-1,Dublin")],
            "CATALYST_PKI_AWS_FAILOVER_REGIONS is 'eu-west-1,Dublin' (env): the name of a Region",
        ),
        (
            &[REGION, ("CATALYST_PKI_AWS_FAILOVER_REGIONS", "eu-central-1")],
            "CATALYST_PKI_AWS_FAILOVER_REGIONS is 'eu-central-1' (env): Regions other than that of CATALYST_PKI_AWS_REGION",
        ),
        (
            &[("CATALYST_PKI_AWS_FAILOVER_REGIONS", "eu-west-1,eu-west-1")],
            "CATALYST_PKI_AWS_FAILOVER_REGIONS is 'eu-west-1,eu-west-1' (env): each Region once",
        ),
        (
            &[
                ("CATALYST_PKI_AWS_USE_FIPS", "true"),
                ("CATALYST_PKI_AWS_ENDPOINT", "https://kms.example.org"),
            ],
            "CATALYST_PKI_AWS_USE_FIPS and CATALYST_PKI_AWS_ENDPOINT are both given",
        ),
        (
            &[CHOSEN, ("CATALYST_PKI_KMS_KEY_ARN", "pki/root")],
            "CATALYST_PKI_KMS_KEY_ARN (env): a key's ARN or id",
        ),
        (
            &[("CATALYST_PKI_KMS_KEY_ARN_TOKENS", "alias/tokens")],
            "CATALYST_PKI_KMS_KEY_ARN_TOKENS names a key of aws-kms, and CATALYST_PKI_KEY_BACKEND_TOKENS is 'local'",
        ),
    ] {
        let sentence = refused(None, vars);
        assert!(sentence.starts_with(wanted), "{sentence}");
    }
}

#[test]
fn a_key_is_kept_as_it_is_typed() {
    let alias = ("CATALYST_PKI_KMS_KEY_ARN_SERVICES", "alias/PKI/Services");
    let named = settings(None, &[CHOSEN, alias]).unwrap().key_references.services.unwrap();
    assert_eq!((named.setting, named.reference.as_str()), alias);
}

const APART: &str = "[aws-kms.root]\nregion = 'eu-central-1'\n";

#[test]
fn the_roots_credentials_are_nobody_elses() {
    let directory = TempDir::new().unwrap();
    let root = ("CATALYST_PKI_KEY_BACKEND_ROOT", "aws-kms:root");
    let role = ("CATALYST_PKI_ROOT_CREDENTIALS", ROLE);
    let profile = ("CATALYST_PKI_ROOT_CREDENTIALS", "profile/root");

    let path = file(&directory, APART);
    let apart = settings(Some(&path), &[CHOSEN, root, role]).unwrap();
    let [of_root, of_others] = ["aws-kms:root", "aws-kms"].map(|name| shown(&apart, name));
    assert!(of_root.contains(ROLE) && of_root.contains("WhileInUse"), "{of_root}");
    assert!(!of_others.contains(ROLE) && of_others.contains("Kept"), "{of_others}");
    let apart = settings(Some(&path), &[CHOSEN, root, profile]).unwrap();
    assert!(shown(&apart, "aws-kms:root").contains("Profile(\"root\")"));

    let shared = refused(None, &[CHOSEN, role]);
    assert!(shared.contains("other roles use it too") && shared.contains("[aws-kms.root]"), "{shared}");
    let same = refused(Some(&path), &[CHOSEN, root, profile, ("CATALYST_PKI_AWS_PROFILE", "root")]);
    assert!(same.contains("'aws-kms' uses the same role or profile"), "{same}");
    let path_of_a_file =
        refused(Some(&path), &[CHOSEN, root, ("CATALYST_PKI_ROOT_CREDENTIALS", "/etc/root")]);
    assert!(path_of_a_file.contains("the ARN of a role is wanted"), "{path_of_a_file}");
    for (row, credentials) in [
        (format!("role = '{ROLE}'"), role),
        (format!("role = '{ROLE}'"), profile),
        ("profile = 'a'".into(), profile),
    ] {
        let twice =
            refused(Some(&file(&directory, &format!("{APART}{row}\n"))), &[CHOSEN, root, credentials]);
        assert!(twice.contains("are both given for the root's key store"), "{twice}");
    }
    // The identity that assumes the role is no second answer to who asks.
    let hop = file(&directory, &format!("{APART}profile = 'hop'\n"));
    let shown = shown(&settings(Some(&hop), &[CHOSEN, root, role]).unwrap(), "aws-kms:root");
    assert!(shown.contains(ROLE) && shown.contains("Some(\"hop\")"), "{shown}");
}
