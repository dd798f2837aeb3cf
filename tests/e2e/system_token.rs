//! The first administrator: a token that the service makes, or a secret that the operator presets.

use crate::{
    credentials::{es384, read, stolen},
    deployment::exit,
    pki::{DOMAIN, Pki, eventually, launch_in, ok, refused},
};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use catalyst_rigs::Launch;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};
use tempfile::TempDir;

const PRESET: &str = "a preset system secret of 32 characters or more";
const ANOTHER: &str = "another preset system secret of 32 characters or so";

/// A service with a preset secret, its hierarchy made, and its administrator.
fn preset(launch: Launch, secret: &str) -> Pki {
    let service = launch.env("CATALYST_SYSTEM_TOKEN", secret).start().unwrap();
    let admin = service.http().with_token(secret);
    let pki = Pki { service, token: secret.to_owned(), admin };
    eventually("an open token key", || {
        pki.service.log().contains("JWTTokenFactory initialized").then_some(())
    });
    pki
}

fn file(directory: &Path) -> std::path::PathBuf {
    directory.join("system-token")
}

#[test]
fn a_revoked_system_token_is_replaced_at_the_next_start_and_stays_revoked() {
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    let first = pki.token.clone();
    let other = ok(&pki.post("/auth/tokens", &crate::tokens::asking("ops", "ADMIN", &json!({}))));
    let tokens = ok(&pki.get("/auth/tokens"));
    let rows = tokens["tokens"].as_array().unwrap();
    let system = rows.iter().find(|row| row["sub"] == "system").unwrap();
    let ops = pki.service.http().with_token(other["token"].as_str().unwrap());
    assert_eq!(ok(&ops.post("/auth/tokens/revoke", &json!({"jti": system["jti"]})).unwrap())["revoked"], 1);
    refused(&pki.get("/pki/status"), 401, "credential_revoked");
    pki.service.stop().unwrap();

    let service = launch_in(home.path()).start().unwrap();
    let fresh = eventually("a fresh system token", || {
        let token = fs::read_to_string(file(home.path())).ok()?.trim().to_owned();
        (token != first && !token.is_empty()).then_some(token)
    });
    let status = |token: &str| service.http().with_token(token).get("/pki/status").unwrap();
    ok(&status(&fresh));
    refused(&status(&first), 401, "credential_revoked");
    assert_eq!(fs::metadata(file(home.path())).unwrap().permissions().mode() & 0o777, 0o600);
    let line = service.log_lines().into_iter().find(|line| line.message == "System token replaced").unwrap();
    assert_eq!((line.level.as_str(), line.category.as_str()), ("warn", "catalyst.auth"));
}

#[test]
fn a_system_token_that_others_may_read_is_not_used_until_that_is_mended() {
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    pki.service.stop().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(file(home.path()), fs::Permissions::from_mode(mode)).unwrap();
        let mut service = launch_in(home.path()).start().unwrap();
        let line = service.wait_for("No system token").unwrap();
        assert_eq!(line.level, "error");
        assert!(line.raw.contains("chmod 600") && line.raw.contains(&format!("{mode:o}")), "{}", line.raw);
        assert!(!service.log().contains(&pki.token));
        // It is neither replaced nor put right silently: others may have it.
        assert_eq!(fs::metadata(file(home.path())).unwrap().permissions().mode() & 0o777, mode);
        service.stop().unwrap();
    }
    fs::set_permissions(file(home.path()), fs::Permissions::from_mode(0o600)).unwrap();
    let again = Pki::start(launch_in(home.path())).ready();
    assert_eq!(again.token, pki.token);
}

#[test]
fn a_preset_secret_is_an_administrator_whose_name_is_system() {
    let home = TempDir::new().unwrap();
    let pki = preset(launch_in(home.path()), PRESET);
    ok(&pki.post("/pki/initialize", &json!({})));
    let pki = pki.ready();
    pki.issue("node", "n1");
    let records = ok(&pki.get("/pki/audit?actor=system&action=certificate.issued"));
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
    // It makes tokens, as its holder may.
    let token = pki.mint("ops", "ADMIN", &json!({"expiresIn": "365d"}));
    ok(&pki.service.http().with_token(&token).get("/pki/status").unwrap());
    // Nearly right is wrong.
    for wrong in [&PRESET[1..], &PRESET[..PRESET.len() - 1], &PRESET.to_uppercase(), &format!("{PRESET}x")] {
        let answer = pki.service.http().with_token(wrong).get("/pki/status").unwrap();
        refused(&answer, 401, "credential_invalid");
    }
    // Rotating the signing key makes no token for whoever presets one.
    ok(&pki.post("/auth/keys/rotate", &json!({"immediate": true})));
    ok(&pki.get("/pki/status"));
    assert!(!file(home.path()).exists());
    // It stands nowhere: neither in the log nor in any file.
    assert!(!pki.service.log().contains(PRESET));
    for entry in fs::read_dir(home.path()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let found = fs::read(entry.path()).unwrap();
            let holds = found.windows(PRESET.len()).any(|window| window == PRESET.as_bytes());
            assert!(!holds, "{} holds the secret", entry.path().display());
        }
    }
    let verdict = ok(&pki.post("/auth/tokens/verify", &json!({"token": PRESET})));
    assert_eq!(verdict["valid"], false, "a secret is no token for others to accept");
}

#[test]
fn a_preset_secret_must_be_long_outside_dev() {
    let home = TempDir::new().unwrap();
    let launch = || launch_in(home.path()).env("CATALYST_SYSTEM_TOKEN", &PRESET[..31]);
    let (code, log) = exit(launch());
    assert!(code != 0 && log.contains("CATALYST_SYSTEM_TOKEN") && log.contains("32"), "{code}: {log}");
    assert!(!log.contains(&PRESET[..31]), "{log}");
    let pki = preset(launch().arg("--dev"), &PRESET[..31]);
    ok(&pki.get("/pki/status"));
}

#[test]
fn a_preset_secret_that_was_revoked_serves_no_more_and_stops_the_next_start() {
    let home = TempDir::new().unwrap();
    let mut pki = preset(launch_in(home.path()), PRESET);
    let jti = pki.logged("Preset system token in use", "preset:system:").property("jti").unwrap().to_owned();
    let ops = pki.service.http().with_token(&pki.mint("ops", "ADMIN", &json!({})));
    for _ in 0..2 {
        ok(&pki.get("/pki/status"));
    }
    assert_eq!(ok(&ops.post("/auth/tokens/revoke", &json!({"jti": jti})).unwrap())["revoked"], 1);
    assert_eq!(ok(&ops.post("/auth/tokens/revoke", &json!({"jti": jti})).unwrap())["revoked"], 0);
    refused(&pki.get("/pki/status"), 401, "credential_revoked");
    let records = ok(&ops.get("/pki/audit?action=secret.revoked").unwrap());
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
    pki.service.stop().unwrap();
    let (code, log) = exit(launch_in(home.path()).env("CATALYST_SYSTEM_TOKEN", PRESET));
    assert_ne!(code, 0);
    let sentence = "CATALYST_SYSTEM_TOKEN holds a secret that was revoked: set another one";
    assert!(log.contains(sentence) && !log.contains(PRESET), "{log}");
    // Another one takes its place; the names of both stay apart.
    let again = preset(launch_in(home.path()), ANOTHER);
    ok(&again.get("/pki/status"));
    let old = again.service.http().with_token(PRESET).get("/pki/status").unwrap();
    refused(&old, 401, "credential_invalid");
    let named = again.logged("Preset system token in use", "preset:system:");
    assert_ne!(named.property("jti"), Some(jti.as_str()));
}

#[test]
fn one_secret_is_not_taken_for_an_administrator_and_for_nodes() {
    let home = TempDir::new().unwrap();
    let launch = launch_in(home.path());
    let both = launch.env("CATALYST_SYSTEM_TOKEN", PRESET).env("CATALYST_BOOTSTRAP_TOKEN", PRESET);
    let (code, log) = exit(both);
    assert!(code != 0 && log.contains("hold the same secret") && !log.contains(PRESET), "{code}: {log}");
}

#[test]
fn a_system_token_that_ends_soon_is_warned_of() {
    let home = TempDir::new().unwrap();
    let launch = || Launch::new(&catalyst_rigs::catalyst().unwrap(), home.path()).arg("--dev");
    let mut pki = Pki::start(launch()).ready();
    // The same token, with an end of ten days from now: signed with the service's own key.
    let key = stolen(&pki, "token-1.pem");
    let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, &key).unwrap();
    let parts: Vec<Value> = pki.token.split('.').take(2).map(read).collect();
    let mut claims = parts[1].clone();
    claims["exp"] = json!(claims["iat"].as_i64().unwrap() + 10 * 86_400);
    pki.service.stop().unwrap();
    fs::write(file(home.path()), es384(&key, &parts[0], &claims)).unwrap();
    let again = Pki::start(launch()).ready();
    let line = eventually("a warning", || {
        let lines = again.service.log_lines().into_iter();
        lines.rev().find(|line| line.message.starts_with("System token approaching expiry"))
    });
    assert!(line.level == "warn" && line.message.contains("in 9 days"), "{}", line.raw);
    let status = ok(&again.get("/pki/status"));
    assert!(status["warnings"].to_string().contains("the system token ends in 9 days"), "{status}");
    assert!(!pki.service.log().contains("approaching expiry"));
}

#[test]
fn that_a_token_was_recovered_is_on_record() {
    let home = TempDir::new().unwrap();
    let mut service = crate::auth_cli::start(home.path());
    service.stop().unwrap();
    let recovered = std::process::Command::new(catalyst_rigs::catalyst().unwrap())
        .args(["token", "recover", "--dev", "--data-dir"])
        .arg(home.path())
        .env_clear()
        .output()
        .unwrap();
    assert!(recovered.status.success(), "{recovered:?}");
    let service = crate::auth_cli::start(home.path());
    let args = ["pki", "audit", "--action", "token.recovered", "--output", "json"];
    let found = crate::auth_cli::done(&service, &args);
    let records: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 1, "{found}");
    assert_eq!((&records[0]["subject"], &records[0]["actor"]), (&json!("system"), &json!("service")));
}

#[test]
fn the_generated_token_says_what_it_is() {
    let pki = Pki::dev();
    let claims = read(pki.token.split('.').nth(1).unwrap());
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("system"), &json!(DOMAIN)));
    assert_eq!(claims["entity"]["trustedNodes"], json!([]));
    assert_eq!(claims["entity"]["trustedDomains"], json!([]));
    // In --dev it is in the log of every start.
    assert!(pki.service.log().contains(&format!("System Admin Token: {}", pki.token)));
}
