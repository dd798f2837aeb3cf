//! The language of rules.

use crate::{
    calls::FUNCTIONS,
    names::{return_value, token_flag},
    rules::{Effect, Rule},
};
use std::{str::FromStr, time::Duration};

/// Reads the file; the error names the line.
pub(crate) fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| rule(line).map_err(|wrong| format!("{line}: {wrong}"))).collect()
}

fn rule(line: &str) -> Result<Rule, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (words, times) = match words.as_slice() {
        [words @ .., "times", times] => (words, Some(number(times)?)),
        words => (words, None),
    };
    let effect = effect(words)?;
    let counted = matches!(
        effect,
        Effect::Return { .. } | Effect::Delay { .. } | Effect::FlipSignature | Effect::GenerateThenFail
    );
    match times {
        Some(_) if !counted => Err("it holds as long as it is there: leave out times".into()),
        _ => Ok(Rule { effect, times }),
    }
}

fn effect(words: &[&str]) -> Result<Effect, String> {
    match *words {
        ["generate-then-fail"] => Ok(Effect::GenerateThenFail),
        ["sessions", "idle", time] => Ok(Effect::IdleSessions(duration(time)?)),
        ["token", "away"] => Ok(Effect::TokenAway),
        ["C_Sign", "flip"] => Ok(Effect::FlipSignature),
        ["C_GetTokenInfo", "flags", change] => token_flags(change),
        ["C_GetTokenInfo", "sessions", most] => Ok(Effect::TokenSessions(number(most)?)),
        ["C_OpenSession", "limit", most] => Ok(Effect::SessionLimit(number(most)?)),
        ["C_GetAttributeValue", "always-authenticate"] => Ok(Effect::AlwaysAuthenticate),
        [name, "return", value] => {
            let value = return_value(value).ok_or_else(|| format!("{value} is no return value"))?;
            Ok(Effect::Return { function: function(name)?, value })
        }
        [name, "delay", time] => Ok(Effect::Delay { function: function(name)?, time: duration(time)? }),
        [name, "hang"] => Ok(Effect::Hang { function: function(name)? }),
        _ => Err("there is no such rule".into()),
    }
}

fn function(name: &str) -> Result<&'static str, String> {
    FUNCTIONS.iter().find(|known| **known == name).copied().ok_or_else(|| format!("{name} is no function"))
}

fn token_flags(change: &str) -> Result<Effect, String> {
    let flag = change.get(1..).and_then(token_flag).ok_or_else(|| format!("{change} is no flag"))?;
    match change.as_bytes().first() {
        Some(b'+') => Ok(Effect::TokenFlags { set: flag, clear: 0 }),
        Some(b'-') => Ok(Effect::TokenFlags { set: 0, clear: flag }),
        _ => Err(format!("{change} begins with neither + nor -")),
    }
}

fn duration(word: &str) -> Result<Duration, String> {
    match (word.strip_suffix("ms"), word.strip_suffix('s')) {
        (Some(count), _) => Ok(Duration::from_millis(number(count)?)),
        (None, Some(count)) => Ok(Duration::from_secs(number(count)?)),
        (None, None) => Err(format!("{word} is no time: 500ms, 15s")),
    }
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    #[test]
    fn every_rule_of_the_documentation_is_understood() {
        let documented = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let examples: Vec<&str> = documented.map(|row| row.split('`').next().unwrap()).collect();
        assert_eq!(rules(&examples.join("\n")).unwrap().len(), 11);
        for (row, example) in examples.iter().enumerate() {
            let counted = [0, 1, 3, 4].contains(&row);
            assert_eq!(rules(&format!("{example} times 3")).is_ok(), counted, "{example}");
        }
    }

    #[test]
    fn words_of_the_standard_have_its_values() {
        let rule = |text: &str| rules(text).unwrap()[0].effect;
        let away = Effect::Return { function: "C_Login", value: 0xa0 };
        assert_eq!(rule("C_Login return CKR_PIN_INCORRECT"), away);
        assert_eq!(rule("C_Login return 0xa0"), away);
        let flags = rule("C_GetTokenInfo flags -USER_PIN_LOCKED");
        assert_eq!(flags, Effect::TokenFlags { set: 0, clear: 0x0004_0000 });
        assert_eq!(rule(" sessions  idle 1500ms "), Effect::IdleSessions(Duration::from_millis(1500)));
        assert_eq!(rules("# C_Sign hang\n\n").unwrap(), []);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, wrong) in [
            ("C_Sing hang", "C_Sing is no function"),
            ("C_Sign return CKR_SOMETHING", "CKR_SOMETHING is no return value"),
            ("C_Sign delay 5", "5 is no time: 500ms, 15s"),
            ("C_Sign delay -5s", "-5 is no number"),
            ("C_GetTokenInfo flags USER_PIN_LOCKED", "USER_PIN_LOCKED is no flag"),
            ("C_GetTokenInfo flags !USER_PIN_LOCKED", "!USER_PIN_LOCKED begins with neither + nor -"),
            ("C_Sign explode", "there is no such rule"),
            ("C_Sign hang times 3", "it holds as long as it is there: leave out times"),
            ("token away for good", "there is no such rule"),
        ] {
            assert_eq!(rules(text), Err(format!("{text}: {wrong}")));
        }
    }

    #[test]
    fn a_rule_that_is_counted_ends_and_begins_anew_with_another_file() {
        let mut rules = Rules::new();
        let mut fires = |text: &str| {
            rules.update(text.to_owned()).unwrap();
            rules.take(|effect| matches!(effect, Effect::FlipSignature).then_some(())).is_some()
        };
        assert!(!fires(""));
        assert_eq!([fires("C_Sign flip times 2"), fires("C_Sign flip times 2")], [true, true]);
        assert!(!fires("C_Sign flip times 2"));
        assert!(fires("# again\nC_Sign flip times 2"));
    }
}
