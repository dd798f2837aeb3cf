//! Lists that come in pages: all of them, or as many as were asked for.

use crate::client::{ClientError, Result};
use std::collections::HashSet;

/// Fetches page after page, `size` rows at once, until the last or until there are `most`. `fetch` takes how many rows
/// are wanted and where to go on, and answers rows and where the next page begins.
///
/// # Errors
/// What `fetch` fails with, or pages that lead nowhere.
pub(super) async fn all<T>(
    size: u64,
    most: Option<u64>,
    fetch: impl AsyncFn(u64, Option<String>) -> Result<(Vec<T>, Option<String>)>,
) -> Result<Vec<T>> {
    let most = most.unwrap_or(u64::MAX);
    let (mut all, mut cursor, mut passed) = (Vec::new(), None, HashSet::new());
    loop {
        let wanted = size.min(most.saturating_sub(all.len() as u64));
        let (rows, next) = fetch(wanted, cursor).await?;
        let brought = rows.len();
        all.extend(rows);
        if all.len() as u64 >= most {
            all.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            return Ok(all);
        }
        let Some(next) = next else { return Ok(all) };
        if brought == 0 || !passed.insert(next.clone()) {
            return Err(ClientError::failed("the service answers pages of the list that lead nowhere"));
        }
        cursor = Some(next);
    }
}

/// As [`all`], handing each page on; `take` answers whether it wants more.
///
/// # Errors
/// What `fetch` or `take` fails with, or pages that lead nowhere.
pub(super) async fn each<T>(
    size: u64,
    fetch: impl AsyncFn(u64, Option<String>) -> Result<(Vec<T>, Option<String>)>,
    mut take: impl FnMut(Vec<T>) -> Result<bool>,
) -> Result<()> {
    let (mut cursor, mut passed) = (None, HashSet::new());
    loop {
        let (rows, next) = fetch(size, cursor).await?;
        let brought = rows.len();
        if !take(rows)? {
            return Ok(());
        }
        let Some(next) = next else { return Ok(()) };
        if brought == 0 || !passed.insert(next.clone()) {
            return Err(ClientError::failed("the service answers pages of the list that lead nowhere"));
        }
        cursor = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of two rows out of five, each named by the row it begins with.
    async fn page(wanted: u64, cursor: Option<String>) -> Result<(Vec<u64>, Option<String>)> {
        let first: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let end = (first + wanted.min(2)).min(5);
        Ok(((first..end).collect(), (end < 5).then(|| end.to_string())))
    }

    #[tokio::test]
    async fn pages_are_fetched_to_the_last_or_to_the_limit() {
        assert_eq!(all(2, None, page).await.unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(all(2, Some(3), page).await.unwrap(), [0, 1, 2]);
        assert_eq!(all(9, Some(9), page).await.unwrap(), [0, 1, 2, 3, 4]);
        let generous = async |_, _| Ok((vec![1; 7], None));
        assert_eq!(all(2, Some(3), generous).await.unwrap(), [1; 3]);
    }

    #[tokio::test]
    async fn pages_that_lead_nowhere_are_an_error() {
        let circle = async |_, cursor: Option<String>| {
            Ok((vec![1], Some(if cursor.as_deref() == Some("a") { "b" } else { "a" }.to_owned())))
        };
        let empty =
            async |_, cursor: Option<String>| Ok((Vec::<u64>::new(), Some(cursor.unwrap_or_default() + "a")));
        assert!(all(2, None, circle).await.unwrap_err().message.contains("lead nowhere"));
        assert!(all(2, None, empty).await.unwrap_err().message.contains("lead nowhere"));
        assert!(each(2, circle, |_| Ok(true)).await.unwrap_err().message.contains("lead nowhere"));
    }

    #[tokio::test]
    async fn each_page_is_handed_on_until_nobody_wants_more() {
        for (most, wanted) in [(9, 5), (3, 4)] {
            let mut taken = Vec::new();
            let take = |rows: Vec<u64>| {
                taken.extend(rows);
                Ok(taken.len() < most)
            };
            each(2, page, take).await.unwrap();
            assert_eq!(taken, Vec::from_iter(0..wanted));
        }
    }
}
