//! What a hostile or careless client tries.

use crate::pki::{Pki, eventually, launch_in, ok, refused};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt as _};
use tempfile::TempDir;

#[test]
fn a_path_that_is_no_text_is_refused_like_everything_else() {
    let pki = Pki::dev();
    refused(&pki.service.http().get("/pki/crl/%ff").unwrap(), 400, "malformed_request");
    refused(&pki.get("/pki/certificates/%ff"), 400, "malformed_request");
    for change in ["activate", "retire", "revoke"] {
        let answer = pki.admin.request("POST", &format!("/pki/ca/%ff/{change}"), &[], b"").unwrap();
        refused(&answer, 400, "malformed_request");
    }
}

#[test]
fn a_token_key_that_cannot_be_used_keeps_the_cas_working() {
    let home = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(home.path()));
    pki.service.stop().unwrap();
    fs::set_permissions(home.path().join("system-token"), fs::Permissions::from_mode(0o644)).unwrap();

    let service = launch_in(home.path()).start().unwrap();
    eventually("upkeep", || {
        service.log_lines().into_iter().find(|line| line.message == "Expired certificates purged")
    });
    let client = service.http().with_token(&pki.token);
    ok(&client.get("/pki/status").unwrap());
    let entity = json!({"id": "n", "name": "n", "type": "service"});
    let mint = json!({"subject": "n", "principal": "NODE", "entity": entity});
    refused(&client.post("/auth/tokens", &mint).unwrap(), 503, "token_key_unavailable");
    assert_eq!(ok(&service.http().get("/ready").unwrap())["ready"], json!(true));
}

#[test]
fn a_csr_that_is_no_csr_is_logged_like_every_other_refusal() {
    let pki = Pki::dev();
    refused(&pki.sign("node", "n1", "garbage"), 400, "csr_malformed");
    pki.logged("CSR validation failed", "csr_malformed");
}
