//! What a service asks of KMS while nobody asks anything of it.

use super::{Bench, Kms};
use crate::{
    Outcome,
    table::{Row, Table},
};
use std::{collections::BTreeMap, thread, time::Duration};

/// The first minute has what a start asks once.
const BEGINNING: Duration = Duration::from_secs(60);
/// A whole number of every interval, but that of CRLs.
const WATCHED: Duration = Duration::from_secs(600);

/// Waits ten minutes and counts.
pub(crate) fn report<K: Kms>(table: &mut Table) -> Outcome {
    let bench = Bench::<K>::start()?;
    thread::sleep(BEGINNING);
    let begun = bench.kms.calls()?.len();
    eprintln!("counting for {} minutes", WATCHED.as_secs() / 60);
    thread::sleep(WATCHED);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for call in bench.kms.calls()?.split_off(begun) {
        *counts.entry(call.operation).or_default() += 1;
    }
    for (operation, count) in counts {
        let an_hour = count * 3_600 / WATCHED.as_secs();
        let figure = format!("{count} in {} minutes: {an_hour} an hour", WATCHED.as_secs() / 60);
        table.push(Row::of(format!("KMS: {operation} of an idle service")).figure(figure));
    }
    Ok(())
}
