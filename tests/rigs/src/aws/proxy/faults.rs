//! What the faults come to.

use super::{
    answer::Answer,
    request::Request,
    rules::{Fault, Says},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

/// As HTTP writes a date (RFC 9110, section 5.6.7).
const HTTP_DATE: &[FormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
/// As SigV4 writes one.
const SIGNING_DATE: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// The answer of a fault that keeps the request from KMS; `None`: it reaches KMS.
pub(super) fn instead(fault: &Fault, request: &Request) -> Option<Answer> {
    let named = request.named().unwrap_or("*");
    Some(match fault {
        Fault::Throttled(None) => Answer::error("ThrottlingException", "Rate exceeded"),
        Fault::Throttled(Some(seconds)) => {
            Answer::error("ThrottlingException", "Rate exceeded").with("retry-after", seconds.to_string())
        }
        Fault::Internal => Answer::failure("KMSInternalException", "An internal error occurred"),
        Fault::ExpiredCredentials => {
            Answer::error("ExpiredTokenException", "The security token included in the request is expired")
        }
        Fault::ClockSkew(ahead) => skewed(*ahead),
        Fault::Denied => denied(request, named, Denial::NotByIdentity),
        Fault::DeniedByKeyPolicy => denied(request, named, Denial::NotByKey),
        Fault::NotFound => Answer::not_found(named),
        Fault::Refused(code, message) => Answer::error(code, *message),
        Fault::Says(says) => return unfit(*says, request, named),
        _ => return None,
    })
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Denial {
    /// The caller's policies allow it nowhere.
    NotByIdentity,
    /// The key policy allows it nowhere.
    NotByKey,
    /// One of the caller's policies denies it.
    Explicit,
}

/// As KMS words it: the statement that is missing, and where.
pub(super) fn denied(request: &Request, resource: &str, why: Denial) -> Answer {
    let action = format!("kms:{}", request.operation);
    let why = match why {
        Denial::NotByIdentity => format!("because no identity-based policy allows the {action} action"),
        Denial::NotByKey => format!("because no resource-based policy allows the {action} action"),
        Denial::Explicit => "with an explicit deny in an identity-based policy".to_owned(),
    };
    let message = format!(
        "User: arn:aws:iam::000000000000:user/{} is not authorized to perform: {action} on resource: {resource} {why}",
        request.access_key_id()
    );
    Answer { body: json!({"__type": "AccessDeniedException", "Message": message}), ..Answer::error("", "") }
}

fn skewed(ahead: Duration) -> Answer {
    let now = OffsetDateTime::from(SystemTime::now() + ahead);
    let signed = OffsetDateTime::now_utc();
    let at = |time: OffsetDateTime| time.format(SIGNING_DATE).unwrap_or_default();
    let oldest = now - Duration::from_secs(300);
    let message = format!(
        "Signature expired: {} is now earlier than {} ({} - 5 min.)",
        at(signed),
        at(oldest),
        at(now)
    );
    Answer::error("InvalidSignatureException", message)
        .with("date", now.format(HTTP_DATE).unwrap_or_default())
}

/// The answer to a request that needs the key in another state.
fn unfit(says: Says, request: &Request, named: &str) -> Option<Answer> {
    let (code, state, but) = match says {
        Says::Creating => ("KMSInvalidStateException", "creating", &["DescribeKey", "ListResourceTags"][..]),
        Says::PendingDeletion => {
            ("KMSInvalidStateException", "pending deletion", &["DescribeKey", "ListResourceTags"][..])
        }
        Says::Disabled => {
            ("DisabledException", "disabled", &["DescribeKey", "ListResourceTags", "GetPublicKey"][..])
        }
        Says::MadeEarlier(_) | Says::Imported => return None,
    };
    let reads = but.contains(&request.operation.as_str()) || request.named().is_none();
    (!reads).then(|| Answer::error(code, format!("{named} is {state}.")))
}

/// What a fault makes of KMS's answer.
pub(super) fn change(fault: &Fault, answer: &mut Value) {
    match fault {
        Fault::FlippedBit => {
            if let Some(signature) = answer.get_mut("Signature") {
                flip(signature);
            }
        }
        Fault::AnotherAlgorithm(name) if answer.get("SigningAlgorithm").is_some() => {
            answer["SigningAlgorithm"] = json!(name);
        }
        Fault::Says(says) => {
            if let Some(metadata) = answer.get_mut("KeyMetadata") {
                describe(*says, metadata);
            }
        }
        _ => {}
    }
}

fn describe(says: Says, metadata: &mut Value) {
    match says {
        Says::MadeEarlier(by) => {
            let made = metadata["CreationDate"].as_f64().unwrap_or_default();
            metadata["CreationDate"] = json!(made - by.as_secs_f64());
        }
        Says::Imported => metadata["Origin"] = json!("EXTERNAL"),
        Says::Creating => metadata["KeyState"] = json!("Creating"),
        Says::Disabled => metadata["KeyState"] = json!("Disabled"),
        Says::PendingDeletion => metadata["KeyState"] = json!("PendingDeletion"),
    }
    if metadata["KeyState"] != "Enabled" {
        metadata["Enabled"] = json!(false);
    }
}

/// Another bit in the middle, so that the form of the signature stays.
fn flip(signature: &mut Value) {
    let Some(mut octets) = signature.as_str().and_then(|text| STANDARD.decode(text).ok()) else { return };
    let middle = octets.len() / 2 + 5;
    octets[middle] ^= 1;
    *signature = json!(STANDARD.encode(octets));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_one_bit() {
        let mut answer = json!({"Signature": STANDARD.encode([0; 64])});
        change(&Fault::FlippedBit, &mut answer);
        let octets = STANDARD.decode(answer["Signature"].as_str().unwrap()).unwrap();
        assert_eq!(octets.iter().map(|octet| octet.count_ones()).sum::<u32>(), 1);
    }

    #[test]
    fn a_skewed_clock_shows_in_the_date() {
        let answer = skewed(Duration::from_secs(3600));
        let (name, date) = &answer.headers[0];
        assert!(*name == "date" && date.ends_with(" GMT"), "{date}");
        assert!(answer.body["message"].as_str().unwrap().starts_with("Signature expired: 2"));
    }
}
