//! Who is let in: the holder of a token that this service made, and nobody else.

use crate::pki::{DOMAIN, Pki, launch_in, ok, refused};
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use catalyst_rigs::checkers::openssl;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};
use tempfile::TempDir;

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

pub(crate) fn read(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(crate) fn es384(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A private key of the running service, out of its encrypted file, in OpenSSL's traditional form (RFC 5915, DER).
pub(crate) fn stolen(pki: &Pki, name: &str) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("key.der");
    let data_dir = pki.service.data_dir();
    let key = data_dir.join("keys").join(name);
    let passphrase = format!("file:{}", data_dir.join("dev-passphrase").display());
    let (key, out) = (key.to_str().unwrap(), out.to_str().unwrap());
    openssl(&["pkey", "-in", key, "-passin", &passphrase, "-traditional", "-out", out]).unwrap();
    der::pem::decode_vec(&fs::read(out).unwrap()).unwrap().1
}

#[test]
fn without_a_good_credential_nothing_is_told_or_done() {
    let pki = Pki::dev();
    let ask =
        |headers: &[(&str, &str)]| pki.service.http().request("GET", "/pki/status", headers, b"").unwrap();
    let answer = ask(&[]);
    refused(&answer, 401, "credential_missing");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let bearer = format!("Bearer {}", pki.token);
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Basic YWRtaW46YWRtaW4=",
        &pki.token,
        &format!("Bearer{}", pki.token),
        &format!("Token {}", pki.token),
        &format!("{bearer} x"),
        &format!("{bearer},{bearer}"),
        &format!("{bearer}x"),
        "Bearer garbage",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer e30.e30.",
        "Bearer null",
        &format!("Bearer {}", "a.".repeat(4000)),
    ] {
        let answer = ask(&[("authorization", value)]);
        assert_eq!(refused(&answer, 401, "credential_invalid"), "Invalid token", "{value}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    refused(&ask(&[("authorization", &bearer), ("authorization", &bearer)]), 401, "credential_invalid");
    refused(&ask(&[("authorization", &bearer), ("authorization", "Bearer x")]), 401, "credential_invalid");
    refused(&ask(&[("x-authorization", &bearer)]), 401, "credential_missing");
    refused(
        &pki.service.http().get(&format!("/pki/status?token={}", pki.token)).unwrap(),
        401,
        "credential_missing",
    );
    // The scheme's case is free (RFC 9110, 11.1).
    ok(&ask(&[("authorization", &format!("bEARER {}", pki.token))]));
}

#[test]
fn every_route_that_needs_a_credential_refuses_without_one_before_it_reads_the_body() {
    let pki = Pki::dev();
    let document = ok(&pki.service.http().get("/openapi.json").unwrap());
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"].is_null() {
                continue;
            }
            let path = path.replace("{ski}", "0").replace("{id}", "0");
            let huge = vec![b'x'; 256 * 1024];
            for (headers, code) in
                [(vec![], "credential_missing"), (vec![("authorization", "Bearer x")], "credential_invalid")]
            {
                let body: &[u8] = if method == "post" { &huge } else { b"" };
                let answer =
                    pki.service.http().request(&method.to_uppercase(), &path, &headers, body).unwrap();
                refused(&answer, 401, code);
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 33);
    assert_eq!(pki.recorded(), 0);
}

#[test]
fn a_forged_token_is_refused() {
    let pki = Pki::dev();
    let real: Vec<&str> = pki.token.split('.').collect();
    let (header, claims) = (read(real[0]), read(real[1]));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES384"), &json!("JWT")));
    let with = |json: &Value, name: &str, value: Value| {
        let mut json = json.clone();
        json[name] = value;
        json
    };
    let forger = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let jwks = ok(&pki.service.http().get("/.well-known/jwks.json").unwrap());
    let jwk = &jwks["keys"][0];
    assert_eq!(jwk["kid"], header["kid"]);
    let mut forged = vec![
        // Nobody signed it.
        format!("{}.{}.", part(&with(&header, "alg", json!("none"))), real[1]),
        format!("{}.{}.", part(&json!({"alg": "none"})), real[1]),
        format!("{}.{}.{}", part(&with(&header, "alg", json!("None"))), real[1], real[2]),
        // Its signature is gone, cut, of zeros, or another form of the same.
        format!("{}.{}.", real[0], real[1]),
        format!("{}.{}", real[0], real[1]),
        format!("{}.{}.{}", real[0], real[1], &real[2][..real[2].len() - 4]),
        format!("{}.{}.{}", real[0], real[1], URL_SAFE_NO_PAD.encode([0; 96])),
        format!("{}.{}.{}=", real[0], real[1], real[2]),
        format!("{}.{}.{}.{}", real[0], real[1], real[2], real[2]),
        // Something in it was changed.
        format!("{}.{}.{}", real[0], part(&with(&claims, "exp", json!(i64::from(u32::MAX)))), real[2]),
        format!("{}.{}.{}", part(&with(&header, "kid", json!("other"))), real[1], real[2]),
        // Somebody else signed it.
        es384(&forger, &header, &claims),
        es384(&forger, &with(&header, "kid", json!("forger")), &claims),
        es384(&forger, &json!({"alg": "ES384", "typ": "JWT"}), &claims),
        es384(&forger, &with(&header, "jku", json!("https://forger.example/jwks.json")), &claims),
        es384(&forger, &with(&header, "alg", json!("ES256")), &claims),
        es384(&forger, &with(&header, "jwk", with(jwk, "kid", header["kid"].clone())), &claims),
    ];
    // The public key, in each of its forms, as the secret of an HMAC.
    let [x, y] = ["x", "y"].map(|name| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap());
    let point = [&[4], x.as_slice(), &y].concat();
    for (algorithm, name) in [(hmac::HMAC_SHA256, "HS256"), (hmac::HMAC_SHA384, "HS384")] {
        for secret in [point.clone(), jwk.to_string().into_bytes(), jwks.to_string().into_bytes(), x.clone()]
        {
            let input = format!("{}.{}", part(&with(&header, "alg", json!(name))), real[1]);
            let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), input.as_bytes());
            forged.push(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)));
        }
    }
    for token in forged {
        let answer = pki.service.http().with_token(&token).get("/pki/status").unwrap();
        assert_eq!(refused(&answer, 401, "credential_invalid"), "Invalid token");
    }
    ok(&pki.get("/pki/status"));
    assert!(!pki.service.log().contains(real[2]) || pki.service.log().matches(real[2]).count() == 1);
}

#[test]
fn a_token_under_the_right_key_must_be_recorded_in_time_and_for_us() {
    let pki = Pki::dev();
    let key =
        EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, &stolen(&pki, "token-1.pem"))
            .unwrap();
    let real: Vec<&str> = pki.token.split('.').collect();
    let (header, claims) = (read(real[0]), read(real[1]));
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        es384(&key, &header, &claims)
    };
    let ask = |token: &str| pki.service.http().with_token(token).get("/pki/status").unwrap();
    // The same claims signed once more are as good: it is the key that counts.
    ok(&ask(&es384(&key, &header, &claims)));
    let now = claims["iat"].as_i64().unwrap();
    let mut typed = header.clone();
    typed["typ"] = json!("catalyst-renew+jwt");
    for token in [with("exp", json!(now)), with("exp", json!(now - 1)), with("exp", json!(0))] {
        refused(&ask(&token), 401, "credential_expired");
    }
    for token in [
        with("exp", json!("tomorrow")),
        with("nbf", json!(now + 86_400)),
        with("jti", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        with("aud", json!("other.example.com")),
        with("aud", json!(null)),
        with("iss", json!("spiffe://other.example.com/auth/auth-1")),
        with("iss", json!(format!("spiffe://{DOMAIN}/node/n1"))),
        with("iss", json!("")),
        es384(&key, &typed, &claims),
        es384(&key, &header, &json!({})),
        es384(&key, &header, &json!([])),
    ] {
        refused(&ask(&token), 401, "credential_invalid");
    }
}

#[test]
fn the_system_token_is_private_and_outlives_a_restart() {
    let directory = TempDir::new().unwrap();
    let mut pki = Pki::initialized(launch_in(directory.path()));
    let file = directory.path().join("system-token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let claims = read(pki.token.split('.').nth(1).unwrap());
    assert_eq!((&claims["principal"], &claims["aud"]), (&json!("CATALYST::ADMIN"), &json!(DOMAIN)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 365 * 86_400);
    let logged = pki.service.log().matches(&pki.token).count();
    pki.service.stop().unwrap();
    let again = Pki::start(launch_in(directory.path())).ready();
    assert_eq!(again.token, pki.token);
    // Logged when it is made; outside --dev never again.
    assert_eq!((logged, again.service.log().matches(&pki.token).count()), (1, 0));
    // A token of another deployment is nobody's here, whatever it says.
    let other = Pki::dev();
    refused(
        &again.service.http().with_token(&other.token).get("/pki/status").unwrap(),
        401,
        "credential_invalid",
    );
}
