//! The labels that our keys carry.

use catalyst_signing::{KeyIntent, KeyRole};
use std::time::{SystemTime, UNIX_EPOCH};

const PREFIX: &str = "catalyst-pki/";
const GIVEN_UP: &str = " given up ";

/// CKA_LABEL of a key made here: `catalyst-pki/<deployment>/<role>-<generation>`.
pub(crate) fn of(intent: &KeyIntent) -> String {
    format!("{PREFIX}{}/{}-{}", intent.deployment, intent.role, intent.generation)
}

/// What our label says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ours<'a> {
    /// The deployment that it was made for.
    pub(crate) deployment: &'a str,
    /// What for.
    pub(crate) role: KeyRole,
    /// Of which generation.
    pub(crate) generation: u32,
}

/// `None`: not made here, or given up.
pub(crate) fn read(label: &str) -> Option<Ours<'_>> {
    let (deployment, key) = label.strip_prefix(PREFIX)?.split_once('/')?;
    let (role, generation) = key.split_once('-')?;
    let number = generation.parse::<u32>().ok()?;
    let as_written = number.to_string() == generation;
    Some(Ours { deployment, role: role.parse().ok()?, generation: number }).filter(|_| as_written)
}

/// What is put behind the label of a key that is given up now: ` given up <unix seconds>`.
pub(crate) fn given_up(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{GIVEN_UP}{seconds}")
}

/// Whether a label says that its key was given up.
pub(crate) fn is_given_up(label: &str) -> bool {
    label.rsplit_once(GIVEN_UP).is_some_and(|(_, seconds)| seconds.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_signing::{Nonce, SignatureAlgorithm};
    use std::time::Duration;

    #[test]
    fn a_label_says_what_its_key_is_for_until_it_is_given_up() {
        let intent = KeyIntent {
            nonce: Nonce::from_bytes([7; 16]),
            deployment: "0123456789abcdef".to_owned(),
            role: KeyRole::Services,
            generation: 12,
            algorithm: SignatureAlgorithm::EcP384,
            created_at: SystemTime::now(),
        };
        let label = of(&intent);
        assert_eq!(label, "catalyst-pki/0123456789abcdef/services-12");
        let ours = Ours { deployment: "0123456789abcdef", role: KeyRole::Services, generation: 12 };
        assert_eq!(read(&label), Some(ours));
        assert!(!is_given_up(&label));
        let marked = format!("{label}{}", given_up(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        assert_eq!(marked, "catalyst-pki/0123456789abcdef/services-12 given up 1800000000");
        assert!(is_given_up(&marked));
        assert_eq!(read(&marked), None);
        for other in ["", "catalyst-pki/", "catalyst-pki/x/services-012", "catalyst-pki/x/ca-1", "services-1"]
        {
            assert_eq!(read(other), None, "{other}");
        }
        assert!(!is_given_up("we have given up hope"));
    }
}
