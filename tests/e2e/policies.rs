//! Policies of an operator: what they can't open, how they are refused, and how they change under a running service.

use crate::{
    deployment::exit,
    mutual_tls::connect,
    pki::{Pki, eventually, launch_in, ok, refused, spiffe_id},
    tokens::csr,
};
use catalyst_rigs::{catalyst, http::Client};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const EVERYTHING: &str = "permit (principal, action, resource);\n";

/// A directory of policies that can be exchanged as a whole, as SECURITY wants it: a link that is pointed elsewhere.
struct Directory(TempDir);

impl Directory {
    /// With the program's own policies in it.
    fn exported() -> Self {
        let directory = Self(TempDir::new().unwrap());
        let version = directory.version("first");
        fs::remove_dir(&version).unwrap();
        let exported = Command::new(catalyst().unwrap())
            .args(["policy", "export"])
            .arg(&version)
            .env_clear()
            .output()
            .unwrap();
        assert!(exported.status.success(), "{exported:?}");
        directory.point_to("first");
        directory
    }

    /// With this one policy.
    fn of(policy: &str) -> Self {
        let directory = Self(TempDir::new().unwrap());
        fs::write(directory.version("first").join("own.cedar"), policy).unwrap();
        directory.point_to("first");
        directory
    }

    fn version(&self, name: &str) -> PathBuf {
        let version = self.0.path().join(name);
        fs::create_dir(&version).unwrap();
        version
    }

    fn link(&self) -> PathBuf {
        self.0.path().join("current")
    }

    fn point_to(&self, version: &str) {
        let fresh = self.0.path().join("fresh");
        std::os::unix::fs::symlink(self.0.path().join(version), &fresh).unwrap();
        fs::rename(fresh, self.link()).unwrap();
    }

    fn add(&self, version: &str, from: &str, file: &str, policy: &str) {
        let directory = self.version(version);
        for entry in fs::read_dir(self.0.path().join(from)).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
        }
        fs::write(directory.join(file), policy).unwrap();
        self.point_to(version);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sign(client: &Client, service_type: &str, instance: &str) -> catalyst_rigs::http::Response {
    let csr = csr(service_type, instance);
    let body = json!({"csrPem": csr, "serviceType": service_type, "instanceId": instance});
    client.post("/pki/csr/sign", &body).unwrap()
}

#[test]
fn a_policy_for_everything_opens_nothing_that_the_program_keeps_shut() {
    let directory = Directory::of(EVERYTHING);
    let pki = Pki::dev_with(|launch| {
        launch
            .env("CATALYST_PKI_TLS", "always")
            .env("CATALYST_POLICY_DIR", text(&directory.link()))
            .env("CATALYST_BOOTSTRAP_TOKEN", "dev-bootstrap-token")
    });
    // It is in force: a USER does what only an administrator may otherwise.
    let user = pki.as_("USER", &json!({}));
    ok(&user.get("/pki/status").unwrap());
    ok(&sign(&user, "node", "n9"));
    // Nobody but a global ADMIN makes a second CA service.
    let scoped = pki.as_("ADMIN", &json!({"entity": {"trustedNodes": ["n1", "auth-9"]}}));
    let node = pki.as_("NODE", &json!({"entity": {"nodeId": "auth-9"}}));
    for client in [&user, &scoped, &node] {
        refused(&sign(client, "auth", "auth-9"), 403, "permission_denied");
        let keypair = json!({"serviceType": "auth", "instanceId": "auth-9"});
        refused(&client.post("/pki/keypair", &keypair).unwrap(), 403, "permission_denied");
    }
    // Nobody grants more than they hold.
    for principal in ["ADMIN", "NODE"] {
        let mint = crate::tokens::asking("a", principal, &json!({}));
        refused(&user.post("/auth/tokens", &mint).unwrap(), 403, "grant_exceeds_own");
    }
    // A bootstrap credential is for CSRs, and a bound one for those of its identity.
    let bootstrap = |more: Value| pki.service.http().with_token(&pki.mint("bootstrap", "NODE", &more));
    let bound = bootstrap(json!({"spiffeId": spiffe_id("node", "n1")}));
    refused(&sign(&bound, "node", "n2"), 403, "permission_denied");
    let any = bootstrap(json!({"anyIdentity": true, "uses": 9}));
    let preshared = pki.service.http().with_token("dev-bootstrap-token");
    for client in [&bound, &any, &preshared] {
        refused(&sign(client, "auth", "n1"), 403, "permission_denied");
        for path in ["/pki/status", "/pki/certificates", "/auth/tokens", "/auth/keys", "/pki/audit"] {
            refused(&client.get(path).unwrap(), 403, "permission_denied");
        }
        let keypair = json!({"serviceType": "node", "instanceId": "n1"});
        refused(&client.post("/pki/keypair", &keypair).unwrap(), 403, "permission_denied");
        let mint = crate::tokens::asking("a", "USER", &json!({}));
        refused(&client.post("/auth/tokens", &mint).unwrap(), 403, "permission_denied");
        refused(&client.request("POST", "/auth/keys/rotate", &[], b"").unwrap(), 403, "permission_denied");
    }
    ok(&sign(&bound, "node", "n1"));
}

#[test]
fn a_policy_for_everything_lets_no_certificate_bring_one_of_another_identity() {
    let directory = Directory::of(EVERYTHING);
    let pki = Pki::dev_with(|launch| {
        launch.env("CATALYST_PKI_TLS", "always").env("CATALYST_POLICY_DIR", text(&directory.link()))
    });
    let mut connection = connect(&pki, &pki.issue("node", "n1"));
    assert_eq!(connection.get("/pki/status").unwrap().0, 200, "the policy is not in force");
    let mut ask = |service_type: &str, instance: &str| {
        let csr = csr(service_type, instance);
        let body = json!({"csrPem": csr, "serviceType": service_type, "instanceId": instance});
        let signed = connection.post("/pki/csr/sign", &body);
        let body = json!({"serviceType": service_type, "instanceId": instance});
        (signed, connection.post("/pki/keypair", &body))
    };
    for (service_type, instance) in [("node", "n2"), ("gateway", "n1"), ("auth", "n1"), ("auth", "auth-1")] {
        let (signed, made) = ask(service_type, instance);
        refused(&signed, 403, "permission_denied");
        refused(&made, 403, "permission_denied");
    }
    let (signed, made) = ask("node", "n1");
    ok(&signed);
    ok(&made);
    // It makes no tokens either: those are beyond what the schema gives a certificate.
    let mint = crate::tokens::asking("a", "USER", &json!({}));
    refused(&connection.post("/auth/tokens", &mint), 403, "permission_denied");
}

#[test]
fn a_policy_can_narrow_what_credentials_may() {
    let directory = Directory::exported();
    let narrow = r#"forbid (principal is CATALYST::BOOTSTRAP, action, resource)
when { !(resource is CATALYST::Certificate && resource has serviceType && resource.serviceType == "node") };
forbid (principal is CATALYST::SVID, action, resource);
"#;
    directory.add("second", "first", "own.cedar", narrow);
    let pki = Pki::dev_with(|launch| {
        launch.env("CATALYST_PKI_TLS", "always").env("CATALYST_POLICY_DIR", text(&directory.link()))
    });
    let any = pki.mint("bootstrap", "NODE", &json!({"anyIdentity": true, "uses": 9}));
    let any = pki.service.http().with_token(&any);
    refused(&sign(&any, "gateway", "n1"), 403, "permission_denied");
    ok(&sign(&any, "node", "n1"));
    let mut connection = connect(&pki, &pki.issue("node", "n2"));
    let body = json!({"csrPem": csr("node", "n2"), "serviceType": "node", "instanceId": "n2"});
    refused(&connection.post("/pki/csr/sign", &body), 403, "permission_denied");
}

#[test]
fn a_broken_policy_directory_stops_the_start_and_is_named_with_file_and_line() {
    let start = |policies: &Path| {
        let home = TempDir::new().unwrap();
        exit(launch_in(home.path()).env("CATALYST_POLICY_DIR", text(policies)))
    };
    let directory = Directory::exported();
    directory.add("second", "first", "node.cedar", "// mine\n\npermit (principal, action resource);\n");
    let (code, log) = start(&directory.link());
    assert!(code != 0 && log.contains("node.cedar:3:27"), "{code}: {log}");
    let unknown =
        "permit (principal is CATALYST::NODE, action, resource) when { principal.shoeSize == 1 };\n";
    directory.add("third", "first", "own.cedar", unknown);
    let (code, log) = start(&directory.link());
    assert!(code != 0 && log.contains("own.cedar:1:") && log.contains("shoeSize"), "{code}: {log}");
    let (code, log) = start(Path::new("/nowhere/policies"));
    assert!(code != 0 && log.contains("/nowhere/policies"), "{code}: {log}");
}

#[test]
fn a_policy_directory_that_vanishes_breaks_and_is_mended_while_the_service_runs() {
    let directory = Directory::exported();
    let permit = "permit (principal is CATALYST::USER, action == CATALYST::Action::\"CA_READ\", resource);\n";
    directory.add("second", "first", "own.cedar", permit);
    let pki = Pki::dev_with(|launch| launch.env("CATALYST_POLICY_DIR", text(&directory.link())));
    let user = pki.as_("USER", &json!({}));
    let warned = |part: &str| {
        eventually("a warning of the status", || {
            let status = ok(&pki.get("/pki/status"));
            let found = status["warnings"].as_array().unwrap().iter().any(|warning| {
                let warning = warning.as_str().unwrap();
                warning.starts_with("policies: ") && warning.contains(part)
            });
            found.then(|| assert_eq!(status["status"], "degraded"))
        });
    };
    let not_replaced =
        "Policies not replaced — the last good ones hold; correct the directory CATALYST_POLICY_DIR";
    // The last good ones go on, for allowing and denying.
    let as_before = || {
        ok(&user.get("/pki/status").unwrap());
        refused(&user.get("/pki/ca/bundle?role=x").unwrap(), 400, "malformed_request");
        refused(&user.get("/pki/audit").unwrap(), 403, "permission_denied");
    };
    as_before();
    fs::remove_file(directory.link()).unwrap();
    warned("current");
    assert_eq!(pki.logged(not_replaced, "current").level, "error");
    as_before();

    directory.add("third", "first", "own.cedar", "permit (principal, action,\n  oops);\n");
    warned("own.cedar:2");
    pki.logged(not_replaced, "own.cedar:2");
    as_before();

    // Valid again, and without what allowed it: from now on denied, though it was allowed a moment ago.
    directory.point_to("first");
    eventually("the new policies", || (user.get("/pki/status").unwrap().status == 403).then_some(()));
    let line = pki.logged("Policies replaced", "policies");
    let hash = line.property("policies").unwrap();
    eventually("the record", || {
        let records = ok(&pki.get("/pki/audit?action=policy.replaced"));
        let records = records["records"].as_array().unwrap().clone();
        let found = records.iter().any(|record| record["detail"].as_str().unwrap().contains(hash));
        found.then(|| assert_eq!(records[0]["actor"], json!("service")))
    });
    let status = ok(&pki.get("/pki/status"));
    assert_eq!(
        (&status["status"], status["warnings"].to_string().contains("policies")),
        (&json!("healthy"), false)
    );
    // What was wrong was said once, not at every look.
    let said = pki.service.log_lines().into_iter().filter(|line| line.message == not_replaced).count();
    assert_eq!(said, 2);
}
