//! Bounds of one policy. Cedar's parser, its trees and their destructors recurse, partly without a bound: a file of
//! 900,000 brackets ends the process, and a directory may be replaced while the service runs.

/// Brackets within brackets, or `if`s of one policy.
const DEEPEST: usize = 64;
/// Operators and brackets of one policy. What chains them becomes a tree as deep as there are operators.
const MOST_OPERATORS: usize = 2_000;

const TOO_DEEP: &str = "brackets or ifs are nested more than 64 deep: split the policy";
const TOO_LONG: &str =
    "one policy has more than 2000 operators and brackets: split it, or compare with a set by contains";

/// Checks each policy of a file. The error is a byte's place and what is wrong there.
pub(super) fn check(text: &str) -> Result<(), (usize, &'static str)> {
    let bytes = text.as_bytes();
    let (mut depth, mut ifs, mut operators) = (0_usize, 0, 0);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = end_of_line(bytes, at),
            b';' => (depth, ifs, operators) = (0, 0, 0),
            b'(' | b'[' | b'{' => (depth, operators) = (depth + 1, operators + 1),
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'&' | b'|' | b'+' | b'-' | b'*' | b'!' | b'.' => operators += 1,
            _ if is_word(byte) => {
                let end = end_of_word(bytes, at);
                ifs += usize::from(&bytes[at..end] == b"if");
                at = end;
                continue;
            }
            _ => {}
        }
        if depth > DEEPEST || ifs > DEEPEST {
            return Err((at, TOO_DEEP));
        }
        if operators > MOST_OPERATORS {
            return Err((at, TOO_LONG));
        }
        at += 1;
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_word(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| !is_word(*byte)).map_or(bytes.len(), |length| from + length)
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))
        .map_or(bytes.len(), |length| from + length)
}

/// The closing quote, or the end of the text.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_do_not_count() {
        let much = "((((!!!!if if ".repeat(1_000);
        assert_eq!(check(&format!("// {much}\npermit (\"{much}\\\"{much}\");")), Ok(()));
        assert_eq!(check(&"permit (a.b && c);\n".repeat(10_000)), Ok(()));
        assert_eq!(check(&format!("[{}]", "\"n1\",".repeat(100_000))), Ok(()));
    }

    #[test]
    fn bounds_are_those_of_one_policy() {
        let nested = |depth| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(check(&nested(DEEPEST)), Ok(()));
        assert_eq!(check(&nested(DEEPEST + 1)), Err((DEEPEST, TOO_DEEP)));
        assert_eq!(check(&"+".repeat(MOST_OPERATORS)), Ok(()));
        assert_eq!(check(&"+".repeat(MOST_OPERATORS + 1)), Err((MOST_OPERATORS, TOO_LONG)));
        assert_eq!(check(&"if ".repeat(DEEPEST + 1)).unwrap_err().1, TOO_DEEP);
        assert_eq!(check("\"\\"), Ok(()));
    }
}
