//! Keys in several Regions, whose own is away.

use super::*;
use catalyst_rigs::aws::Foreign;
use catalyst_rigs::aws::RuleId;

const WEST: &str = "eu-west-1";
const NORTH: &str = "eu-north-1";

fn cloud() -> Cloud {
    Cloud::with(|launch| launch.env("CATALYST_PKI_AWS_FAILOVER_REGIONS", "eu-west-1,eu-north-1"))
}

impl Cloud {
    /// In which Regions keys were asked to sign since the calls were forgotten.
    fn signed_in(&self) -> Vec<String> {
        let calls = self.proxy.calls().into_iter().filter(|call| call.operation == "Sign");
        calls.map(|call| call.region).collect()
    }

    /// Nothing has to be done, whatever is to be known.
    fn is_healthy(&self) -> bool {
        ok(&self.pki.get("/pki/status"))["status"] == "healthy"
    }

    fn noted(&self, parts: &[&str]) -> bool {
        self.warnings().iter().any(|note| parts.iter().all(|part| note.contains(part)))
    }

    fn down(&self, region: &str, fault: Fault) -> RuleId {
        self.proxy.script(When::any().in_region(region), fault)
    }

    /// The line of the log of this level and message.
    fn said(&self, level: &str, message: &str) -> LogLine {
        let line = self.pki.logged(message, self.services.trim_start_matches("awskms:"));
        assert_eq!(line.level, level, "{}", line.raw);
        line
    }
}

fn signs_elsewhere(place: &str) -> String {
    format!("signing_elsewhere{{backend=\"aws-kms\",ca_name=\"{SERVICES_CA}\",place=\"{place}\"}}")
}

#[test]
fn keys_are_replicated_and_sign_in_the_next_region_until_their_own_is_back() {
    let cloud = cloud();
    assert!(cloud.services.contains(":key/mrk-"), "{}", cloud.services);
    assert_eq!(cloud.proxy.count("ReplicateKey"), 4);
    for fault in [Fault::Unavailable, Fault::Hangs] {
        let rule = cloud.down(REGION, fault.clone());
        cloud.proxy.forget_calls();
        for number in 0..3 {
            cloud.issues("node", &format!("n{number}"));
            cloud.issues("envoy/app", &format!("n{number}"));
        }
        let regions = cloud.signed_in();
        assert_eq!(regions.iter().filter(|region| *region == WEST).count(), 6, "{fault:?}: {regions:?}");
        assert!(regions.iter().all(|region| region != NORTH), "{fault:?}: {regions:?}");
        assert!(cloud.is_healthy(), "{fault:?}: {:?}", cloud.warnings());
        let note = [SERVICES_CA, "signs in eu-west-1 since ", "eu-central-1 does not answer"];
        assert!(cloud.noted(&note), "{fault:?}: {:?}", cloud.warnings());
        cloud.said("warn", "The key's own Region does not answer; it signs in another");
        cloud.shows(&signs_elsewhere(WEST), Some(1.0));

        cloud.proxy.lift(rule);
        eventually("the key's own Region", || (!cloud.noted(&[SERVICES_CA])).then_some(()));
        cloud.said("info", "The key signs in its own Region again");
        eventually("the other key's", || cloud.warnings().is_empty().then_some(()));
        cloud.proxy.forget_calls();
        cloud.issues("node", "home");
        assert_eq!(cloud.signed_in(), [REGION], "{fault:?}");
        cloud.shows(&signs_elsewhere(WEST), None);
    }
}

#[test]
fn a_service_starts_while_the_region_of_its_keys_is_away() {
    let cloud = cloud();
    cloud.down(REGION, Fault::Reset);
    let again = |launch: Launch| launch.env("CATALYST_PKI_AWS_FAILOVER_REGIONS", "eu-west-1,eu-north-1");
    let mut cloud = cloud.restarted(again);
    cloud.pki = cloud.pki.ready();
    cloud.issues("node", "n1");
    cloud.issues("envoy/app", "n1");
}

#[test]
fn what_a_replica_does_wrong_latches_nothing_and_is_named() {
    let cases = [
        ("Sign", Fault::Denied, "could not sign in eu-west-1"),
        ("Sign", Fault::NotFound, "is not to be had in eu-west-1"),
        ("Sign", Fault::FlippedBit, "was answered falsely for in eu-west-1"),
        ("GetPublicKey", Fault::OfAnotherKey(Foreign::Concealed), "has another public key in eu-west-1"),
    ];
    for (operation, fault, words) in cases {
        let cloud = cloud();
        cloud.down(REGION, Fault::Internal);
        cloud.proxy.script(When::calling(operation).in_region(WEST), fault.clone());
        cloud.proxy.forget_calls();
        cloud.issues("node", "n1");
        cloud.issues("node", "n2");
        let regions = cloud.signed_in();
        assert_eq!(regions.iter().filter(|region| *region == NORTH).count(), 2, "{fault:?}: {regions:?}");
        assert!(cloud.noted(&[SERVICES_CA, words]), "{fault:?}: {:?}", cloud.warnings());
        assert!(cloud.latched().is_empty(), "{fault:?}: {:?}", cloud.latched());
        assert!(cloud.is_healthy(), "{fault:?}: {:?}", cloud.warnings());
    }
}

#[test]
fn without_any_region_requests_wait_for_one() {
    let cloud = cloud();
    for region in [REGION, WEST, NORTH] {
        cloud.down(region, Fault::Unavailable);
    }
    cloud.proxy.forget_calls();
    refused(&ask(&cloud.pki, "node", "waits"), 503, "key_store_unavailable");
    let asked = cloud.signs();
    assert!((3..=60).contains(&asked), "{asked}");
    cloud.warned(&[SERVICES_CA]);
    cloud.proxy.heal();
    cloud.recovers();
}
