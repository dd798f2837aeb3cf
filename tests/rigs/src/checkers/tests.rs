use super::*;
use tempfile::TempDir;

const SUBJECT_ALT_NAME: &str = "subjectAltName=URI:spiffe://example.org/node/a";

/// A self-signed CA of OpenSSL's, its CRL, and nothing of ours.
struct Foreign {
    directory: TempDir,
}

impl Foreign {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let foreign = Self { directory };
        let (key, ca) = (foreign.path("ca.key"), foreign.path("ca.pem"));
        let mut args = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"];
        args.extend([
            "-keyout",
            text(&key).unwrap(),
            "-out",
            text(&ca).unwrap(),
            "-days",
            "2",
            "-subj",
            "/CN=CA",
        ]);
        args.extend(["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", SUBJECT_ALT_NAME]);
        openssl(&args).unwrap();
        foreign
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn crl(&self) -> PathBuf {
        let [config, index, number, crl] =
            ["ca.cnf", "index", "number", "crl.pem"].map(|name| self.path(name));
        std::fs::write(&index, "").unwrap();
        std::fs::write(&number, "01\n").unwrap();
        let section = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={}\ncrlnumber={}\ndefault_md=sha384\ndefault_crl_days=1\n\
             crl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n",
            index.display(),
            number.display()
        );
        std::fs::write(&config, section).unwrap();
        let (key, ca) = (self.path("ca.key"), self.path("ca.pem"));
        let mut args = vec!["ca", "-gencrl", "-config", text(&config).unwrap(), "-out", text(&crl).unwrap()];
        args.extend(["-keyfile", text(&key).unwrap(), "-cert", text(&ca).unwrap()]);
        openssl(&args).unwrap();
        crl
    }
}

#[test]
fn good_documents_pass_every_checker() {
    let foreign = Foreign::new();
    let (ca, crl) = (foreign.path("ca.pem"), foreign.crl());
    assert!(openssl_verify(&ca, &ca).unwrap().contains("OK"));
    assert!(certtool_verify(&ca, &ca).unwrap().contains("Verified"));
    assert!(certtool_verify_crl(&ca, &crl).unwrap().contains("Verified"));
    assert_eq!(pkilint_crl(&crl, false).unwrap(), []);
    assert_eq!(pkilint_pair(&ca, &ca).unwrap(), []);
}

#[test]
fn what_pkilint_says_of_a_spiffe_uri_is_known_to_be_false() {
    let findings = pkilint_certificate(&Foreign::new().path("ca.pem")).unwrap();
    assert!(findings.iter().any(Finding::is_known_to_be_false), "{findings:?}");
}

#[test]
fn another_ca_is_refused_by_every_checker() {
    let (one, other) = (Foreign::new(), Foreign::new());
    let (ca, stranger) = (one.path("ca.pem"), other.path("ca.pem"));
    assert!(openssl_verify(&ca, &stranger).is_err());
    assert!(certtool_verify(&ca, &stranger).is_err());
    assert!(certtool_verify_crl(&ca, &other.crl()).is_err());
}

#[test]
fn a_missing_program_names_the_command_that_brings_it() {
    let error = run(&mut Command::new("no-such-checker")).unwrap_err().to_string();
    assert!(error.starts_with("no-such-checker is missing: run tests/run, which prepares it"), "{error}");
}
