//! AsymmetricSign.

use crate::{
    checksum::checksum,
    fields::Fields,
    http::Request,
    key::{Key, Message, Takes, takes},
    names::VersionName,
    refused::Refused,
    rules::Fate,
    service::Service,
    store::{Material, Template},
};
use aws_lc_rs::digest::{Digest, SHA256, SHA384, SHA512, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use catalyst_rigs::gcp::{
    Tamper,
    api::{Code, Enumeration as _},
    crc32c,
};
use serde_json::{Value, json};

/// The longest data, in octets.
const LONGEST_DATA: usize = 64 * 1024;

pub(super) fn sign(
    service: &Service,
    name: &VersionName,
    request: &Request,
    fate: &Fate,
) -> Result<Value, Refused> {
    let used = usable(service, name)?;
    let algorithm = used.template.algorithm;
    let takes = takes(algorithm).ok_or_else(|| no_key(algorithm.name()))?;
    let sent = Sent::read(&request.body, fate.damaged)?;
    let message = sent.message(takes)?;
    let signature = used.with_key(fate, |key| key.sign(&message))?;
    let signature = signature.map_err(|_| Refused::new(Code::Internal, "the key does not sign"))?;
    let mut answer = json!({
        "signature": BASE64_STANDARD.encode(&signature),
        "signatureCrc32c": checksum(&signature),
        "name": name.to_string(),
        "protectionLevel": used.template.protection_level.name(),
    });
    // false is proto3's default, which JSON leaves out.
    if sent.digest_checksum.is_some() {
        answer["verifiedDigestCrc32c"] = json!(true);
    }
    if sent.data_checksum.is_some() {
        answer["verifiedDataCrc32c"] = json!(true);
    }
    Ok(answer)
}

/// A version that can be used.
pub(super) struct Usable {
    pub(super) template: Template,
    material: Option<Material>,
}

/// The version, unless its state forbids its use.
pub(super) fn usable(service: &Service, name: &VersionName) -> Result<Usable, Refused> {
    let state = &mut *service.state();
    let version = state.store.version(name, state.clock.now())?;
    version.look(state.settings.generation);
    version.check_enabled(name)?;
    Ok(Usable { template: version.template, material: version.material.clone() })
}

impl Usable {
    /// Uses the key, or another if the call goes wrong in that way.
    pub(super) fn with_key<T>(&self, fate: &Fate, job: impl FnOnce(&Key) -> T) -> Result<T, Refused> {
        let algorithm = self.template.algorithm;
        if fate.tampers.contains(&Tamper::OtherKey) {
            let other = Key::generate(algorithm).map_err(|_| no_key(algorithm.name()))?;
            return Ok(job(&other));
        }
        let key = self.material.as_ref().and_then(Material::key);
        Ok(job(key.ok_or_else(|| no_key(algorithm.name()))?))
    }
}

fn no_key(algorithm: &str) -> Refused {
    Refused::precondition(&format!("Keys with algorithm {algorithm} have no public key and do not sign."))
}

/// An AsymmetricSignRequest.
struct Sent {
    /// Its kind, and the octets.
    digest: Option<(&'static str, Vec<u8>)>,
    data: Option<Vec<u8>>,
    digest_checksum: Option<i64>,
    data_checksum: Option<i64>,
}

impl Sent {
    /// Reads the body; `damaged`: a bit is not as it was sent.
    fn read(body: &[u8], damaged: bool) -> Result<Self, Refused> {
        let mut fields = Fields::of_body(body)?;
        fields.pass_over(&["name"]);
        let digest = match fields.message("digest")? {
            None => None,
            Some(digest) => read_digest(digest)?,
        };
        let mut sent = Self {
            digest,
            data: fields.octets("data")?,
            digest_checksum: fields.int64("digestCrc32c")?,
            data_checksum: fields.int64("dataCrc32c")?,
        };
        fields.end()?;
        if damaged && let Some(octet) = sent.octets().and_then(<[u8]>::first_mut) {
            *octet ^= 1;
        }
        Ok(sent)
    }

    fn octets(&mut self) -> Option<&mut [u8]> {
        let digest = self.digest.as_mut().map(|(_, octets)| octets);
        digest.or(self.data.as_mut()).map(Vec::as_mut_slice)
    }

    /// What is to be signed, if it is what the algorithm takes and arrived as it was sent.
    fn message(&self, takes: Takes) -> Result<Message, Refused> {
        match (&self.digest, &self.data) {
            (Some((kind, digest)), None) => {
                check("digest", self.digest_checksum, digest)?;
                check("data", self.data_checksum, &[])?;
                of_digest(takes, kind, digest)
            }
            (None, Some(data)) => {
                check("data", self.data_checksum, data)?;
                check("digest", self.digest_checksum, &[])?;
                of_data(takes, data)
            }
            (None, None) => Err(Refused::invalid("One of digest and data is required.")),
            (Some(_), Some(_)) => Err(Refused::invalid("Only one of digest and data may be set.")),
        }
    }
}

fn read_digest(mut fields: Fields) -> Result<Option<(&'static str, Vec<u8>)>, Refused> {
    let mut found = None;
    for kind in ["sha256", "sha384", "sha512", "externalMu"] {
        if let Some(octets) = fields.octets(kind)?
            && found.replace((kind, octets)).is_some()
        {
            return Err(Refused::invalid("oneof field 'digest' is already set."));
        }
    }
    fields.end()?;
    Ok(found)
}

fn check(field: &str, sent: Option<i64>, octets: &[u8]) -> Result<(), Refused> {
    if sent.is_none_or(|checksum| checksum == i64::from(crc32c(octets))) {
        return Ok(());
    }
    Err(Refused::invalid(&format!(
        "The checksum in field {field}_crc32c did not match the data in field {field}."
    )))
}

fn of_digest(takes: Takes, kind: &str, octets: &[u8]) -> Result<Message, Refused> {
    let wrong = || Refused::invalid(&format!("digest.{kind} is not what the key's algorithm signs."));
    match (takes, kind) {
        (Takes::Digest(algorithm), "sha256" | "sha384" | "sha512") => {
            let sent = match kind {
                "sha256" => &SHA256,
                "sha384" => &SHA384,
                _ => &SHA512,
            };
            let digest = Digest::import_less_safe(octets, sent).map_err(|_| wrong())?;
            (sent == algorithm).then_some(Message::Digest(digest)).ok_or_else(wrong)
        }
        (Takes::Mu, "externalMu") => octets.try_into().map(Message::Mu).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn of_data(takes: Takes, data: &[u8]) -> Result<Message, Refused> {
    if data.len() > LONGEST_DATA {
        return Err(Refused::invalid(&format!("data must be at most {LONGEST_DATA} bytes.")));
    }
    match takes {
        Takes::Digest(algorithm) => Ok(Message::Digest(digest(algorithm, data))),
        Takes::Data => Ok(Message::Data(data.to_vec())),
        Takes::Mu => Err(Refused::invalid("digest.external_mu is required by the key's algorithm.")),
    }
}
