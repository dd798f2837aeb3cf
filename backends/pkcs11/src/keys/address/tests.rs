use super::*;
use proptest::{collection::vec, prelude::*};

fn facts(label: &str, serial: &str) -> TokenFacts {
    TokenFacts {
        label: label.to_owned(),
        serial: serial.to_owned(),
        manufacturer: "Maker Ltd".to_owned(),
        model: "Box 3".to_owned(),
        firmware: "1.0".to_owned(),
        mechanisms: Vec::new(),
        rsa_bits: Vec::new(),
        sessions: None,
    }
}

fn uri(text: &str) -> Result<Address, SignError> {
    Address::of_uri(&KeyUri::parse(text).unwrap())
}

#[test]
fn a_key_is_named_by_its_token_s_serial_number_and_its_id() {
    let token = facts("CA 1", "0a b/1");
    let named =
        |id: &[u8], label: &str, shares| Address::uri_of(&token, id, label, shares).unwrap().to_string();
    assert_eq!(named(&[0, 0x2a, 0xff], "x", false), "pkcs11:serial=0a%20b%2F1;id=%00%2A%FF");
    assert_eq!(named(&[1], "two of them", true), "pkcs11:serial=0a%20b%2F1;id=%01;object=two%20of%20them");
    assert_eq!(named(&[1], "", true), "pkcs11:serial=0a%20b%2F1;id=%01");
    assert_eq!(named(&[], "grün", false), "pkcs11:serial=0a%20b%2F1;object=gr%C3%BCn");
    let unnumbered = Address::uri_of(&facts("CA 1", ""), &[1], "", false).unwrap();
    assert_eq!(unnumbered.as_str(), "pkcs11:token=CA%201;id=%01");
    assert_eq!(Address::uri_of(&token, &[], "", false).unwrap_err().code(), "key_refused_configuration");
    assert_eq!(
        Address::uri_of(&facts("", ""), &[1], "", false).unwrap_err().code(),
        "key_refused_configuration"
    );
}

#[test]
fn the_attributes_of_the_token_must_all_fit() {
    let token = facts("CA 1", "0a1b");
    for fits in [
        "pkcs11:serial=0a1b;id=%01",
        "pkcs11:token=CA%201;manufacturer=Maker%20Ltd;model=Box%203;serial=0a1b;type=private;id=%01",
    ] {
        uri(fits).unwrap().check_token("pkcs11", &token).unwrap();
    }
    for (differs, told) in [
        ("pkcs11:serial=0A1B;id=%01", "the token with the serial number '0A1B'"),
        ("pkcs11:token=CA;serial=0a1b;id=%01", "the token with the label 'CA'"),
        ("pkcs11:serial=0a1b;model=Box;id=%01", "the token with the model 'Box'"),
        ("pkcs11:serial=0a1b;manufacturer=Other;id=%01", "the token with the manufacturer 'Other'"),
    ] {
        let error = uri(differs).unwrap().check_token("pkcs11:hsm-1", &token).unwrap_err();
        assert_eq!(error.code(), "key_refused_missing");
        let text = error.to_string();
        assert!(text.contains(told) && text.contains("pkcs11:hsm-1 is now the token 'CA 1'"), "{text}");
        assert!(text.contains("'0a1b'") && text.contains(differs), "{text}");
    }
}

#[test]
fn what_says_nothing_of_a_private_key_is_refused() {
    for (bad, why) in [
        ("pkcs11:serial=1;id=%01;type=public", "type=private"),
        ("pkcs11:serial=1;id=%01;library-version=3", "library-version"),
        ("pkcs11:serial=1;id=%01;slot-description=x", "slot-description"),
        ("pkcs11:serial=%FF;id=%01", "not UTF-8"),
        ("local:root-1", "no key of a PKCS#11 token"),
    ] {
        let error = uri(bad).unwrap_err();
        assert_eq!(error.code(), "key_refused_configuration");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_reference_is_a_uri_or_a_label_and_repeats_no_pin() {
    let label = Address::of_reference("services 2026 (new)").unwrap();
    assert!(label.private_template().contains(&Attribute::Label(b"services 2026 (new)".to_vec())));
    label.check_token("pkcs11", &facts("any", "any")).unwrap();
    let uri = Address::of_reference("pkcs11:token=CA;object=a%2Fb;id=%0A").unwrap();
    assert!(uri.private_template().contains(&Attribute::Label(b"a/b".to_vec())));
    assert!(uri.private_template().contains(&Attribute::Id(vec![10])));
    for bad in [
        "",
        "pkcs11:object=a",
        "PKCS11:serial=1;id=%01",
        "pkcs11:serial=1;id=%01?pin-value=s3cret",
        "pkcs11:serial=1;id=%01;pin-source=s3cret",
        "pkcs11:serial=1;id=%01;slot-id=s3cret",
        "pkcs11:serial=1;id=%01?module-path=/s3cret.so",
        "serial=1;id=%01?pin-value=s3cret",
    ] {
        let error = Address::of_reference(bad).unwrap_err();
        assert_eq!(error.code(), "key_refused_configuration", "{bad}: {error}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error}");
    }
    assert_eq!(Address::of_reference("a\nb").unwrap().to_string(), r"'a\nb'");
}

proptest! {
    /// A URI that is made of a key leads back to its token, id and label.
    #[test]
    fn there_and_back(
        serial in "\\PC{1,16}",
        id in vec(any::<u8>(), 0..40),
        label in "\\PC{1,40}",
        shares: bool,
    ) {
        let token = facts("CA", &serial);
        let address = Address::of_uri(&Address::uri_of(&token, &id, &label, shares).unwrap()).unwrap();
        prop_assert!(address.check_token("pkcs11", &token).is_ok());
        prop_assert!(address.check_token("pkcs11", &facts("CA", "another serial")).is_err());
        prop_assert_eq!(address.id.unwrap_or_default(), id.clone());
        prop_assert_eq!(address.label, (shares || id.is_empty()).then(|| label.into_bytes()));
    }

    #[test]
    fn nothing_panics(reference in "(pkcs11:)?[ -~]{0,60}|\\PC{0,40}") {
        if let Ok(address) = Address::of_reference(&reference) {
            prop_assert!(!address.to_string().is_empty());
        }
    }
}
