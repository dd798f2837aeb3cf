//! Lists come in pages.

use super::ask::Answer;
use crate::trouble::Asked;

/// How many are asked for at once.
pub(super) const SIZE: i32 = 100;
/// The most pages of one list: a hundred thousand entries, more than Cloud KMS' quota of reads shows anybody in three
/// minutes.
const MOST: u32 = 1_000;

/// How far a list has been read. A service whose list never ends would keep us for ever.
#[derive(Debug, Default)]
pub(super) struct Pages {
    token: String,
    turned: u32,
}

impl Pages {
    /// Which page is asked for; empty for the first.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether the list goes on, after its page said how.
    pub(super) fn turn(&mut self, asked: Asked<'_>, next: String) -> Answer<bool> {
        self.turned += 1;
        let stands_still = !next.is_empty() && next == self.token;
        if stands_still || self.turned >= MOST {
            return Err(asked.false_answer("the list does not end"));
        }
        self.token = next;
        Ok(!self.token.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> =
        Asked { operation: "ListCryptoKeys", permission: "cryptoKeys.list", about: "the ring" };

    #[test]
    fn a_list_goes_on_until_there_is_no_next_page() {
        let mut pages = Pages::default();
        for next in ["a", "b"] {
            assert!(pages.turn(ASKED, next.to_owned()).unwrap());
            assert_eq!(pages.token(), next);
        }
        assert!(!pages.turn(ASKED, String::new()).unwrap());
    }

    #[test]
    fn a_list_without_end_is_given_up() {
        let mut same = Pages::default();
        assert!(same.turn(ASKED, "a".to_owned()).unwrap());
        let told = same.turn(ASKED, "a".to_owned()).unwrap_err().error.to_string();
        assert!(told.contains("ListCryptoKeys of the ring, and the list does not end"), "{told}");

        // Round in a circle.
        let mut circle = Pages::default();
        let refused = (0..=MOST).find(|n| circle.turn(ASKED, (n % 2).to_string()).is_err());
        assert_eq!(refused, Some(MOST - 1));
    }
}
