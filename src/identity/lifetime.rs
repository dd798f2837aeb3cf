//! Lifetimes as people write them.

use std::time::Duration;

/// The text is no lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lifetime is a number and a unit: 90s, 15m, 1h, 7d or 2w")]
pub struct LifetimeError;

/// Reads `90s`, `15m`, `1h`, `7d`, `2w`, also with the unit written out, as deployed clients do.
///
/// # Errors
/// Another form, or more seconds than can be counted.
pub fn lifetime(text: &str) -> Result<Duration, LifetimeError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(LifetimeError)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| LifetimeError)?;
    let seconds = match unit.trim_start().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        _ => return Err(LifetimeError),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or(LifetimeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h", 3_600),
            ("7d", 604_800),
            ("2 weeks", 1_209_600),
            ("1 Hour", 3_600),
        ] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "1", "h", "1x", "-1h", "1.5h", "1h1h", "99999999999999999999h", "9999999999999999999w", "१h"]
        {
            assert_eq!(lifetime(text), Err(LifetimeError), "{text}");
        }
    }
}
