//! What goes wrong, and in which calls.

use crate::{iam::within, refused::Refused};
use catalyst_rigs::gcp::{
    Effect, On, Refusal, Rule, Tamper, When,
    api::{Code, Method},
};
use std::time::Duration;

/// The rules, each with the calls that it was for so far.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<(Rule, u32)>);

/// A call as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) method: Method,
    pub(crate) resource: &'a str,
    pub(crate) caller: Option<&'a str>,
}

/// What happens to one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fate {
    pub(crate) slow: Duration,
    pub(crate) damaged: bool,
    pub(crate) end: Option<End>,
    pub(crate) tampers: Vec<Tamper>,
}

/// How a call ends other than with its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Refused(Refusal),
    RefusedAfterwards(Refusal),
    Hung,
    HungAfterwards,
    Reset,
    AnswerLost,
    AnswerTruncated,
    Page(u16),
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.0.push((rule, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts the call, and says what happens to it.
    pub(crate) fn fate(&mut self, subject: Subject<'_>) -> Fate {
        let mut fate = Fate::default();
        for (rule, count) in self.0.iter_mut().filter(|(rule, _)| matches(&rule.on, subject)) {
            *count += 1;
            let fires = match rule.when {
                When::Always => true,
                When::First(calls) => *count <= calls,
                When::Nth(call) => *count == call,
            };
            if fires {
                fate.add(&rule.effect);
            }
        }
        fate
    }
}

impl Fate {
    fn add(&mut self, effect: &Effect) {
        let end = match effect {
            Effect::Slow(time) => {
                self.slow += *time;
                return;
            }
            Effect::DamageRequest => {
                self.damaged = true;
                return;
            }
            Effect::Tamper(tamper) => {
                self.tampers.push(tamper.clone());
                return;
            }
            Effect::Refuse(refusal) => End::Refused(refusal.clone()),
            Effect::RefuseAfterwards(refusal) => End::RefusedAfterwards(refusal.clone()),
            Effect::Hang => End::Hung,
            Effect::HangAfterwards => End::HungAfterwards,
            Effect::Reset => End::Reset,
            Effect::LoseAnswer => End::AnswerLost,
            Effect::TruncateAnswer => End::AnswerTruncated,
            Effect::ProxyPage(status) => End::Page(*status),
        };
        self.end.get_or_insert(end);
    }
}

fn matches(on: &On, subject: Subject<'_>) -> bool {
    on.method.is_none_or(|method| method == subject.method)
        && on.resource.as_deref().is_none_or(|outer| within(subject.resource, outer))
        && on.permission.as_deref().is_none_or(|permission| permission == subject.method.permission())
        && on.caller.as_deref().is_none_or(|caller| subject.caller == Some(caller))
}

/// The error that a rule asks for, in the words of the service.
pub(crate) fn refused(refusal: &Refusal, permission: &str, resource: &str) -> Refused {
    let refused = match refusal.code {
        Code::PermissionDenied => Refused::permission(permission, &resource),
        Code::ResourceExhausted => Refused::new(
            refusal.code,
            "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic requests per minute' of \
             service 'cloudkms.googleapis.com'.",
        ),
        Code::Unavailable => Refused::new(refusal.code, "The service is currently unavailable."),
        Code::DeadlineExceeded => {
            Refused::new(refusal.code, "Deadline expired before operation could complete.")
        }
        Code::Unauthenticated => {
            Refused::new(refusal.code, "Request had invalid authentication credentials.")
        }
        Code::Internal => Refused::new(refusal.code, "Internal error encountered."),
        Code::NotFound => Refused::not_found(resource),
        other => Refused::new(other, "The fake was told to refuse this call."),
    };
    match refusal.retry_delay {
        Some(delay) => refused.retry_after(delay),
        None => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Fate, Rules, Subject};
    use catalyst_rigs::gcp::{
        Effect, On, Refusal, Rule, When,
        api::{Code, Method},
    };
    use std::time::Duration;

    fn subject(resource: &str) -> Subject<'_> {
        Subject { method: Method::AsymmetricSign, resource, caller: None }
    }

    #[test]
    fn a_rule_counts_the_calls_that_it_is_for() {
        let mut rules = Rules::default();
        let on = On { resource: Some("a".into()), ..On::default() };
        rules.add(Rule { on, when: When::Nth(2), effect: Effect::Hang });
        let mut end = |resource| rules.fate(subject(resource)).end;
        assert_eq!(
            [end("a"), end("b"), end("a/1"), end("ab"), end("a")],
            [None, None, Some(End::Hung), None, None]
        );
    }

    #[test]
    fn delays_add_up_and_the_first_end_wins() {
        let mut rules = Rules::default();
        let slow = Effect::Slow(Duration::from_secs(1));
        for effect in [slow.clone(), Effect::Refuse(Refusal::from(Code::Internal)), slow, Effect::Reset] {
            rules.add(Rule { on: On::default(), when: When::Always, effect });
        }
        let end = Some(End::Refused(Refusal::from(Code::Internal)));
        assert_eq!(rules.fate(subject("a")), Fate { slow: Duration::from_secs(2), end, ..Fate::default() });
    }
}
