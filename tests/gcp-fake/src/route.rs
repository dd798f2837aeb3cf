//! Which method a request calls, of what resource (the `google.api.http` rules of the definition).

use crate::names::{KeyName, Location, Project, RingName, VersionName};
use catalyst_rigs::gcp::api::Method;

/// A method, and the resource of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    ListLocations(Project),
    GetLocation(Location),
    CreateKeyRing(Location),
    GetKeyRing(RingName),
    ListKeyRings(Location),
    CreateCryptoKey(RingName),
    GetCryptoKey(KeyName),
    ListCryptoKeys(RingName),
    UpdateCryptoKey(KeyName),
    CreateCryptoKeyVersion(KeyName),
    GetCryptoKeyVersion(VersionName),
    ListCryptoKeyVersions(KeyName),
    UpdateCryptoKeyVersion(VersionName),
    DestroyCryptoKeyVersion(VersionName),
    RestoreCryptoKeyVersion(VersionName),
    GetPublicKey(VersionName),
    AsymmetricSign(VersionName),
}

impl Route {
    /// `None`: there is no such method here.
    pub(crate) fn of(verb: &str, path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1/")?;
        let (path, action) = match path.rsplit_once(':') {
            Some((path, action)) if !action.contains('/') => (path, Some(action)),
            _ => (path, None),
        };
        let segments: Vec<&str> = path.split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        let location = |project: &str, id: &str| Location { project: Project(project.into()), id: id.into() };
        let ring = |p: &str, l: &str, id: &str| RingName { location: location(p, l), id: id.into() };
        let key = |p: &str, l: &str, r: &str, id: &str| KeyName { ring: ring(p, l, r), id: id.into() };
        match (verb, &segments[..], action) {
            ("GET", ["projects", p, "locations"], None) => Some(Self::ListLocations(Project((*p).into()))),
            ("GET", ["projects", p, "locations", l], None) => Some(Self::GetLocation(location(p, l))),
            ("POST", ["projects", p, "locations", l, "keyRings"], None) => {
                Some(Self::CreateKeyRing(location(p, l)))
            }
            ("GET", ["projects", p, "locations", l, "keyRings"], None) => {
                Some(Self::ListKeyRings(location(p, l)))
            }
            ("GET", ["projects", p, "locations", l, "keyRings", r], None) => {
                Some(Self::GetKeyRing(ring(p, l, r)))
            }
            (_, ["projects", p, "locations", l, "keyRings", r, "cryptoKeys"], None) => {
                Self::of_keys(verb, ring(p, l, r))
            }
            (_, ["projects", p, "locations", l, "keyRings", r, "cryptoKeys", k], None) => {
                Self::of_key(verb, key(p, l, r, k))
            }
            (
                _,
                ["projects", p, "locations", l, "keyRings", r, "cryptoKeys", k, "cryptoKeyVersions"],
                None,
            ) => Self::of_versions(verb, key(p, l, r, k)),
            (
                _,
                [
                    "projects",
                    p,
                    "locations",
                    l,
                    "keyRings",
                    r,
                    "cryptoKeys",
                    k,
                    "cryptoKeyVersions",
                    v,
                    rest @ ..,
                ],
                _,
            ) => {
                let name = VersionName { key: key(p, l, r, k), number: v.parse().ok()? };
                Self::of_version(verb, name, rest, action)
            }
            _ => None,
        }
    }

    fn of_keys(verb: &str, ring: RingName) -> Option<Self> {
        match verb {
            "POST" => Some(Self::CreateCryptoKey(ring)),
            "GET" => Some(Self::ListCryptoKeys(ring)),
            _ => None,
        }
    }

    fn of_key(verb: &str, key: KeyName) -> Option<Self> {
        match verb {
            "GET" => Some(Self::GetCryptoKey(key)),
            "PATCH" => Some(Self::UpdateCryptoKey(key)),
            _ => None,
        }
    }

    fn of_versions(verb: &str, key: KeyName) -> Option<Self> {
        match verb {
            "POST" => Some(Self::CreateCryptoKeyVersion(key)),
            "GET" => Some(Self::ListCryptoKeyVersions(key)),
            _ => None,
        }
    }

    fn of_version(verb: &str, name: VersionName, rest: &[&str], action: Option<&str>) -> Option<Self> {
        match (verb, rest, action) {
            ("GET", [], None) => Some(Self::GetCryptoKeyVersion(name)),
            ("PATCH", [], None) => Some(Self::UpdateCryptoKeyVersion(name)),
            ("GET", ["publicKey"], None) => Some(Self::GetPublicKey(name)),
            ("POST", [], Some("asymmetricSign")) => Some(Self::AsymmetricSign(name)),
            ("POST", [], Some("destroy")) => Some(Self::DestroyCryptoKeyVersion(name)),
            ("POST", [], Some("restore")) => Some(Self::RestoreCryptoKeyVersion(name)),
            _ => None,
        }
    }

    /// The method.
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::ListLocations(_) => Method::ListLocations,
            Self::GetLocation(_) => Method::GetLocation,
            Self::CreateKeyRing(_) => Method::CreateKeyRing,
            Self::GetKeyRing(_) => Method::GetKeyRing,
            Self::ListKeyRings(_) => Method::ListKeyRings,
            Self::CreateCryptoKey(_) => Method::CreateCryptoKey,
            Self::GetCryptoKey(_) => Method::GetCryptoKey,
            Self::ListCryptoKeys(_) => Method::ListCryptoKeys,
            Self::UpdateCryptoKey(_) => Method::UpdateCryptoKey,
            Self::CreateCryptoKeyVersion(_) => Method::CreateCryptoKeyVersion,
            Self::GetCryptoKeyVersion(_) => Method::GetCryptoKeyVersion,
            Self::ListCryptoKeyVersions(_) => Method::ListCryptoKeyVersions,
            Self::UpdateCryptoKeyVersion(_) => Method::UpdateCryptoKeyVersion,
            Self::DestroyCryptoKeyVersion(_) => Method::DestroyCryptoKeyVersion,
            Self::RestoreCryptoKeyVersion(_) => Method::RestoreCryptoKeyVersion,
            Self::GetPublicKey(_) => Method::GetPublicKey,
            Self::AsymmetricSign(_) => Method::AsymmetricSign,
        }
    }

    /// The resource of the path.
    pub(crate) fn resource(&self) -> String {
        match self {
            Self::ListLocations(project) => project.to_string(),
            Self::GetLocation(location) | Self::CreateKeyRing(location) | Self::ListKeyRings(location) => {
                location.to_string()
            }
            Self::GetKeyRing(ring) | Self::CreateCryptoKey(ring) | Self::ListCryptoKeys(ring) => {
                ring.to_string()
            }
            Self::GetCryptoKey(key)
            | Self::UpdateCryptoKey(key)
            | Self::CreateCryptoKeyVersion(key)
            | Self::ListCryptoKeyVersions(key) => key.to_string(),
            Self::GetCryptoKeyVersion(version)
            | Self::UpdateCryptoKeyVersion(version)
            | Self::DestroyCryptoKeyVersion(version)
            | Self::RestoreCryptoKeyVersion(version)
            | Self::GetPublicKey(version)
            | Self::AsymmetricSign(version) => version.to_string(),
        }
    }

    /// The resource on which the caller must have the permission, as Google's refusals name it.
    pub(crate) fn guarded(&self) -> String {
        match self {
            Self::AsymmetricSign(version) => version.key.to_string(),
            _ => self.resource(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Route;
    use catalyst_rigs::gcp::api::Method;

    #[test]
    fn paths_of_the_definition_are_methods() {
        let key = "/v1/projects/p/locations/global/keyRings/r/cryptoKeys/k";
        let method = |verb, path: &str| Route::of(verb, path).map(|route| route.method());
        assert_eq!(method("GET", "/v1/projects/p/locations"), Some(Method::ListLocations));
        assert_eq!(method("PATCH", key), Some(Method::UpdateCryptoKey));
        let version = format!("{key}/cryptoKeyVersions/12");
        assert_eq!(method("GET", &format!("{version}/publicKey")), Some(Method::GetPublicKey));
        assert_eq!(method("POST", &format!("{version}:asymmetricSign")), Some(Method::AsymmetricSign));
        assert_eq!(Route::of("POST", &format!("{version}:asymmetricSign")).unwrap().guarded(), key[4..]);
        assert_eq!(method("DELETE", key), None);
        assert_eq!(method("POST", &format!("{version}:encrypt")), None);
        assert_eq!(method("GET", &format!("{key}/cryptoKeyVersions/one")), None);
        assert_eq!(method("GET", "/v1/projects//locations"), None);
    }
}
