//! What lies in a directory of one deployment's backups.

use super::{Result, list, marks::marked};
use crate::identity::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A backup that is there: its name is one of this deployment, its header and length look right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name in the directory.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// When it was made, as its name has it: to the second.
    pub at: Timestamp,
}

/// What lies in a directory of one deployment's backups. Files of other names and deployments are not looked at.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Those that look whole, the newest last.
    pub good: Vec<Held>,
    /// Those that do not, by their names, and why.
    pub damaged: Vec<(String, String)>,
    /// The names of those for which a hook has still to succeed; some may not be there.
    pub marked: BTreeSet<String>,
}

impl Shelf {
    /// Looks at a directory.
    ///
    /// # Errors
    /// It can't be read.
    pub fn look(directory: &Path, deployment: &str) -> Result<Self> {
        let mut shelf = Self { marked: marked(directory, deployment)?, ..Self::default() };
        for file in list(directory)? {
            let is_file = directory.join(&file.name).symlink_metadata().is_ok_and(|there| there.is_file());
            let Some(at) = file.at.filter(|_| is_file && file.deployment.as_deref() == Some(deployment))
            else {
                continue;
            };
            match file.header {
                Ok(_) => shelf.good.push(Held { name: file.name, size: file.size, at }),
                Err(error) => shelf.damaged.push((file.name, error.to_string())),
            }
        }
        Ok(shelf)
    }

    /// The newest that looks whole. One of the future, where the clock was once ahead, says nothing of how old the
    /// newest is, and does not count.
    #[must_use]
    pub fn newest(&self, now: Timestamp) -> Option<&Held> {
        self.good.iter().rfind(|held| held.at <= now)
    }

    /// Those that look whole and for which a hook has still to succeed, the newest first.
    pub fn pending(&self) -> impl Iterator<Item = &Held> {
        self.good.iter().rev().filter(|held| self.marked.contains(&held.name))
    }
}

/// The sizes of backups that were made or seen. None ever changes: where a whole chunk or more was cut off, nothing else
/// shows it to whoever has no identity.
#[derive(Debug, Default)]
pub struct Sizes(BTreeMap<String, u64>);

impl Sizes {
    /// Remembers one that was made.
    pub fn note(&mut self, made: &Held) {
        self.0.insert(made.name.clone(), made.size);
    }

    /// Those whose size is another than it was are damaged. What is new is remembered, what is gone forgotten.
    pub fn check(&mut self, shelf: &mut Shelf) {
        let (good, changed): (Vec<_>, Vec<_>) = std::mem::take(&mut shelf.good)
            .into_iter()
            .partition(|held| *self.0.entry(held.name.clone()).or_insert(held.size) == held.size);
        shelf.good = good;
        shelf.damaged.extend(changed.into_iter().map(|held| {
            let had = self.0.get(&held.name).copied().unwrap_or_default();
            (held.name, format!("it has {} octets, and had {had}", held.size))
        }));
        let is_there = |name: &String| {
            shelf.good.iter().any(|held| held.name == *name)
                || shelf.damaged.iter().any(|(damaged, _)| damaged == name)
        };
        self.0.retain(|name, _| is_there(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str, size: u64) -> Held {
        Held { name: name.into(), size, at: Timestamp::from_seconds(1_770_940_800) }
    }

    fn shelf(held: &[Held]) -> Shelf {
        Shelf { good: held.to_vec(), ..Shelf::default() }
    }

    #[test]
    fn one_whose_size_changes_is_damaged_until_it_is_gone_or_whole_again() {
        let mut sizes = Sizes::default();
        sizes.note(&held("made", 100));
        let mut checked = |there: &[Held]| {
            let mut shelf = shelf(there);
            sizes.check(&mut shelf);
            (shelf.good.len(), shelf.damaged.into_iter().map(|(_, why)| why).collect::<Vec<_>>())
        };
        assert_eq!(checked(&[held("made", 100), held("seen", 7)]), (2, Vec::new()));
        let cut = "it has 60 octets, and had 100".to_owned();
        for _ in 0..2 {
            assert_eq!(checked(&[held("made", 60), held("seen", 7)]), (1, vec![cut.clone()]));
        }
        assert_eq!(checked(&[held("made", 100), held("seen", 8)]).1, ["it has 8 octets, and had 7"]);
        // Another one under the name of one that was removed.
        assert_eq!(checked(&[held("made", 100)]), (1, Vec::new()));
        assert_eq!(checked(&[held("made", 100), held("seen", 8)]), (2, Vec::new()));
    }

    #[test]
    fn the_pending_are_those_with_marks_and_the_newest_comes_first() {
        let mut shelf = shelf(&[held("a", 1), held("b", 1), held("c", 1)]);
        shelf.marked = ["a", "c", "gone"].map(str::to_owned).into();
        let pending: Vec<_> = shelf.pending().map(|held| held.name.as_str()).collect();
        assert_eq!(pending, ["c", "a"]);
    }
}
