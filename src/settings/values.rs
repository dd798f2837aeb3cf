//! From text to values. Every error is the accepted form, as the end of a sentence.

use catalyst_signing::holds_pin;
use std::net::{IpAddr, SocketAddr};

/// More names for the SVIDs of one service type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsNameRule {
    /// A service type such as `gateway` or `envoy/app`.
    pub service_type: String,
    /// A DNS name in which `{instance}` and `{short}` stand for the instance id and its first label, and the
    /// leftmost label may be `*`.
    pub pattern: String,
}

/// A name or an address by which clients reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// A lower-case DNS name, whose last label is not all digits.
    Dns(String),
    /// An IP address; an IPv4 address in its own form, never mapped into IPv6.
    Ip(IpAddr),
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

/// A path, a role's ARN, a profile or a service account's address, which cannot be a PIN that somebody gave in its place:
/// each has a '/', but for the last, which has its own end. Which of them is meant, the key store knows.
pub(super) fn root_credentials(value: &str) -> Result<(), String> {
    let is_account = value.contains('@') && value.ends_with(".gserviceaccount.com");
    if (value.contains('/') || is_account) && !holds_pin(value) {
        return Ok(());
    }
    Err("the path of a file is wanted, with a '/' in it, as /etc/catalyst/root.pin or ./root.pin, or the ARN of an AWS role, or profile/<name of an AWS profile>, or the address of a Google service account, and never a PIN itself, for which reason the value is not repeated here".into())
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

pub(super) fn host_names(value: &str) -> Result<Vec<HostName>, String> {
    list(value).ok().and_then(|names| names.iter().map(|name| host_name(name)).collect()).ok_or_else(|| {
        "lower-case DNS names without wildcard and IP addresses are wanted, separated by commas, as \
         pki.example.org,192.0.2.10"
            .to_owned()
    })
}

fn host_name(name: &str) -> Option<HostName> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(HostName::Ip(address.to_canonical()));
    }
    let last = name.rsplit('.').next()?;
    let readable_as_address = last.bytes().all(|octet| octet.is_ascii_digit());
    (is_dns_name(name) && !readable_as_address).then(|| HostName::Dns(name.to_owned()))
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
    fn host_names_are_dns_names_and_addresses() {
        let names =
            host_names("pki.example.org, 192.0.2.10,2001:db8::1,::ffff:192.0.2.11,localhost").unwrap();
        assert_eq!(names[0], HostName::Dns("pki.example.org".into()));
        assert_eq!(names[3], HostName::Ip("192.0.2.11".parse().unwrap()));
        assert_eq!(names.len(), 5);
        for bad in
            ["", "a,", "*.example.org", "A.org", "192.0.2", "192.0.2.256", "https://a", "[::1]", "a:443"]
        {
            assert!(host_names(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_may_be_a_pin_is_no_path_of_a_file() {
        for path in [
            "/etc/root.pin",
            "./root.pin",
            "secrets/root.pin",
            "arn:aws:iam::111122223333:role/root",
            "profile/root",
        ] {
            assert_eq!(root_credentials(path), Ok(()), "{path}");
        }
        for bad in ["", "77553311", "root.pin", "./a?pin-value=77553311"] {
            let refused = root_credentials(bad).unwrap_err();
            assert!(refused.contains("./root.pin") && !refused.contains("77553311"), "{refused}");
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
