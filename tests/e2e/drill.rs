//! The restore drill, with each key store: a service at work is backed up and goes on, its disk is thrown away, and the
//! backup is put back elsewhere. What was issued, denied and revoked after it still counts.

use crate::{
    auth_cli, aws_faults, backup, gcp_faults,
    pkcs11::{key_uris, with},
    pki::{Issued, Pki, eventually, ok, refused, spiffe_id, verifies},
    renewal::{Ended, SCHEME, proof, renew, renews, request},
    restore::one,
};
use catalyst_rigs::{Launch, aws::FaultProxy, catalyst, pkcs11::SoftHsm};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use tempfile::TempDir;

/// A machine whose disk will be lost, the place of its backups, and the machine that comes after it.
struct Site {
    places: TempDir,
    /// That tell of the key store, which outlives the disk, or of the passphrase.
    key_store: Vec<(String, String)>,
    recipient: String,
}

impl Site {
    fn new(key_store: Vec<(String, String)>) -> Self {
        let places = TempDir::new().unwrap();
        for name in ["lost", "backups", "elsewhere"] {
            fs::create_dir(places.path().join(name)).unwrap();
        }
        let identity = places.path().join("identity");
        assert!(Command::new("age-keygen").arg("-o").arg(&identity).output().unwrap().status.success());
        let text = fs::read_to_string(identity).unwrap();
        let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
        Self { places, key_store, recipient }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.places.path().join(name)
    }

    /// `catalyst serve` in this place; backups are made when they are asked for, the journal stands beside them.
    fn launch(&self, place: &str) -> Launch {
        let launch = with(Launch::new(&catalyst().unwrap(), &self.place(place)), &self.key_store);
        launch
            .env("CATALYST_PKI_BACKUP_DIR", self.place("backups").to_str().unwrap())
            .env("CATALYST_PKI_BACKUP_INTERVAL", "0")
            // Clients renew without a pause.
            .env("CATALYST_PKI_ISSUE_LIMIT", "0")
    }

    /// A command on this machine, that reaches the key store.
    #[track_caller]
    fn done(&self, place: &str, args: &[&str]) -> String {
        let mut command = Command::new(catalyst().unwrap());
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(self.key_store.iter().cloned()).current_dir(self.place("backups"));
        command.env("CATALYST_PKI_CERTS_DB", self.place(place).join("certs.db"));
        backup::done(command).0
    }
}

/// What shows that a restore lost nothing and took nothing back: each must be greater than before.
#[derive(Debug)]
struct Numbers {
    crl: u64,
    bundle: i64,
    spiffe_sequence: i64,
}

impl Numbers {
    /// As they are served; the number of the bundle is in the store alone.
    fn of(pki: &Pki, data_dir: &Path) -> Self {
        let served: Value = pki.service.http().get("/.well-known/spiffe-bundle").unwrap().json().unwrap();
        Self {
            crl: pki.crl("services").number(),
            bundle: one(data_dir, "SELECT bundle_version FROM deployment"),
            spiffe_sequence: served["spiffe_sequence"].as_i64().unwrap(),
        }
    }

    #[track_caller]
    fn is_beyond(&self, earlier: &Self) {
        let rise = self.crl > earlier.crl
            && self.bundle > earlier.bundle
            && self.spiffe_sequence > earlier.spiffe_sequence;
        assert!(rise, "{self:?} after {earlier:?}");
    }
}

fn renewed(pki: &Pki, issued: &Issued, instance: &str) -> catalyst_rigs::http::Response {
    let (_, csr) = request("node", instance);
    renew(pki, SCHEME, &proof(issued, &csr), instance, &csr)
}

/// Backs the service up while its clients renew and others come. Gives the serials of before the snapshot, and what
/// the clients hold at the end, with their names.
fn backed_up_at_work(site: &Site, pki: &Pki) -> (Vec<String>, Vec<(&'static str, Issued)>) {
    let (ended, count, issued) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let clients = ["r-1", "r-2"];
    thread::scope(|scope| {
        let _ended = Ended(&ended);
        let renewing = clients.map(|name| {
            let first = pki.issue("node", name);
            let (count, ended) = (&count, &ended);
            scope.spawn(move || (name, renews(pki, first, name, count, ended)))
        });
        scope.spawn(|| {
            for number in 0.. {
                if ended.load(Relaxed) {
                    return;
                }
                let serial = pki.issue("gateway", &format!("g-{number}.example.org")).serial().to_owned();
                issued.lock().unwrap().push(serial);
            }
        });
        let goes_on = |most: usize| {
            eventually("more certificates", || (issued.lock().unwrap().len() >= most).then_some(()));
        };
        goes_on(5);
        let before = issued.lock().unwrap().clone();
        let made =
            site.done("lost", &["backup", "create", "--recipient", &site.recipient, "--output", "a.age"]);
        assert!(made.starts_with("[ok] Backup written: ./a.age"), "{made}");
        let (so_far, renewals) = (issued.lock().unwrap().len(), count.load(Relaxed));
        goes_on(so_far + 5);
        eventually("more renewals", || (count.load(Relaxed) > renewals + 2).then_some(()));
        ended.store(true, Relaxed);
        (before, renewing.map(|client| client.join().unwrap()).into())
    })
}

fn drill(key_store: Vec<(String, String)>) {
    let site = Site::new(key_store);
    let pki = crate::cloud_faults::initialized(site.launch("lost"));
    let root = ok(&pki.get("/pki/status"))["rootCa"]["fingerprint"].as_str().unwrap().to_owned();
    let (keys, bundle) = (key_uris(&pki), pki.bundle());
    let [denied, revoked] = ["denied", "revoked"].map(|name| pki.issue("node", name));
    let (lifted, early) = (pki.issue("node", "lifted"), pki.issue("node", "early"));
    pki.deny(&spiffe_id("node", "lifted"), false);
    pki.deny(&spiffe_id("node", "early"), false);
    let visitor = pki.mint("visitor", "NODE", &json!({}));

    let (mut serials, clients) = backed_up_at_work(&site, &pki);
    serials.extend([&denied, &revoked, &lifted, &early].map(|issued| issued.serial().to_owned()));
    let checked = ["backup", "verify", "a.age", "--identity", "../identity", "--root-fingerprint", &root];
    let verified = site.done("lost", &checked);
    assert!(verified.starts_with("[ok] Backup is whole and verified"), "{verified}");

    // What no backup has.
    let (late, lost) = (pki.issue("node", "late"), pki.issue("node", "lost"));
    pki.deny(&spiffe_id("node", "denied"), true);
    pki.allow(&spiffe_id("node", "lifted"));
    for issued in [&revoked, &late] {
        let path = format!("/pki/certificates/{}/revoke", issued.serial());
        ok(&pki.post(&path, &json!({"reason": "keyCompromise"})));
    }
    eventually("a CRL with both", || {
        let crl = pki.crl("services");
        crl.reason_for(revoked.serial()).and(crl.reason_for(late.serial()))
    });
    let crl = pki.service.http().get("/pki/crl/services").unwrap().body;
    fs::write(site.place("backups").join("services.crl"), crl).unwrap();
    let numbers = Numbers::of(&pki, &site.place("lost"));
    let system_token = pki.token.clone();
    drop(pki);
    fs::remove_dir_all(site.place("lost")).unwrap();

    let into = site.place("elsewhere");
    let mut restore = checked;
    restore[1] = "restore";
    let also = ["--into", into.to_str().unwrap(), "--crl", "services.crl"];
    let restored = site.done("elsewhere", &[&restore[..], &also].concat());
    assert!(restored.starts_with("[ok] Backup restored: "), "{restored}");
    site.done("elsewhere", &["token", "recover", "--data-dir", into.to_str().unwrap()]);
    let pki = Pki::start(site.launch("elsewhere"));
    eventually("keys that are open", || {
        let ready: Value = pki.service.http().get("/ready").unwrap().json().unwrap();
        ready["signing"].as_str().unwrap().contains("recovery confirm").then_some(())
    });

    // It serves and revokes, and issues to nobody.
    assert_eq!((key_uris(&pki), pki.bundle()), (keys, bundle));
    eventually("a CRL of its own", || (pki.crl("services").number() > numbers.crl).then_some(()));
    refused(&renewed(&pki, &lost, "lost"), 503, "recovery");
    refused(&crate::pkcs11::ask(&pki, "node", "new"), 503, "recovery");
    for token in [&system_token, &visitor] {
        let answer = pki.service.http().with_token(token).get("/pki/status").unwrap();
        refused(&answer, 401, "credential_revoked");
    }
    auth_cli::done(&pki.service, &["pki", "recovery", "confirm", "--old-instance-is-gone"]);
    let pki = pki.ready();

    // Every certificate of before the snapshot is there.
    for serial in &serials {
        ok(&pki.get(&format!("/pki/certificates/{serial}")));
    }
    // Those after it are taken up as they renew.
    for (name, issued) in clients.iter().map(|(name, issued)| (*name, issued)).chain([("lost", &lost)]) {
        let answer = ok(&renewed(&pki, issued, name));
        verifies(&pki.bundle(), answer["certificatePem"].as_str().unwrap());
        assert_eq!(pki.status_of(issued.serial()), "active", "{name}");
    }
    let adopted = ok(&pki.get("/pki/audit?action=certificate.adopted"));
    assert_eq!(adopted["records"].as_array().unwrap().len(), 3, "{adopted}");
    // What was said after it holds, and the denial that was lifted after it is back: whoever can write beside the backups lifts none.
    let kept_out = [
        (&denied, "denied", 401),
        (&revoked, "revoked", 401),
        (&late, "late", 401),
        (&early, "early", 403),
        (&lifted, "lifted", 403),
    ];
    for (issued, name, status) in kept_out {
        let answer = renewed(&pki, issued, name);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    let crl = pki.crl("services");
    for issued in [&denied, &revoked, &late] {
        assert!(crl.reason_for(issued.serial()).is_some(), "{}", issued.serial());
    }
    pki.allow(&spiffe_id("node", "lifted"));
    ok(&renewed(&pki, &lifted, "lifted"));
    Numbers::of(&pki, &into).is_beyond(&numbers);
    pki.still_works();
}

#[test]
fn with_keys_in_files() {
    drill(vec![("CATALYST_PKI_LOCAL_PASSPHRASE".to_owned(), "a passphrase for drills".to_owned())]);
}

#[test]
fn with_keys_in_softhsm() {
    drill(SoftHsm::new().unwrap().token().unwrap().variables());
}

#[test]
fn with_keys_in_aws_kms() {
    let proxy = FaultProxy::at_hand().unwrap();
    drill(of_store("aws-kms", aws_faults::variables(&proxy)));
}

#[test]
fn with_keys_in_google_cloud_kms() {
    let fake = gcp_faults::fake();
    drill(of_store("gcp-kms", gcp_faults::variables(&fake)));
}

fn of_store(name: &str, variables: Vec<(String, String)>) -> Vec<(String, String)> {
    variables.into_iter().chain([("CATALYST_PKI_KEY_BACKEND".to_owned(), name.to_owned())]).collect()
}
