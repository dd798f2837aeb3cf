//! When the proxy does something else than KMS would, and what.

use super::request::{Request, bare};
use std::time::Duration;

/// Which calls a rule is about, and which of them it strikes.
#[derive(Debug, Clone, Default)]
pub struct When {
    operation: Option<String>,
    region: Option<String>,
    key: Option<String>,
    access_key_id: Option<String>,
    passed: usize,
    most: Option<usize>,
}

impl When {
    /// Every call.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Every call of an operation: `Sign`.
    #[must_use]
    pub fn calling(operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..Self::default() }
    }

    /// In this Region only.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// About this key only: its id or ARN, or an alias where callers name the key by it.
    #[must_use]
    pub fn of_key(mut self, key: &str) -> Self {
        self.key = Some(bare(key.trim_start_matches("awskms:")).to_owned());
        self
    }

    /// By this caller only.
    #[must_use]
    pub fn by(mut self, access_key_id: &str) -> Self {
        self.access_key_id = Some(access_key_id.to_owned());
        self
    }

    /// The first `count` such calls.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.most = Some(count);
        self
    }

    /// Not the first `count` such calls.
    #[must_use]
    pub fn after(mut self, count: usize) -> Self {
        self.passed = count;
        self
    }

    /// The `number`th such call alone, counted from 1.
    #[must_use]
    pub fn nth(self, number: usize) -> Self {
        self.after(number.saturating_sub(1)).first(1)
    }

    fn is_about(&self, request: &Request) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        is(&self.operation, &request.operation)
            && is(&self.region, request.region())
            && is(&self.access_key_id, request.access_key_id())
            && is(&self.key, request.named().map_or("", bare))
    }
}

/// What happens in place of, or to, KMS's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The answer comes that much later. Adds to other faults.
    Slow(Duration),
    /// The connection is accepted, and no answer comes as long as the caller waits.
    Hangs,
    /// The connection is reset before KMS got the request.
    Reset,
    /// KMS acted, and the connection is reset before the answer.
    AnswerLost,
    /// KMS acted, and no answer comes as long as the caller waits.
    AnswerHangs,
    /// KMS acted, and the answer breaks off in the middle of its body.
    Truncated,
    /// 400 ThrottlingException; with `Retry-After` in seconds, where given.
    Throttled(Option<u64>),
    /// 500 KMSInternalException.
    Internal,
    /// 503 without a body.
    Unavailable,
    /// 200 with the HTML page of some web proxy.
    Page,
    /// 400 ExpiredTokenException.
    ExpiredCredentials,
    /// 400 InvalidSignatureException, and a Date that is that much later than ours.
    ClockSkew(Duration),
    /// 400 AccessDeniedException, as an identity-based policy that allows nothing words it.
    Denied,
    /// 400 AccessDeniedException, as a key policy that allows nothing words it.
    DeniedByKeyPolicy,
    /// 400 NotFoundException.
    NotFound,
    /// 400 with this code and message.
    Refused(&'static str, &'static str),
    /// One bit of the signature is another.
    FlippedBit,
    /// The answer (of Sign, GetPublicKey) is that of another key of the same kind.
    OfAnotherKey(Foreign),
    /// The answer of Sign names this as its SigningAlgorithm.
    AnotherAlgorithm(&'static str),
    /// What KMS says of the key is otherwise, and what it does with it as well.
    Says(Says),
}

/// Whether another key's answer admits to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It carries that key's own ARN.
    Admitted,
    /// It carries the ARN that was asked for.
    Concealed,
}

/// What KMS says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It was made that much earlier.
    MadeEarlier(Duration),
    /// It was imported: Origin EXTERNAL.
    Imported,
    /// It is being made: nothing but reading is possible.
    Creating,
    /// It is disabled: it does not sign.
    Disabled,
    /// It will be deleted: it does not sign.
    PendingDeletion,
}

/// A rule that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(usize);

/// The rules in force, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Rules {
    next: usize,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    id: RuleId,
    when: When,
    fault: Fault,
    seen: usize,
}

impl Rules {
    pub(super) fn add(&mut self, when: When, fault: Fault) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.rules.push(Rule { id, when, fault, seen: 0 });
        id
    }

    pub(super) fn lift(&mut self, id: RuleId) {
        self.rules.retain(|rule| rule.id != id);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The faults that strike this request. Every rule that is about it counts it, whether it strikes or not.
    pub(super) fn strike(&mut self, request: &Request) -> Vec<Fault> {
        let mut faults = Vec::new();
        for rule in self.rules.iter_mut().filter(|rule| rule.when.is_about(request)) {
            let turn = rule.seen;
            rule.seen += 1;
            let strikes = turn.checked_sub(rule.when.passed);
            if strikes.is_some_and(|turn| rule.when.most.is_none_or(|most| turn < most)) {
                faults.push(rule.fault.clone());
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;
    use serde_json::json;

    fn request(operation: &str, key: &str) -> Request {
        let body = json!({"KeyId": key});
        Request { operation: operation.to_owned(), scope: None, headers: HeaderMap::new(), body }
    }

    #[test]
    fn a_rule_strikes_the_calls_that_it_is_about_in_their_order() {
        let mut rules = Rules::default();
        rules.add(
            When::calling("Sign").of_key("awskms:arn:aws:kms:eu-west-1:1:key/k").nth(2),
            Fault::Internal,
        );
        let always = rules.add(When::any(), Fault::Slow(Duration::from_millis(1)));
        let slow = Fault::Slow(Duration::from_millis(1));
        assert_eq!(rules.strike(&request("Sign", "k")), std::slice::from_ref(&slow));
        assert_eq!(rules.strike(&request("Sign", "other")), std::slice::from_ref(&slow));
        assert_eq!(rules.strike(&request("Sign", "arn:aws:kms:x:1:key/k")), [Fault::Internal, slow.clone()]);
        assert_eq!(rules.strike(&request("Sign", "k")), [slow]);
        rules.lift(always);
        assert!(rules.strike(&request("DescribeKey", "k")).is_empty());
    }
}
