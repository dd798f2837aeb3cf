//! With whose credentials AWS is asked: the root's key store with the root's, all others with everyday's. What stands in
//! for AWS refuses everything, and remembers who asked.

use catalyst_rigs::catalyst;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};
use tempfile::TempDir;

pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/pki-root";

const PROFILES: &str = "[root]\naws_access_key_id = AKIDOFROOT\naws_secret_access_key = secret-of-root\n";

const SETTINGS: &str = "key_backend = 'aws-kms'\nkey_backend_root = 'aws-kms:root'\n\
    [aws-kms]\nregion = 'eu-central-1'\nendpoint = '{url}'\n\
    [aws-kms.root]\nregion = 'eu-central-1'\nendpoint = '{url}'\n";

/// The role's credentials, as STS gives them.
const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <Credentials><AccessKeyId>ASIAOFROLE</AccessKeyId><SecretAccessKey>secret-of-role</SecretAccessKey>\
    <SessionToken>token-of-role</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleResult></AssumeRoleResponse>";

#[derive(Default)]
pub(crate) struct Asked(pub(crate) Mutex<Vec<String>>);

/// Listens, and answers where: each request leaves `<service> <access key>`.
pub(crate) fn stand_in() -> (String, Arc<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Asked::default());
    let record = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &record);
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream, asked: &Asked) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut signer, mut length, mut line) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => signer = value.split_once("Credential=").unwrap().1.to_owned(),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    // <access key>/<date>/<Region>/<service>/aws4_request
    let scope: Vec<&str> = signer.split('/').collect();
    asked.0.lock().unwrap().push(format!("{} {}", scope[3], scope[0]));
    let assumes = String::from_utf8_lossy(&body).contains("Action=AssumeRole&");
    let (status, text) = match assumes {
        true => ("200 OK", ASSUMED),
        false => ("400 Bad Request", "{\"__type\":\"AccessDeniedException\",\"message\":\"not you\"}"),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all(format!("{head}{text}").as_bytes()).unwrap();
}

/// Who asks when this key store is looked at; what the operator reads.
fn looked_at(store: &str, root_credentials: &str) -> (Vec<String>, String) {
    let (url, asked) = stand_in();
    let directory = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let output = Command::new(catalyst().unwrap())
        .args(["backend", "check", store, "--key", "alias/pki"])
        .current_dir(directory.path())
        .env_clear()
        .env("CATALYST_PKI_CONFIG", file("settings.toml", &SETTINGS.replace("{url}", &url)))
        .env("CATALYST_PKI_ROOT_CREDENTIALS", root_credentials)
        .env("AWS_ACCESS_KEY_ID", "AKIDOFEVERYDAY")
        .env("AWS_SECRET_ACCESS_KEY", "secret-of-everyday")
        .env("AWS_SHARED_CREDENTIALS_FILE", file("credentials", PROFILES))
        .env("AWS_CONFIG_FILE", "/nowhere")
        .env("AWS_ENDPOINT_URL_STS", &url)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut who = asked.0.lock().unwrap().clone();
    who.sort();
    who.dedup();
    (who, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_roots_key_store_is_asked_with_the_roots_credentials_alone() {
    let (who, seen) = looked_at("aws-kms:root", "profile/root");
    assert_eq!(who, ["kms AKIDOFROOT"], "{seen}");
    assert!(seen.contains("kms:GetPublicKey") || seen.contains("kms:DescribeKey"), "{seen}");

    let (who, seen) = looked_at("aws-kms:root", ROLE);
    assert_eq!(who, ["kms ASIAOFROLE", "sts AKIDOFEVERYDAY"], "{seen}");
    assert!(!seen.contains("secret-of") && !seen.contains("token-of"), "{seen}");
}

#[test]
fn other_keys_are_asked_for_with_everydays() {
    for root_credentials in ["profile/root", ROLE] {
        let (who, seen) = looked_at("aws-kms", root_credentials);
        assert_eq!(who, ["kms AKIDOFEVERYDAY"], "{seen}");
    }
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let (who, seen) = looked_at("aws-kms:root", "profile/nobody");
    assert_eq!(who, [""; 0], "{seen}");
    assert!(seen.contains("nobody"), "{seen}");
}

/// The first line of what a proxy is asked when AWS' own endpoint is wanted.
fn tunnel(environment: &[(&str, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://user:secret-of-proxy@{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        stream
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        line
    });
    let output = Command::new(catalyst().unwrap())
        .args(["backend", "check", "aws-kms"])
        .env_clear()
        .env("CATALYST_PKI_KEY_BACKEND", "aws-kms")
        .env("CATALYST_PKI_AWS_REGION", "eu-central-1")
        .env("AWS_CONFIG_FILE", "/nowhere")
        .env("AWS_ACCESS_KEY_ID", "AKIDOFEVERYDAY")
        .env("AWS_SECRET_ACCESS_KEY", "secret-of-everyday")
        .env("HTTPS_PROXY", proxy)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!format!("{output:?}").contains("secret-of"), "{output:?}");
    asked.join().unwrap()
}

#[test]
fn only_our_own_setting_leads_to_another_endpoint_and_a_proxy_is_used() {
    for (variable, other) in [
        ("AWS_ENDPOINT_URL", "http://kms.example.org"),
        ("AWS_ENDPOINT_URL_KMS", "https://kms.example.org"),
        ("AWS_ENDPOINT_URL_KMS", ""),
    ] {
        let asked = tunnel(&[(variable, other)]);
        assert!(asked.starts_with("CONNECT kms.eu-central-1.amazonaws.com:443 "), "{asked}");
    }
}

#[test]
fn a_variable_that_the_sdk_panics_at_is_named() {
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"] {
        let output = Command::new(catalyst().unwrap())
            .args(["backend", "check", "aws-kms"])
            .env_clear()
            .env("CATALYST_PKI_KEY_BACKEND", "aws-kms")
            .env("CATALYST_PKI_AWS_REGION", "eu-central-1")
            .env("CATALYST_PKI_AWS_ROLE", ROLE)
            .env(variable, "")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(variable) && told.contains("unset it"), "{told}");
    }
}

/// What assumes a role for a profile, too.
#[test]
fn fips_endpoints_are_used_for_everything() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("credentials");
    fs::write(&file, format!("{PROFILES}[signer]\nrole_arn = {ROLE}\nsource_profile = root\n")).unwrap();
    let file = file.to_str().unwrap();
    let fips = [("CATALYST_PKI_AWS_USE_FIPS", "true"), ("CATALYST_PKI_AWS_REGION", "us-east-1")];
    assert!(tunnel(&fips).starts_with("CONNECT kms-fips.us-east-1."));
    let profile = [("CATALYST_PKI_AWS_PROFILE", "signer"), ("AWS_SHARED_CREDENTIALS_FILE", file)];
    let asked = tunnel(&[fips, profile].concat());
    assert!(asked.starts_with("CONNECT sts-fips.us-east-1."), "{asked}");
}
