//! Certification requests: good ones by rcgen, odd ones by openssl.

use catalyst_rigs::checkers::openssl;
use der::pem::LineEnding;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use std::fs;
use tempfile::TempDir;

/// A request of rcgen's for these URIs and DNS names.
pub(crate) fn of(key: &KeyPair, uris: &[&str], dns_names: &[&str]) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    let dns_names = dns_names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
    params.subject_alt_names = uris.chain(dns_names).collect();
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// A request in the hands of openssl.
pub(crate) struct Openssl {
    directory: TempDir,
    digest: &'static str,
    subject: &'static str,
    extensions: String,
}

impl Openssl {
    /// With a new key: `EC:P-384`, `EC:secp256k1`, `RSA`, `ED25519` and so on.
    pub(crate) fn new(kind: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("key.pem");
        let (algorithm, option) = match kind.split_once(':') {
            Some((algorithm, curve)) => (algorithm, Some(format!("ec_paramgen_curve:{curve}"))),
            None if kind == "RSA" => (kind, Some("rsa_keygen_bits:2048".into())),
            None => (kind, None),
        };
        let mut args = vec!["genpkey", "-algorithm", algorithm, "-out", path.to_str().unwrap()];
        args.extend(option.iter().flat_map(|option| ["-pkeyopt", option.as_str()]));
        openssl(&args).unwrap();
        Self { directory, digest: "-sha384", subject: "/", extensions: String::new() }
    }

    /// With this key, DER in OpenSSL's traditional form.
    pub(crate) fn with_key(key: &[u8]) -> Self {
        let request = Self {
            directory: TempDir::new().unwrap(),
            digest: "-sha384",
            subject: "/",
            extensions: String::new(),
        };
        let pem = der::pem::encode_string("EC PRIVATE KEY", LineEnding::LF, key).unwrap();
        fs::write(request.directory.path().join("key.pem"), pem).unwrap();
        request
    }

    pub(crate) fn digest(mut self, digest: &'static str) -> Self {
        self.digest = digest;
        self
    }

    pub(crate) fn subject(mut self, subject: &'static str) -> Self {
        self.subject = subject;
        self
    }

    /// `URI:spiffe://…`, `DNS:…`, `IP:…` and so on, each a name as it is.
    pub(crate) fn names(self, names: &[&str]) -> Self {
        let names: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let (kind, value) = name.split_once(':').unwrap();
                format!("{kind}.{i}={value}")
            })
            .collect();
        let section = format!("[names]\n{}\n", names.join("\n"));
        self.extension("subjectAltName=@names").section(&section)
    }

    /// A line of openssl's extension section.
    pub(crate) fn extension(mut self, line: &str) -> Self {
        self.extensions = format!("{line}\n{}", self.extensions);
        self
    }

    fn section(mut self, text: &str) -> Self {
        self.extensions.push_str(text);
        self
    }

    pub(crate) fn pem(&self) -> String {
        let path = |name: &str| self.directory.path().join(name).to_str().unwrap().to_owned();
        let requested = if self.extensions.is_empty() { "" } else { "req_extensions=ext\n" };
        let config =
            format!("[req]\nprompt=no\ndistinguished_name=dn\n{requested}[dn]\n[ext]\n{}", self.extensions);
        fs::write(path("req.cnf"), config).unwrap();
        let (key, config, out) = (path("key.pem"), path("req.cnf"), path("csr.pem"));
        let mut args =
            vec!["req", "-new", "-key", &key, "-config", &config, "-subj", self.subject, "-out", &out];
        args.push(self.digest);
        openssl(&args).unwrap();
        fs::read_to_string(out).unwrap()
    }
}

/// The request with its last signature octet changed.
pub(crate) fn broken(pem: &str) -> String {
    let mut der = der(pem);
    *der.last_mut().unwrap() ^= 1;
    self::pem(&der)
}

pub(crate) fn der(pem: &str) -> Vec<u8> {
    der::pem::decode_vec(pem.as_bytes()).unwrap().1
}

pub(crate) fn pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, der).unwrap()
}
