//! Names that clients write: whatever is taken reads back as itself.
#![no_main]

use catalyst_pki::{
    authority::DnsPattern,
    identity::{
        DnsName, Fingerprint, InstanceId, KeyId, Serial, ServiceType, SpiffeId, TrustDomain, Workload,
    },
};
use libfuzzer_sys::fuzz_target;
use std::{fmt::Display, str::FromStr};

fn reads_back<T: FromStr + Display + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let shown = value.to_string();
    assert!(shown.parse().is_ok_and(|again: T| again == value), "{text:?} became {shown:?}");
    Some(value)
}

fuzz_target!(|text: &str| {
    if let Some(id) = reads_back::<SpiffeId>(text) {
        assert!(text.len() <= 2048 && id.as_str() == text);
        if let Ok(domain) = id.trust_domain().parse::<TrustDomain>()
            && let Ok(workload) = Workload::of(&domain, id.clone())
        {
            assert_eq!(*workload.spiffe_id(), id);
            let again = Workload::new(&domain, workload.service_type(), workload.instance_id().clone());
            assert_eq!(again.unwrap(), workload);
        }
    }
    if let Some(instance) = reads_back::<InstanceId>(text) {
        assert!(!instance.short().is_empty() && !instance.short().contains('.'));
    }
    reads_back::<DnsName>(text);
    reads_back::<TrustDomain>(text);
    reads_back::<ServiceType>(text);
    reads_back::<Serial>(text);
    reads_back::<Fingerprint>(text);
    reads_back::<KeyId>(text);
    let _ = text.parse::<DnsPattern>();
});
