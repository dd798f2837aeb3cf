//! Reads the denial journal. Nobody vouches for it: what can't be read is told and left out, and what can only takes away.

use super::{BackupError, Result};
use crate::store::{JOURNALLED, JournalLine};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

/// No line is longer, in octets; a request that denies somebody is not.
const LONGEST_LINE: usize = 256 << 10;
/// No journal is longer, in octets: a million denials.
const LONGEST: u64 = 512 << 20;
/// So many lines that were left out are told one by one.
const TOLD: usize = 20;

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// The lines of the deployment that could be read, in their order.
    pub lines: Vec<JournalLine>,
    /// What was left out, in sentences.
    pub notes: Vec<String>,
}

/// Reads the journal in a file, as far as it is of this deployment.
///
/// # Errors
/// The file can't be read, or is longer than any journal.
pub fn journal_in_file(path: &Path, deployment: &str) -> Result<Journal> {
    let failed = BackupError::io("read", path);
    let file = File::open(path).map_err(&failed)?;
    if file.metadata().map_err(&failed)?.len() > LONGEST {
        return Err(BackupError::Usage(format!(
            "{} is longer than any journal of denials: name the right file with --denied",
            path.display()
        )));
    }
    let mut journal = read_journal(BufReader::new(file.take(LONGEST)), deployment).map_err(&failed)?;
    for note in &mut journal.notes {
        note.insert_str(0, &format!("{}: ", path.display()));
    }
    Ok(journal)
}

/// Reads a journal, as far as it is of this deployment. A last line that was cut off is what a power cut leaves, and not
/// told: whoever asked for it had no answer yet.
///
/// # Errors
/// The stream's.
pub fn read_journal(mut stream: impl BufRead, deployment: &str) -> io::Result<Journal> {
    let (mut journal, mut left_out) = (Journal::default(), 0_usize);
    let mut octets = Vec::new();
    for number in 1_usize.. {
        octets.clear();
        let line = stream.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut octets)?;
        if line == 0 {
            break;
        }
        let is_whole = octets.ends_with(b"\n");
        if !is_whole && octets.len() > LONGEST_LINE {
            skip_line(&mut stream)?;
        } else if !is_whole {
            journal.lines.extend(parse(&octets, deployment));
            break;
        } else if octets.trim_ascii().is_empty() {
            continue;
        }
        match parse(&octets, deployment) {
            Ok(line) => journal.lines.push(line),
            Err(why) => {
                left_out += 1;
                if left_out <= TOLD {
                    journal.notes.push(format!("line {number} was left out: {why}"));
                }
            }
        }
    }
    if left_out > TOLD {
        journal.notes.push(format!("{} lines more were left out", left_out - TOLD));
    }
    Ok(journal)
}

fn skip_line(stream: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = stream.fill_buf()?;
        let (octets, is_last) = match buffer.iter().position(|octet| *octet == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        stream.consume(octets);
        if is_last {
            return Ok(());
        }
    }
}

fn parse(octets: &[u8], deployment: &str) -> std::result::Result<JournalLine, String> {
    if octets.len() > LONGEST_LINE {
        return Err("it is longer than any line of a journal".into());
    }
    let line: JournalLine =
        serde_json::from_slice(octets).map_err(|error| format!("it cannot be read: {error}"))?;
    if line.deployment != deployment {
        return Err("it is of another deployment".into());
    }
    if !JOURNALLED.contains(&line.action.as_str()) {
        return Err(format!("this version does not know the action '{}'", line.action));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const OURS: &str = "0123456789abcdef";

    fn line(seq: i64, action: &str, subject: &str) -> JournalLine {
        let (deployment, action, subject) = (OURS.to_owned(), action.to_owned(), subject.to_owned());
        JournalLine {
            deployment,
            seq,
            at: 1_700_000_000_000 + seq,
            action,
            subject,
            detail: json!({"seq": seq}),
        }
    }

    fn read(octets: &[u8]) -> Journal {
        read_journal(octets, OURS).unwrap()
    }

    fn text(line: &JournalLine) -> String {
        format!("{}\n", serde_json::to_string(line).unwrap())
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_is_taken() {
        let (first, last) = (line(1, "identity.denied", "a"), line(9, "token.revoked", "b"));
        let other = JournalLine { deployment: "f".repeat(16), ..first.clone() };
        let long = format!("{{\"deployment\": \"{}\"}}\n", "x".repeat(LONGEST_LINE));
        let all = [
            text(&first),
            "{\"deployment\":\"0123\n".into(),
            text(&other),
            text(&line(3, "identity.praised", "c")),
            long,
            "\n".into(),
            text(&last),
        ];
        let journal = read(all.concat().as_bytes());
        assert_eq!(journal.lines, [first, last]);
        let told = [
            "line 2 ",
            "line 3 was left out: it is of another",
            "line 4 ",
            "line 5 was left out: it is longer",
        ];
        assert_eq!(journal.notes.len(), told.len());
        for (note, begins) in journal.notes.iter().zip(told) {
            assert!(note.starts_with(begins), "{note}");
        }
    }

    #[test]
    fn of_many_damaged_lines_their_number_is_told() {
        let journal = read("{\n".repeat(1000).as_bytes());
        assert_eq!((journal.lines.len(), journal.notes.len()), (0, TOLD + 1));
        assert_eq!(journal.notes[TOLD], "980 lines more were left out");
    }

    fn lines() -> impl Strategy<Value = Vec<JournalLine>> {
        let one = (0..100_i64, 0..JOURNALLED.len(), ".{0,20}");
        let one = one.prop_map(|(seq, action, subject)| line(seq, JOURNALLED[action], &subject));
        prop::collection::vec(one, 0..8)
    }

    proptest! {
        /// Wherever a power cut ends the file, the lines before are there and nothing is told.
        #[test]
        fn a_journal_cut_off_anywhere_gives_every_whole_line(lines in lines(), cut in 0.0..1.0_f64) {
            let all: String = lines.iter().map(text).collect();
            let kept = &all.as_bytes()[..(all.len() as f64 * cut) as usize];
            let whole = kept.iter().filter(|octet| **octet == b'\n').count();
            let journal = read(kept);
            prop_assert!(journal.lines.len() >= whole && lines.starts_with(&journal.lines));
            prop_assert!(journal.notes.is_empty());
        }

        #[test]
        fn a_damaged_octet_costs_no_other_line(
            lines in lines().prop_filter("some", |lines| !lines.is_empty()),
            at in any::<prop::sample::Index>(),
            to in any::<u8>(),
        ) {
            let mut octets: Vec<u8> = lines.iter().map(text).collect::<String>().into_bytes();
            let at = at.index(octets.len());
            octets[at] = to;
            let journal = read(&octets);
            // The line itself, or two where the end of one was hit.
            prop_assert!(journal.lines.len() + 2 >= lines.len());
            prop_assert!(journal.lines.iter().filter(|line| lines.contains(line)).count() + 2 >= lines.len());
        }

        #[test]
        fn any_octets_are_read_to_their_end(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
            let journal = read(&octets);
            let ends = octets.iter().filter(|octet| **octet == b'\n').count();
            prop_assert!(journal.lines.len() + journal.notes.len() <= ends + 1);
        }
    }
}
