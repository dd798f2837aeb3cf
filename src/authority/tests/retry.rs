//! Keys that were refused, tried again.

use super::*;
use crate::store::AuditQuery;

#[tokio::test]
async fn keys_that_were_refused_are_opened_when_an_operator_says_so() {
    let (store, keys) = (store(), Flaky::default());
    authority(&store, &keys).await.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    keys.refuse_call(0);
    let ca = authority(&store, &keys).await;
    let refused = ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap_err();
    assert_eq!(refused.code(), "key_refused_denied");

    let tried = ca.retry_keys(None, Actor::Service).await.unwrap();
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert!(tried.iter().all(|key| key.condition == KeyCondition::Latched), "{tried:?}");
    assert!(tried[0].trouble.as_ref().unwrap().contains("refused for the test"), "{tried:?}");

    keys.fail_none();
    let error = ca.retry_keys(Some("nowhere"), Actor::Service).await.unwrap_err();
    assert!(matches!(error, AuthorityError::NotFound(_)), "{error}");
    let tried = ca.retry_keys(Some("local"), Actor::Service).await.unwrap();
    assert!(
        tried.iter().all(|key| key.condition == KeyCondition::Ready && key.trouble.is_none()),
        "{tried:?}"
    );
    ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap();
    let query = AuditQuery { action: Some("keys.retried".into()), limit: 10, ..AuditQuery::default() };
    let recorded = store.audit(&query).await.unwrap();
    let subjects: Vec<_> = recorded.iter().map(|record| record.subject.as_str()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects.contains(&"all") && subjects.contains(&"local"), "{subjects:?}");
}

#[tokio::test]
async fn a_latch_opens_when_an_operator_says_so() {
    let (store, keys) = (store(), Flaky::default());
    let ca = authority(&store, &keys).await;
    ca.initialize(InitRequest::default(), Actor::Service).await.unwrap();
    keys.refuse_call(0);
    ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap_err();
    keys.fail_none();
    let latched = ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap_err();
    assert_eq!(latched.code(), "key_refused_denied");
    ca.retry_keys(None, Actor::Service).await.unwrap();
    ca.issue_with_new_key(workload(&ca, "n1"), None, None, Actor::Service).await.unwrap();
}
