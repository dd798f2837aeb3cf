//! Resource names: `projects/*/locations/*/keyRings/*/cryptoKeys/*/cryptoKeyVersions/*` and what it begins with.

use crate::refused::Refused;
use std::fmt;

/// The locations that there are. All have HSMs.
pub(crate) const LOCATIONS: [&str; 8] =
    ["asia-southeast1", "europe", "europe-west1", "europe-west3", "global", "us", "us-central1", "us-east1"];

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Project(pub(crate) String);

/// A location of a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) project: Project,
    pub(crate) id: String,
}

/// A KeyRing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RingName {
    pub(crate) location: Location,
    pub(crate) id: String,
}

/// A CryptoKey.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyName {
    pub(crate) ring: RingName,
    pub(crate) id: String,
}

/// A CryptoKeyVersion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionName {
    pub(crate) key: KeyName,
    pub(crate) number: u32,
}

impl Location {
    /// Whether there is such a location.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        let exists = LOCATIONS.contains(&self.id.as_str());
        exists.then_some(()).ok_or_else(|| Refused::not_found(&format!("Location {self}")))
    }
}

impl KeyName {
    /// The name in words, `None` if it is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.split('/').collect::<Vec<_>>()[..] {
            ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] => {
                let location = Location { project: Project(project.into()), id: location.into() };
                Some(Self { ring: RingName { location, id: ring.into() }, id: key.into() })
            }
            _ => None,
        }
    }
}

impl VersionName {
    /// The name in words, `None` if it is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (key, number) = name.split_once("/cryptoKeyVersions/")?;
        Some(Self { key: KeyName::parse(key)?, number: number.parse().ok()? })
    }
}

/// An id that the caller chooses: `[a-zA-Z0-9_-]{1,63}`.
pub(crate) fn check_id(field: &str, id: &str) -> Result<(), Refused> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let fits = (1..=63).contains(&id.len()) && id.chars().all(allowed);
    fits.then_some(())
        .ok_or_else(|| Refused::invalid(&format!("{field} '{id}' does not match [a-zA-Z0-9_-]{{1,63}}.")))
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "projects/{}", self.0)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/locations/{}", self.project, self.id)
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keyRings/{}", self.location, self.id)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/cryptoKeys/{}", self.ring, self.id)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/cryptoKeyVersions/{}", self.key, self.number)
    }
}
