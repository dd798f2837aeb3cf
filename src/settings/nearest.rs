//! "Did you mean": the known name that is nearest to a mistyped one.

/// `None` where `name` is one of `known`; else the nearest of them, if one is near enough to be meant.
pub(super) fn of(name: &str, known: impl Iterator<Item = String>) -> Option<Option<String>> {
    let mut best: Option<(usize, String)> = None;
    for candidate in known {
        if candidate == name {
            return None;
        }
        let distance = strsim::damerau_levenshtein(name, &candidate);
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, candidate));
        }
    }
    Some(best.filter(|(distance, _)| *distance <= name.len() / 2).map(|(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::of;

    fn nearest(name: &str) -> Option<Option<String>> {
        of(name, ["CATALYST_PKI_LISTEN", "CATALYST_PKI_SVID_TTL"].into_iter().map(str::to_owned))
    }

    #[test]
    fn a_known_name_is_no_mistake() {
        assert_eq!(nearest("CATALYST_PKI_LISTEN"), None);
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour() {
        assert_eq!(nearest("CATALYST_PKI_LISTNE"), Some(Some("CATALYST_PKI_LISTEN".into())));
        assert_eq!(nearest("CATALYST_PKI_SVID_TTLS"), Some(Some("CATALYST_PKI_SVID_TTL".into())));
    }

    #[test]
    fn a_name_unlike_all_others_gets_no_advice() {
        assert_eq!(nearest("x"), Some(None));
    }
}
