//! Private keys that leave, and private keys that come from elsewhere.

use crate::{
    auth_cli,
    backup::{names, run},
    deployment::{Deployment, Holder, PASSPHRASE},
    scheduled::{of_schema_2, schema},
};
use catalyst_rigs::{catalyst, checkers::openssl};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

const PASSWORD: &str = "the password of the file";

fn keys(deployment: &Deployment, args: &[&str]) -> Command {
    let mut command = Command::new(catalyst().unwrap());
    command.args(["pki", "keys"]).args(args).env_clear().current_dir(deployment.beside("."));
    command.stdin(Stdio::null());
    command.env("CATALYST_PKI_CERTS_DB", deployment.data_dir().join("certs.db"));
    command.env("CATALYST_PKI_LOCAL_PASSPHRASE_FILE", deployment.beside("passphrase"));
    command
}

/// Somebody who may open what is exported.
fn recipient(deployment: &Deployment) -> String {
    let identity = deployment.beside("identity");
    assert!(Command::new("age-keygen").arg("-o").arg(&identity).output().unwrap().status.success());
    let text = fs::read_to_string(identity).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

fn public_half(private: &Path, more: &[&str]) -> String {
    openssl(&[&["pkey", "-in", private.to_str().unwrap(), "-pubout"], more].concat()).unwrap()
}

#[test]
fn a_key_leaves_encrypted_and_on_record_while_no_service_runs() {
    let deployment = Deployment::production();
    let recipient = recipient(&deployment);
    let (mut service, _) = deployment.initialized();
    let wanted = ["export", "root", "--recipient", &recipient, "--output-file", "root.age"];
    let deliberate = [&wanted[..], &["--i-understand"]].concat();

    let (code, stdout, stderr) = run(keys(&deployment, &wanted));
    assert!(code == 2 && stdout.is_empty() && stderr.contains("--i-understand"), "{stderr}");
    let (code, _, stderr) = run(keys(&deployment, &deliberate));
    assert!(code == 1 && stderr.contains(&format!("process {}", service.pid())), "{stderr}");
    assert!(!deployment.beside("root.age").exists());
    service.stop().unwrap();

    let (code, stdout, stderr) = run(keys(&deployment, &deliberate));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("root:1 (local:root-1)"), "{stdout}");
    let file = deployment.beside("root.age");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let opened = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(deployment.beside("identity"))
        .arg(&file)
        .output()
        .unwrap();
    assert!(opened.status.success(), "{opened:?}");
    fs::write(deployment.beside("plain"), opened.stdout).unwrap();
    let passphrase = format!("file:{}", deployment.beside("passphrase").display());
    let own = public_half(&deployment.key_file("root-1"), &["-passin", &passphrase]);
    assert_eq!(public_half(&deployment.beside("plain"), &[]), own);

    // What is there is kept, and no second export is on record.
    let (code, _, stderr) = run(keys(&deployment, &deliberate));
    assert!(code == 2 && stderr.contains("is there already, and is kept"), "{stderr}");
    let service = deployment.start();
    deployment.admin(&service);
    let audit = auth_cli::done(&service, &["pki", "audit", "--action", "key.exported", "--output", "json"]);
    assert_eq!(audit.lines().count(), 1, "{audit}");
    let record: Value = serde_json::from_str(&audit).unwrap();
    let detail: Value = serde_json::from_str(record["detail"].as_str().unwrap()).unwrap();
    assert_eq!((&detail["role"], &detail["recipients"]), (&json!("root"), &json!([recipient])));
}

/// Nothing is kept of a store before its schema changes but by the service.
#[test]
fn a_store_of_an_earlier_schema_is_left_as_it_is() {
    let deployment = Deployment::production();
    let recipient = recipient(&deployment);
    drop(deployment.initialized());
    let certs_db = deployment.data_dir().join("certs.db");
    of_schema_2(&certs_db);
    let wanted = ["export", "root", "--recipient", &recipient, "--output-file", "root.age", "--i-understand"];
    let (code, _, stderr) = run(keys(&deployment, &wanted));
    assert!(code == 2 && stderr.contains("start the service once"), "{stderr}");
    assert_eq!(schema(&certs_db), 2);
    assert!(!deployment.beside("root.age").exists());
}

#[test]
fn a_key_that_cannot_leave_or_is_not_the_pinned_one_stays() {
    let deployment = Deployment::production();
    let recipient = recipient(&deployment);
    let (mut service, _) = deployment.initialized();
    service.stop().unwrap();
    let export = |name: &str| {
        let args = ["export", name, "--i-understand", "--recipient", &recipient, "--output-file", "out.age"];
        let done = run(keys(&deployment, &args));
        assert!(!deployment.beside("out.age").exists());
        done
    };
    let (code, _, stderr) = export("root:7");
    assert!(code == 2 && stderr.contains("of this role there are: root:1 (active)"), "{stderr}");
    assert_eq!(export("other").0, 2);
    fs::copy(deployment.key_file("transport-1"), deployment.key_file("services-1")).unwrap();
    let (code, _, stderr) = export("services");
    assert!(code == 1 && stderr.contains("holds another key than the pinned one"), "{stderr}");
    let store = Connection::open(deployment.data_dir().join("certs.db")).unwrap();
    store.execute("UPDATE ca_key SET backend = 'pkcs11' WHERE role = 'transport'", []).unwrap();
    drop(store);
    let (code, _, stderr) = export("transport");
    assert!(code == 1 && stderr.contains("key store 'pkcs11', which gives no private key out"), "{stderr}");
}

/// A root made with `openssl`, in a file of PKCS#12.
fn root(deployment: &Deployment, algorithm: &str, more: &str) {
    fs::write(deployment.beside("password"), PASSWORD).unwrap();
    let run = |args: &str| {
        let done = Command::new("openssl")
            .current_dir(deployment.beside("."))
            .args(args.split(' '))
            .output()
            .unwrap();
        assert!(done.status.success(), "{args}: {done:?}");
    };
    run(&format!("genpkey -algorithm {algorithm} -out key.pem"));
    run("req -x509 -new -key key.pem -subj /CN=Root -out root.pem");
    run(&format!("pkcs12 -export -inkey key.pem -in root.pem -passout file:password -out root.p12{more}"));
    fs::set_permissions(deployment.beside("root.p12"), fs::Permissions::from_mode(0o600)).unwrap();
}

const P384: &str = "EC -pkeyopt ec_paramgen_curve:P-384";

#[test]
fn a_root_key_made_elsewhere_becomes_the_ca() {
    for (algorithm, name) in [(P384, "EC-P384"), ("RSA -pkeyopt rsa_keygen_bits:3072", "RSA-3072")] {
        let deployment = Deployment::production();
        root(&deployment, algorithm, "");
        let mut import = keys(&deployment, &["import", "root.p12", "--role", "root", "--output", "json"]);
        import.env("CATALYST_IMPORT_PASSWORD_FILE", deployment.beside("password"));
        let (code, stdout, stderr) = run(import);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("is not taken: the CA makes one of its own"), "{stderr}");
        let imported: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (&imported["algorithm"], &imported["setting"]),
            (&json!(name), &json!("CATALYST_PKI_LOCAL_KEY"))
        );
        let key = imported["name"].as_str().unwrap();

        let service = deployment.launch().env("CATALYST_PKI_LOCAL_KEY", key).start().unwrap();
        let client = deployment.admin(&service);
        let request = json!({"commonName": "Root", "algorithm": name, "withIntermediates": true});
        let made = client.post("/pki/initialize", &request).unwrap();
        assert_eq!(made.status, 200, "{}", made.text());
        let status: Value = client.get("/pki/status").unwrap().json().unwrap();
        assert_eq!(status["rootCa"]["keyUri"], format!("local:{key}"));
        Holder::new("gateway", "g.example.org").get(&client);
        let root = deployment.beside("own.pem");
        fs::write(&root, client.get("/pki/ca/bundle").unwrap().text()).unwrap();
        let root = openssl(&["verify", "-CAfile", root.to_str().unwrap(), root.to_str().unwrap()]).unwrap();
        assert!(root.contains("OK"), "{root}");
        let cas = client.get("/pki/ca").unwrap().json().unwrap();
        let spki =
            cas.as_array().unwrap().iter().find(|ca| ca["role"] == "root").unwrap()["spkiSha256"].clone();
        assert_eq!(spki, imported["spkiSha256"]);
    }
}

#[test]
fn a_key_that_is_not_taken_is_told_why_and_leaves_nothing() {
    let deployment = Deployment::production();
    root(&deployment, P384, "");
    let import = |args: &[&str], password: &str| {
        let mut command = keys(&deployment, &[&["import"], args].concat());
        command.env("CATALYST_IMPORT_PASSWORD", password);
        run(command)
    };
    let left = || names(&deployment.data_dir().join("keys"));
    let (code, _, stderr) = import(&["root.p12", "--role", "root"], "another password");
    assert!(code == 3 && stderr.contains("does not open with this password"), "{stderr}");
    let (code, _, stderr) = import(&["root.pem", "--role", "root"], PASSWORD);
    assert!(code == 2 && stderr.contains("there is no private key in it"), "{stderr}");
    let (code, _, stderr) = import(&["data", "--role", "root"], PASSWORD);
    assert!(code == 2 && stderr.contains("is a directory"), "{stderr}");
    assert_eq!(import(&["missing", "--role", "root"], PASSWORD).0, 2);
    assert_eq!(import(&["root.p12", "--role", "probe"], PASSWORD).0, 2);
    let (code, _, stderr) = import(&["root.p12", "--role", "root", "--auth-url", "ws://localhost"], PASSWORD);
    assert!(code == 2 && stderr.contains("--auth-url is for commands that ask a service"), "{stderr}");
    // Nobody sits at a terminal.
    let mut asks = keys(&deployment, &["import", "root.p12", "--role", "root"]);
    asks.env_remove("CATALYST_IMPORT_PASSWORD");
    let mut apart = Command::new("setsid");
    apart
        .arg("-w")
        .arg(asks.get_program())
        .args(asks.get_args())
        .env_clear()
        .current_dir(deployment.beside("."));
    apart.envs(asks.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", "/usr/bin:/bin");
    let (code, _, stderr) = run(apart);
    assert!(code == 2 && stderr.contains("CATALYST_IMPORT_PASSWORD_FILE"), "{stderr}");
    // A certificate of another key.
    let both = [fs::read(deployment.beside("key.pem")).unwrap(), {
        root(&deployment, P384, "");
        fs::read(deployment.beside("root.pem")).unwrap()
    }];
    fs::write(deployment.beside("both.pem"), both.concat()).unwrap();
    let (code, _, stderr) = import(&["both.pem", "--role", "root"], PASSWORD);
    assert!(code == 2 && stderr.contains("for other keys"), "{stderr}");
    assert!(stderr.contains("both.pem has mode 0644"), "{stderr}");
    root(&deployment, P384, " -legacy");
    let (code, _, stderr) = import(&["root.p12", "--role", "root"], PASSWORD);
    assert!(code == 2 && stderr.contains("openssl pkcs12 -legacy"), "{stderr}");
    root(&deployment, "ED25519", "");
    let (code, _, stderr) = import(&["root.p12", "--role", "token"], PASSWORD);
    assert!(code == 2 && stderr.contains("EC-P384"), "{stderr}");
    for (key_store, tool) in [("pkcs11", "vendor"), ("aws-kms", "AWS"), ("gcp-kms", "Google")] {
        let mut command = keys(&deployment, &["import", "root.p12", "--role", "root"]);
        command.env("CATALYST_PKI_KEY_BACKEND_ROOT", key_store);
        let (code, _, stderr) = run(command);
        assert!(code == 1 && stderr.contains("brings no keys") && stderr.contains(tool), "{stderr}");
    }
    assert!(!deployment.data_dir().join("keys").exists() || left().is_empty());

    let (code, _, stderr) = import(&["root.p12", "--role", "root"], PASSWORD);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains(PASSWORD) && !stderr.contains(PASSPHRASE), "{stderr}");
    let before = left();
    let (code, _, stderr) = import(&["root.p12", "--role", "root"], PASSWORD);
    assert!(code == 1 && stderr.contains("the key was imported before"), "{stderr}");
    assert_eq!(left(), before);
}

/// What was exported comes back through a pipe, and never lies on the disk in clear.
#[test]
fn an_exported_key_is_imported_from_a_pipe() {
    let deployment = Deployment::production();
    let recipient = recipient(&deployment);
    let (mut service, _) = deployment.initialized();
    service.stop().unwrap();
    let args =
        ["export", "services:1", "--i-understand", "--recipient", &recipient, "--output-file", "key.age"];
    assert_eq!(run(keys(&deployment, &args)).0, 0);
    let other = Deployment::production();
    let mut age = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(deployment.beside("identity"))
        .arg(deployment.beside("key.age"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut import = keys(&other, &["import", "-", "--role", "services"]);
    import.stdin(age.stdout.take().unwrap());
    let (code, stdout, stderr) = run(import);
    assert_eq!(code, 0, "{stderr}");
    assert!(age.wait().unwrap().success());
    assert!(stdout.contains("[ok] Key imported: imported-services-"), "{stdout}");
    assert!(stderr.contains("CATALYST_PKI_LOCAL_KEY_SERVICES=imported-services-"), "{stderr}");
}
