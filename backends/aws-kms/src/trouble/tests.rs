use super::{
    answer::{Answer, words},
    *,
};
use std::time::Duration;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1";

fn answered(status: u16, code: &str, message: &str) -> Trouble {
    let (code, message) = (code.to_owned(), message.to_owned());
    let answer = Answer { status, code, message, retry_after: None, ahead: None };
    answer.trouble(Asked { operation: "Sign", about: KEY })
}

#[test]
fn what_passes() {
    use Cause::{Answered, Away, Expired};
    use catalyst_signing::TransientKind::{Throttled, Unavailable};
    for (status, code, message, kind, cause) in [
        (500, "KMSInternalException", "", Unavailable, Away),
        (500, "DependencyTimeoutException", "", Unavailable, Away),
        (400, "DependencyTimeoutException", "", Unavailable, Away),
        (500, "KeyUnavailableException", "", Unavailable, Away),
        (503, "ServiceUnavailable", "", Unavailable, Away),
        (599, "Anything", "", Unavailable, Away),
        (400, "ThrottlingException", "Rate exceeded", Throttled, Answered),
        (429, "Anything", "", Throttled, Answered),
        (400, "TooManyRequestsException", "", Throttled, Answered),
        (400, "LimitExceededException", "Rate exceeded", Throttled, Answered),
        (503, "SlowDown", "", Throttled, Answered),
        (400, "ExpiredTokenException", "expired", Unavailable, Expired),
        (403, "ExpiredToken", "", Unavailable, Expired),
        (400, "RequestExpired", "", Unavailable, Expired),
        (400, "InvalidSignatureException", "the token is expired", Unavailable, Expired),
        (
            400,
            "UnrecognizedClientException",
            "The security token included in the request is expired",
            Unavailable,
            Expired,
        ),
        (
            400,
            "InvalidSignatureException",
            "Signature expired: 1 is now earlier than 2",
            Unavailable,
            Answered,
        ),
        (403, "RequestTimeTooSkewed", "", Unavailable, Answered),
        (400, "KMSInvalidStateException", "key/1 is in state Creating", Unavailable, Answered),
        (403, "SomethingNew", "", Unavailable, Answered),
    ] {
        let trouble = answered(status, code, message);
        assert!(
            matches!(&trouble.error, SignError::Transient { kind: is, .. } if *is == kind),
            "{code}: {}",
            trouble.error
        );
        assert_eq!(trouble.cause, cause, "{code}");
    }
}

#[test]
fn what_stays_and_what_to_do() {
    use Refusal::{Configuration, Denied, Disabled, Missing, Unsupported, WrongType};
    for (code, message, kind, advice) in [
        ("AccessDeniedException", "User: arn:aws:iam::1:user/ca is not authorized", Denied, "allow kms:Sign"),
        ("UnrecognizedClientException", "The security token is invalid", Denied, "access key"),
        ("InvalidClientTokenId", "", Denied, "access key"),
        ("SignatureDoesNotMatch", "", Denied, "secret"),
        ("InvalidSignatureException", "does not match", Denied, "secret"),
        ("DisabledException", "key/1 is disabled.", Disabled, "aws kms enable-key --key-id"),
        (
            "KMSInvalidStateException",
            "key/1 is pending deletion.",
            Disabled,
            "aws kms cancel-key-deletion --key-id arn:aws:kms:eu-central-1:111122223333:key/1 --region eu-central-1",
        ),
        ("KMSInvalidStateException", "key/1 is pending import.", Disabled, "import"),
        ("NotFoundException", "Key does not exist", Missing, "Region"),
        ("InvalidKeyUsageException", "", WrongType, "SIGN_VERIFY"),
        ("IncorrectKeyException", "", WrongType, "pinned algorithm"),
        ("UnsupportedOperationException", "", Unsupported, "cannot do it"),
        ("ValidationException", "Value 'ML_DSA_65' at 'keySpec' failed", Unsupported, "another algorithm"),
        ("InvalidArnException", "", Configuration, "correct"),
        ("ValidationException", "", Configuration, "correct"),
        ("LimitExceededException", "generated too many keys", Configuration, "quota"),
        ("MalformedPolicyDocumentException", "", Configuration, "correct"),
    ] {
        let Trouble { error, .. } = answered(400, code, message);
        assert!(matches!(&error, SignError::Refused { kind: is, .. } if *is == kind), "{code}: {error}");
        let text = error.to_string();
        for word in ["Sign of arn:aws:kms:eu-central-1", code, message, advice] {
            assert!(text.contains(word), "{text} has no {word}");
        }
    }
}

#[test]
fn only_a_denial_of_the_operation_is_one() {
    assert_eq!(answered(400, "AccessDeniedException", "").cause, Cause::Denied);
    assert_eq!(answered(400, "InvalidClientTokenId", "").cause, Cause::Answered);
    assert_eq!(answered(400, "NotFoundException", "").cause, Cause::Missing);
}

#[test]
fn a_skew_is_told_in_its_direction() {
    let told = |ahead| {
        let (code, message) = ("RequestTimeTooSkewed".to_owned(), String::new());
        let answer = Answer { status: 403, code, message, retry_after: None, ahead };
        answer.trouble(Asked { operation: "Sign", about: KEY }).error.to_string()
    };
    assert!(told(Some(423)).contains("this clock is 7 min 3 s ahead of AWS'"));
    assert!(told(Some(-59)).contains("this clock is 59 s behind AWS'"));
    assert!(told(None).contains("this clock and AWS' differ"));
}

#[test]
fn a_wait_that_kms_names_is_handed_on() {
    let retry_after = Some(Duration::from_secs(7));
    let (code, message) = ("ThrottlingException".to_owned(), String::new());
    let answer = Answer { status: 400, code, message, retry_after, ahead: None };
    let error = answer.trouble(Asked { operation: "Sign", about: KEY }).error;
    assert_eq!(error.retry_after(), retry_after);
}

#[test]
fn aws_words_are_one_line_without_the_request() {
    assert_eq!(words("Rate exceeded"), "Rate exceeded");
    assert_eq!(words("one\r\ntwo"), "one");
    assert_eq!(words("no match. The Canonical String was 'x-amz-security-token:abc'"), "no match");
    assert_eq!(words("sent X-Amz-Security-Token: abc"), "sent");
    assert_eq!(words(&"é".repeat(9999)).chars().count(), 500);
    assert_eq!(words(""), "");
}

#[test]
fn what_a_credential_process_wrote_is_not_repeated_and_no_request_either() {
    for rest in ["Stderr: the secret", "Request { body: the secret }", "Response { body: the secret }"] {
        let error = std::io::Error::other(format!("it failed. {rest}"));
        assert_eq!(way::told(&error), "it failed");
    }
}
