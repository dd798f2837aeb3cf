//! A directory that changes, breaks or vanishes while its policies are in force.

use super::{
    super::{
        super::vocabulary::{Action, PrincipalKind, Resource},
        Decision, Policies, REPORT_EVERY, Refresh,
    },
    facts, write,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};
use tempfile::TempDir;

const OPEN: &str = "permit (principal, action, resource);";
const CLOSED: &str = "forbid (principal, action, resource);";

fn dir(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "a.cedar", text);
    dir
}

fn opens(policies: &Policies) -> bool {
    policies.decide(&facts(PrincipalKind::User), Action::Login, &Resource::whole()) == Decision::Allow
}

fn broken(policies: &Policies) -> (String, bool) {
    match policies.refresh() {
        Refresh::Broken { error, first_seen } => (error.to_string(), first_seen),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_lies_there_holds_after_a_look() {
    let dir = dir(OPEN);
    let policies = Policies::load(Some(dir.path())).unwrap();
    let clone = policies.clone();
    assert_eq!(policies.refresh(), Refresh::Unchanged);
    write(dir.path(), "b.cedar", CLOSED);
    assert!(opens(&policies), "nothing changes by itself");
    let before = policies.hash();
    let Refresh::Replaced { hash } = policies.refresh() else { panic!("it was replaced") };
    assert_ne!(hash, before);
    assert_eq!(clone.hash(), hash);
    assert!(!opens(&clone));
    fs::rename(dir.path().join("b.cedar"), dir.path().join("c.cedar")).unwrap();
    assert!(matches!(policies.refresh(), Refresh::Replaced { .. }), "names count, they are shown");
}

#[test]
fn the_last_good_policies_go_on_while_the_directory_is_broken_or_gone() {
    let dir = dir(OPEN);
    let policies = Policies::load(Some(dir.path())).unwrap();
    let hash = policies.hash();
    write(dir.path(), "a.cedar", "permit (principal");
    let (error, first_seen) = broken(&policies);
    assert!(first_seen && error.contains("a.cedar:1:18: "), "{error}");
    assert!(!broken(&policies).1, "the same breakage is news once");
    assert!(policies.trouble().unwrap().contains("a.cedar:1:18: "));
    write(dir.path(), "a.cedar", "");
    assert!(broken(&policies).1, "another breakage is news");
    fs::remove_dir_all(dir.path()).unwrap();
    let (error, first_seen) = broken(&policies);
    assert!(first_seen && error.contains("cannot be read"), "{error}");
    assert!(opens(&policies));
    assert_eq!(policies.hash(), hash);

    fs::create_dir(dir.path()).unwrap();
    write(dir.path(), "a.cedar", OPEN);
    assert_eq!((policies.refresh(), policies.trouble()), (Refresh::Unchanged, None));
    write(dir.path(), "a.cedar", CLOSED);
    assert!(matches!(policies.refresh(), Refresh::Replaced { .. }));
    assert!(!opens(&policies));
}

#[test]
fn the_programs_own_never_change() {
    let policies = Policies::built_in().unwrap();
    assert_eq!((policies.refresh(), policies.trouble()), (Refresh::Unchanged, None));
}

/// Points the link elsewhere in one step, as Kubernetes and careful operators do.
fn point(link: &Path, target: &Path) {
    let staged = link.with_extension("new");
    symlink(target, &staged).unwrap();
    fs::rename(&staged, link).unwrap();
}

#[test]
fn a_link_that_is_pointed_elsewhere_never_gives_a_mixture() {
    let root = TempDir::new().unwrap();
    let versions = ["one", "two"].map(|name| root.path().join(name));
    for (version, text) in versions.iter().zip([OPEN, CLOSED]) {
        fs::create_dir(version).unwrap();
        for number in 0..20 {
            write(version, &format!("{number}.cedar"), text);
        }
    }
    let hashes = versions.each_ref().map(|version| Policies::load(Some(version)).unwrap().hash());
    assert_ne!(hashes[0], hashes[1]);
    let link = root.path().join("policies");
    point(&link, &versions[0]);
    let policies = Policies::load(Some(&link)).unwrap();
    assert_eq!(policies.hash(), hashes[0]);
    point(&link, &versions[1]);
    assert_eq!(policies.refresh(), Refresh::Replaced { hash: hashes[1].clone() });

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                versions.iter().for_each(|version| point(&link, version));
            }
        });
        for _ in 0..50 {
            // One that changes without an end is refused; what holds is one or the other.
            let _ = policies.refresh();
            assert!(hashes.contains(&policies.hash()));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_ne!(policies.refresh(), Refresh::Replaced { hash: String::new() });
    assert_eq!(policies.trouble(), None);
}

#[test]
fn a_policy_that_fails_is_reported_once_a_minute() {
    let policies = Policies::built_in().unwrap();
    let now = Instant::now();
    assert!(policies.is_report_due("a.cedar#1", now));
    assert!(!policies.is_report_due("a.cedar#1", now + REPORT_EVERY / 2));
    assert!(policies.is_report_due("b.cedar#1", now));
    assert!(policies.is_report_due("a.cedar#1", now + REPORT_EVERY));
}
