//! What goes wrong while the service makes its backups: it goes on serving, says so, and loses none that is there.

use crate::{
    backup::{Kept, done, names},
    deployment::{Holder, until},
    scheduled::{initialized, metric, status},
};
use catalyst_rigs::Service;
use std::{fs, thread, time::Duration};

const FAILED: &str = "Backup hook failed — the backup is there, and it is run again";

#[test]
fn a_hook_that_fails_or_hangs_leaves_the_backup_and_the_service() {
    let kept = Kept::new();
    let hook = kept.hook("exit 3");
    let launch = kept.scheduled("1", "50").env("CATALYST_PKI_BACKUP_HOOK", hook.to_str().unwrap());
    let (mut service, _) = initialized(&kept, launch);
    let line = service.wait_for(FAILED).unwrap();
    assert_eq!(line.properties["error"], "it ended with exit status: 3");
    assert!(metric(&service, "catalyst_pki_backup_failure_total{step=\"hook\"}").unwrap() >= 1.0);
    assert!(!kept.made().is_empty());
    service.stop().unwrap();

    // Killed after the interval, and the next backup is made all the same.
    let before = kept.made().len();
    kept.hook("sleep 1000");
    let launch = kept.scheduled("1", "50").env("CATALYST_PKI_BACKUP_HOOK", hook.to_str().unwrap());
    let mut service = launch.start().unwrap();
    let line = service.wait_for(FAILED).unwrap();
    assert!(line.properties["error"].as_str().unwrap().contains("was killed"), "{line:?}");
    until("another one is made", || (kept.made().len() >= before + 2).then_some(()));
    assert!(service.stop().unwrap().success());

    // And one that still runs keeps no service from ending.
    let kept = Kept::new();
    let started = kept.deployment.beside("started");
    let hook = kept.hook(&format!("touch '{}'; sleep 1000", started.display()));
    let launch = kept.scheduled("3600", "7").env("CATALYST_PKI_BACKUP_HOOK", hook.to_str().unwrap());
    let (mut service, _) = initialized(&kept, launch);
    until("the hook runs", || started.exists().then_some(()));
    assert_eq!(kept.marked(), kept.made());
    assert!(service.stop().unwrap().success());
    let warning = "Backup hook ended with the service — it is run again for this backup after the next start";
    assert!(service.log().contains(warning));
    assert_eq!(kept.marked(), kept.made());
}

#[test]
fn a_hook_is_run_again_until_it_succeeds_after_restarts_and_kills_too() {
    let kept = Kept::new();
    let (log, down) = (kept.deployment.beside("uploaded"), kept.deployment.beside("down"));
    fs::write(&down, "").unwrap();
    let hook =
        kept.hook(&format!("test ! -e '{}' || exit 3\necho \"$1\" >> '{}'", down.display(), log.display()));
    let launch =
        |seconds: &str| kept.scheduled(seconds, "7").env("CATALYST_PKI_BACKUP_HOOK", hook.to_str().unwrap());
    let (mut service, client) = initialized(&kept, launch("3600"));
    service.wait_for(FAILED).unwrap();
    let trouble = until("the status tells of it", || {
        let status = status(&client);
        (status["status"] == "degraded").then(|| status["warnings"].to_string())
    });
    let first = kept.made();
    let wanted =
        format!("the backup hook has not succeeded yet for {}: it ended with exit status: 3", first[0]);
    assert!(trouble.contains(&wanted), "{trouble}");
    assert_eq!(metric(&service, "catalyst_pki_backup_hook_pending"), Some(1.0));
    assert_eq!((kept.marked(), first.len()), (first.clone(), 1));
    service.kill().unwrap();

    // Still down after a restart; and mended while the service runs.
    let mut service = launch("3600").start().unwrap();
    service.wait_for(FAILED).unwrap();
    service.kill().unwrap();
    fs::remove_file(&down).unwrap();
    let mut service = launch("3600").start().unwrap();
    service.wait_for("Backup hook succeeded").unwrap();
    let client = kept.deployment.admin(&service);
    until("all is well", || (status(&client)["status"] == "healthy").then_some(()));
    assert_eq!(metric(&service, "catalyst_pki_backup_hook_pending"), Some(0.0));
    assert_eq!((kept.made(), kept.marked()), (first.clone(), Vec::new()));
    let uploaded =
        || fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(uploaded(), [kept.backups().join(&first[0]).display().to_string()]);
    service.stop().unwrap();

    // Several wait, and all have their turn; a mark of what is gone holds nothing up.
    fs::write(&down, "").unwrap();
    fs::write(kept.backups().join(format!(".{}.hook", first[0].replace("-20", "-19"))), "").unwrap();
    let mut service = launch("1").start().unwrap();
    until("three wait", || (kept.marked().len() > 3).then_some(()));
    fs::remove_file(&down).unwrap();
    until("all were uploaded", || (uploaded().len() >= 4).then_some(()));
    service.stop().unwrap();
    let mut once = uploaded();
    once.sort();
    once.dedup();
    assert!(once.len() >= 4, "{once:?}");
}

#[test]
fn a_backup_that_goes_before_the_hook_succeeded_is_named() {
    let kept = Kept::new();
    let hook = kept.hook("exit 3");
    let launch = kept.scheduled("1", "1").env("CATALYST_PKI_BACKUP_HOOK", hook.to_str().unwrap());
    let (mut service, _) = initialized(&kept, launch);
    let line = service
        .wait_for("Old backup deleted for which the hook never succeeded — mend the hook, or raise CATALYST_PKI_BACKUP_KEEP")
        .unwrap();
    assert_eq!(line.level, "error");
    let name = line.properties["name"].as_str().unwrap().to_owned();
    service.stop().unwrap();
    assert!(!kept.made().contains(&name) && !kept.marked().contains(&name), "{name}");
}

#[test]
fn without_the_key_that_vouches_for_it_there_is_none_and_that_is_said() {
    let kept = Kept::new();
    let (mut service, _) = kept.deployment.initialized();
    service.stop().unwrap();
    let (key, away) = (kept.deployment.key_file("services-1"), kept.deployment.beside("away"));
    fs::rename(&key, &away).unwrap();
    let mut service = kept.scheduled("3600", "7").start().unwrap();
    let line = service.wait_for("Backup not made").unwrap();
    assert!(line.properties["error"].as_str().unwrap().contains("cannot be signed"), "{line:?}");
    service.wait_for("Backup overdue").unwrap();
    let client = kept.deployment.admin(&service);
    let warnings = status(&client)["warnings"].to_string();
    assert!(warnings.contains("a backup is overdue, there is none"), "{warnings}");
    assert!(metric(&service, "catalyst_pki_backup_failure_total{step=\"backup\"}").unwrap() >= 1.0);
    assert_eq!((kept.made(), kept.left()), (Vec::new(), Vec::new()));
    service.stop().unwrap();

    fs::rename(&away, &key).unwrap();
    let mut service = kept.scheduled("3600", "7").start().unwrap();
    service.wait_for("Backup made").unwrap();
    let client = kept.deployment.admin(&service);
    until("all is well", || (status(&client)["status"] == "healthy").then_some(()));
}

/// The directory of backups is a small disk, or is not there.
#[test]
fn a_full_disk_or_one_that_is_away_stops_backups_and_nothing_else() {
    let kept = Kept::new();
    let (mut service, _) = kept.deployment.initialized();
    service.stop().unwrap();
    let mount =
        format!("mount -t tmpfs -o size=12k,mode=700 small '{}' && exec \"$@\"", kept.backups().display());
    let mut wrapper = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    wrapper.extend(["sh", "-c", &mount, "sh"]);
    let serves = |service: &mut Service, name: &str| {
        let line = service.wait_for("Backup not made").unwrap();
        let client = kept.deployment.admin(service);
        Holder::new("gateway", name).get(&client);
        service.stop().unwrap();
        line.properties["error"].as_str().unwrap().to_owned()
    };
    let full = kept.dressed(kept.deployment.launch_through(&wrapper), "3600", "7");
    let error = serves(&mut full.start().unwrap(), "g.example.org");
    assert!(error.contains("no room for the backup") || error.contains("No space left"), "{error}");
    assert_eq!(kept.left(), Vec::<String>::new());
    fs::remove_dir(kept.backups()).unwrap();
    let mut service = kept.scheduled("3600", "7").start().unwrap();
    service
        .wait_for("Directory of backups cannot be used — make it for the service's user alone, or correct CATALYST_PKI_BACKUP_DIR")
        .unwrap();
    let error = serves(&mut service, "h.example.org");
    assert!(error.contains("No such file"), "{error}");
}

/// At moments that fall into every step of a backup.
#[test]
fn a_service_that_is_killed_or_stopped_leaves_nothing_that_the_next_does_not_remove() {
    let kept = Kept::new();
    let (mut service, _) = kept.deployment.initialized();
    service.stop().unwrap();
    for (is_kill, wait) in
        [0, 15, 40, 80, 150, 300].into_iter().flat_map(|wait| [(true, wait), (false, wait)])
    {
        let mut service = kept.scheduled("1", "3").start().unwrap();
        thread::sleep(Duration::from_millis(wait));
        if is_kill {
            service.kill().unwrap();
        } else {
            assert!(service.stop().unwrap().success());
            assert_eq!(kept.left(), Vec::<String>::new());
        }
    }
    let mut service = kept.scheduled("1", "3").start().unwrap();
    service.wait_for("Backup made").unwrap();
    service.stop().unwrap();
    assert_eq!(kept.left(), Vec::<String>::new());
    let made = kept.made();
    assert!(made.iter().all(|name| name.starts_with("catalyst-")), "{made:?}");
    for name in made {
        done(kept.verify(&name, &["--trust-on-first-use"]));
    }
}

#[test]
fn two_services_share_a_directory_and_neither_deletes_the_others() {
    let (one, other) = (Kept::new(), Kept::new());
    let (mut first, _) = initialized(&one, one.scheduled("1", "1"));
    let launch = one.dressed(other.deployment.launch(), "1", "1");
    let (mut second, _) = initialized(&other, launch);
    for _ in 0..3 {
        first.wait_for("Backup made").unwrap();
        second.wait_for("Backup made").unwrap();
    }
    for service in [&mut first, &mut second] {
        service.wait_for("Old backup deleted").unwrap();
        assert!(service.stop().unwrap().success());
    }
    let mut deployments: Vec<_> =
        one.made().iter().map(|name| name.split('-').nth(1).unwrap().to_owned()).collect();
    deployments.dedup();
    assert_eq!(deployments.len(), 2, "{:?}", names(&one.backups()));
}
