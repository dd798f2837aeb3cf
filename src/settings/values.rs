//! From text to values. Every error is the accepted form, as the end of a sentence.

use std::net::SocketAddr;

/// More names for the SVIDs of one service type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsNameRule {
    /// A service type such as `gateway` or `envoy/app`.
    pub service_type: String,
    /// A DNS name in which `{instance}` and `{short}` stand for the instance id and its first label, and the
    /// leftmost label may be `*`.
    pub pattern: String,
}

pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| "an IP address and a port are wanted, as 127.0.0.1:4020 or [::1]:4020".into())
}

pub(super) fn number(value: &str, min: u64, max: u64, unit: &str) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("a whole number of {unit} from {min} to {max} is wanted"))
}

pub(super) fn one_of(value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) { Ok(()) } else { Err(format!("one of {} is wanted", words.join(", "))) }
}

pub(super) fn list(value: &str) -> Result<Vec<String>, String> {
    let words: Vec<String> = value.split(',').map(|word| word.trim().to_owned()).collect();
    if words.iter().any(String::is_empty) {
        return Err("words separated by single commas are wanted, as a.example.org,b.example.org".into());
    }
    Ok(words)
}

pub(super) fn trust_domain(value: &str) -> Result<(), String> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if (1..=255).contains(&value.len()) && value.chars().all(allowed) {
        Ok(())
    } else {
        Err("at most 255 of a-z, 0-9, '.', '_' and '-' are wanted, without 'spiffe://', as catalyst.example.com"
            .into())
    }
}

pub(super) fn dns_names(value: &str) -> Result<Vec<DnsNameRule>, String> {
    const FORM: &str = "<service type>=<DNS name> separated by commas is wanted, where the name may contain \
        {instance} or {short} and its leftmost label may be *, as gateway={short}.example.org,node=*.nodes.example.org";
    list(value)
        .ok()
        .and_then(|rules| rules.iter().map(|rule| dns_name_rule(rule)).collect())
        .ok_or_else(|| FORM.to_owned())
}

fn dns_name_rule(rule: &str) -> Option<DnsNameRule> {
    let (service_type, pattern) = rule.split_once('=')?;
    let typed = !service_type.is_empty() && service_type.chars().all(|c| c.is_ascii_lowercase() || c == '/');
    // The placeholders stand for text that is valid in a label, so any letter in their place shows whether the
    // pattern is a name.
    let name = pattern.replace("{instance}", "i").replace("{short}", "s");
    let name = name.strip_prefix("*.").unwrap_or(&name);
    (typed && is_dns_name(name))
        .then(|| DnsNameRule { service_type: service_type.into(), pattern: pattern.into() })
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_name_patterns_are_taken_apart() {
        let rules =
            dns_names("gateway={short}.example.org, envoy/app=*.mesh.example.org,node={instance}").unwrap();
        assert_eq!(rules.len(), 3);
        assert_eq!(rules[1].service_type, "envoy/app");
        assert_eq!(rules[1].pattern, "*.mesh.example.org");
    }

    #[test]
    fn dns_name_patterns_that_are_no_names_are_refused() {
        let bad = [
            "",
            "gateway",
            "=a",
            "gateway=",
            "gateway=a.*.org",
            "gateway=*",
            "gateway=A.org",
            "gateway={x}.org",
            "Gateway=a.org",
            "gateway=a..org",
            "gateway=a_b.org",
            "gateway=a,,node=b",
            "gateway=-a.org",
        ];
        for pattern in bad {
            assert!(dns_names(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn numbers_outside_their_limits_name_the_limits() {
        assert_eq!(number("60", 1, 86_400, "seconds"), Ok(60));
        for bad in ["0", "86401", "-1", "1h", "1.5", ""] {
            let form = number(bad, 1, 86_400, "seconds").unwrap_err();
            assert_eq!(form, "a whole number of seconds from 1 to 86400 is wanted");
        }
    }

    #[test]
    fn trust_domains_are_names_and_not_addresses() {
        assert!(trust_domain("catalyst.example.com").is_ok());
        for bad in ["", "Catalyst", "a/b", "spiffe://a", "a:1"] {
            assert!(trust_domain(bad).is_err(), "{bad:?}");
        }
    }
}
