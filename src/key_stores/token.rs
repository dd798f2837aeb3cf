//! Which token an operator means: its label, or a PKCS#11 URI of token attributes (RFC 7512).

use catalyst_pkcs11::TokenChoice;
use catalyst_signing::{KeyUri, holds_pin};

const FORM: &str = "the token's label, or a PKCS#11 URI of token, serial, manufacturer and model, such as pkcs11:token=ca;serial=0123, is wanted";

const KEY_FORM: &str = "the label of a key is wanted, or its PKCS#11 URI: serial or token, and id or object, such as pkcs11:serial=0123;id=%01";

/// What begins so is a URI, in whatever letters.
const SCHEME: &str = "pkcs11:";

/// Reads it. The error is a clause without the text, which may hold a PIN.
pub(super) fn choice(text: &str) -> Result<TokenChoice, String> {
    let Some(path) = uri_path(text)? else {
        if text.trim().is_empty() {
            return Err(FORM.to_owned());
        }
        return Ok(TokenChoice::Label(text.to_owned()));
    };
    let [mut label, mut serial, mut manufacturer, mut model] = [None, None, None, None];
    for attribute in path.split(';') {
        let (name, value) = attribute.split_once('=').ok_or_else(|| FORM.to_owned())?;
        let slot = match name {
            "token" => &mut label,
            "serial" => &mut serial,
            "manufacturer" => &mut manufacturer,
            "model" => &mut model,
            "object" | "id" | "type" => {
                return Err(format!(
                    "the attribute '{name}' says which key, not which token: keys are named by CATALYST_PKI_PKCS11_KEY; {FORM}"
                ));
            }
            _ => return Err(FORM.to_owned()),
        };
        let value = decoded(value).filter(|value| !value.is_empty()).ok_or_else(|| FORM.to_owned())?;
        if slot.replace(value).is_some() {
            return Err(format!("the attribute '{name}' stands there twice; {FORM}"));
        }
    }
    Ok(TokenChoice::Uri { label, serial, manufacturer, model })
}

/// Whether a key may be named so: a label, or a URI without what belongs elsewhere. What is on the token, only the token
/// knows.
pub(super) fn check_key(text: &str) -> Result<(), String> {
    match uri_path(text)? {
        Some(_) if KeyUri::parse(text).is_err() => Err(KEY_FORM.to_owned()),
        _ if text.trim().is_empty() => Err("a value that is not empty is wanted".to_owned()),
        // A URI without its scheme: the value would be shown as a label.
        None if holds_pin(text) => {
            Err("a PIN has no place in the name of a key: it is given by CATALYST_PKI_PKCS11_PIN_FILE"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// The path of a PKCS#11 URI; `None` for what is none.
fn uri_path(text: &str) -> Result<Option<&str>, String> {
    let Some(path) = text.get(..SCHEME.len()).filter(|head| head.eq_ignore_ascii_case(SCHEME)) else {
        return Ok(None);
    };
    let path = &text[path.len()..];
    let lower = path.to_ascii_lowercase();
    // Not repeated: what follows one of them may be a PIN.
    for (name, place) in [
        ("pin-value", "the PIN is given by CATALYST_PKI_PKCS11_PIN_FILE"),
        ("pin-source", "the PIN is given by CATALYST_PKI_PKCS11_PIN_FILE"),
        ("module-", "the module is given by CATALYST_PKI_PKCS11_MODULE"),
        ("slot-id", "a slot's number changes: name the token by its label or serial number"),
    ] {
        if lower.contains(name) {
            let name = if name == "module-" { "module-path" } else { name };
            return Err(format!("the attribute '{name}' has no place in this URI: {place}"));
        }
    }
    if path.contains('?') {
        return Err("a PKCS#11 URI without '?' and what follows it is wanted".to_owned());
    }
    Ok(Some(path))
}

/// Percent-encoded octets as text (RFC 7512, 2.3).
fn decoded(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        octets.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_chosen_by_its_label_or_a_uri() {
        assert_eq!(choice("Catalyst CA").unwrap(), TokenChoice::Label("Catalyst CA".into()));
        assert_eq!(
            choice("pkcs11:token=Catalyst%20CA;serial=01%c3%a4;model=M;manufacturer=A").unwrap(),
            TokenChoice::Uri {
                label: Some("Catalyst CA".into()),
                serial: Some("01ä".into()),
                manufacturer: Some("A".into()),
                model: Some("M".into()),
            }
        );
        for bad in [
            "",
            " ",
            "pkcs11:",
            "pkcs11:token",
            "pkcs11:token=",
            "pkcs11:token=%4",
            "pkcs11:token=%zz",
            "pkcs11:token=%ff",
            "pkcs11:token=a;token=b",
            "pkcs11:token=a;object=b",
            "pkcs11:slot-description=a",
        ] {
            assert!(choice(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_may_hold_a_pin_is_refused_and_not_repeated() {
        for attribute in ["pin-value", "PIN-VALUE", "pin-source", "module-path", "slot-id"] {
            for uri in [
                format!("pkcs11:token=hidden;{attribute}=12345678"),
                format!("pkcs11:token=hidden;id=%01?{attribute}=12345678"),
                format!("PKCS11:object=hidden;{attribute}=12345678"),
            ] {
                for refused in [choice(&uri).unwrap_err(), check_key(&uri).unwrap_err()] {
                    assert!(!refused.contains("12345678") && !refused.contains("hidden"), "{refused}");
                    assert!(refused.contains(&attribute.to_ascii_lowercase()), "{refused}");
                }
            }
        }
    }

    #[test]
    fn a_key_is_named_by_a_label_or_a_uri() {
        for good in ["services-1", "pkcs11:token=t;object=a", "pkcs11:serial=1;id=%01%02;type=private"] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "pkcs11:token=a",
            "pkcs11:object=a",
            "pkcs11:id=%01",
            "PKCS11:serial=1;id=%01",
            "pkcs11:",
        ] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
        let refused = check_key("object=a;Pin-Value=12345678").unwrap_err();
        assert!(refused.contains("a PIN has no place") && !refused.contains("12345678"), "{refused}");
    }
}
