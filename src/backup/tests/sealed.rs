//! Who vouches for a backup, and who does not.

use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};

fn forged(result: Result<Verification>) -> String {
    match result {
        Err(BackupError::Forged(clause)) => clause,
        other => panic!("{other:?}"),
    }
}

fn signature(seal: &Seal) -> &Signature {
    match seal {
        Seal::Signed(signature) => signature,
        Seal::Unsigned {} => panic!("unsigned"),
    }
}

#[tokio::test]
async fn a_whole_backup_is_verified_under_its_own_root_alone() {
    let ca = Ca::new().await;
    let backup = ca.backup().await;
    let root = ca.root();
    let verified = ca.verify(&backup, Trust::Root(root)).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
    let signer = verified.opened.signer.clone().unwrap();
    assert_eq!((signer.common_name.as_str(), signer.root), ("Catalyst Services CA", root));
    let open = |_: &str| Ok(ca.keys.clone());
    let keys = check_keys(&verified.opened.manifest, &verified.facts, &open, &|_, _| true, &Unwatched).await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|key| key.finding == KeyFinding::Matches), "{keys:?}");
    let away = |_: &str| Err("it is away".to_owned());
    let keys = check_keys(&verified.opened.manifest, &verified.facts, &away, &|_, _| true, &Unwatched).await;
    assert!(keys.iter().all(|key| key.finding == KeyFinding::Unreachable("it is away".into())), "{keys:?}");
    ca.verify(&backup, Trust::FirstUse).unwrap();
    let other = Trust::Root(Fingerprint::of_certificate(b"another"));
    let clause = forged(ca.verify(&backup, other));
    assert!(clause.contains("is wanted"), "{clause}");
    // In each form that an operator may have given it in.
    for form in [root.to_string(), crate::identity::hex(root.as_bytes())] {
        assert!(clause.contains(&form), "{clause}");
    }
}

/// Recipients are no secret: whoever knows them can make an archive that opens.
#[tokio::test]
async fn an_archive_forged_with_our_recipient_fails() {
    let (ca, attacker) = (Ca::new().await, Ca::new().await);
    let trust = Trust::Root(ca.root());
    let ours = ca.snapshot().unwrap();
    let theirs = attacker.snapshot().unwrap();
    // A whole backup of a CA of their own.
    let own = ca.write(&theirs, &attacker.seal(&theirs).await);
    assert!(forged(ca.verify(&own, trust)).contains("is another deployment's"));
    // Their store under our seal, which is public to whoever reads one backup.
    let seal = ca.seal(&ours).await;
    assert!(forged(ca.verify(&ca.write(&theirs, &seal), trust)).contains("not over this manifest"));
    // Their signature with our certificates.
    let mut mixed = signature(&seal).clone();
    mixed
        .signature
        .clone_from(&signature(&attacker.seal_of(&theirs, &ours.manifest.bytes().unwrap()).await).signature);
    assert!(
        forged(ca.verify(&ca.write(&ours, &Seal::Signed(mixed)), trust)).contains("not the services CA's")
    );
    // Their services CA under our root.
    let mut mixed = signature(&attacker.seal(&theirs).await).clone();
    mixed.root.clone_from(&signature(&seal).root);
    assert!(
        forged(ca.verify(&ca.write(&theirs, &Seal::Signed(mixed)), trust))
            .contains("services CA's certificate")
    );
    // Our root itself in the services CA's place.
    let mut mixed = signature(&seal).clone();
    mixed.certificate.clone_from(&mixed.root);
    forged(ca.verify(&ca.write(&ours, &Seal::Signed(mixed)), trust));
    // Nobody's.
    let unsigned = ca.verify(&ca.write(&theirs, &Seal::Unsigned {}), trust).unwrap();
    assert_eq!(unsigned.opened.signer, None);
}

#[tokio::test]
async fn every_field_of_a_seal_counts() {
    let ca = Ca::new().await;
    let snapshot = ca.snapshot().unwrap();
    let seal = ca.seal(&snapshot).await;
    let (whole, bytes) = (signature(&seal), snapshot.manifest.bytes().unwrap());
    let check =
        |signature: Signature| Seal::Signed(signature).check(&bytes, &snapshot.manifest, Trust::FirstUse);
    check(whole.clone()).unwrap();
    let mut value = STANDARD.decode(&whole.signature).unwrap();
    *value.last_mut().unwrap() ^= 1;
    for altered in [
        Signature { algorithm: "EC-P256".into(), ..whole.clone() },
        Signature { algorithm: "none".into(), ..whole.clone() },
        Signature { signature: STANDARD.encode(&value), ..whole.clone() },
        Signature { signature: "?".into(), ..whole.clone() },
        Signature { signature: String::new(), ..whole.clone() },
        Signature { certificate: String::new(), ..whole.clone() },
        Signature { certificate: whole.root.clone(), root: whole.certificate.clone(), ..whole.clone() },
        Signature { root: whole.certificate.clone(), ..whole.clone() },
    ] {
        assert!(matches!(check(altered.clone()), Err(BackupError::Forged(_))), "{altered:?}");
    }
    let mut late = snapshot.manifest.clone();
    late.created_at = Timestamp::from_millis(i64::MAX / 2_000_000);
    assert!(seal.check(&bytes, &late, Trust::FirstUse).unwrap_err().to_string().contains("was not valid"));
    let spaced = [b" ".as_slice(), &bytes].concat();
    assert!(matches!(seal.check(&spaced, &snapshot.manifest, Trust::FirstUse), Err(BackupError::Forged(_))));
}

#[tokio::test]
async fn a_clock_before_the_services_ca_is_told_before_anything_is_signed() {
    let ca = Ca::new().await;
    let snapshot = ca.snapshot().unwrap();
    let behind = snapshot.manifest.created_at.plus_seconds(-86_400);
    let sealed =
        Seal::sign_with(&snapshot.facts, b"", behind, async |_, _| Err("it was asked to sign")).await;
    let error = sealed.unwrap_err();
    assert!(matches!(&error, BackupError::Clock { now, .. } if *now == behind), "{error:?}");
    assert!(error.to_string().contains("set the clock"), "{error}");
}

/// The manifest is signed, and tells of another store than the one that comes with it only where our own key is misused.
#[tokio::test]
async fn a_manifest_that_does_not_tell_of_its_store_is_found_out() {
    let ca = Ca::new().await;
    let mut snapshot = ca.snapshot().unwrap();
    snapshot.manifest.store.rows.insert("certificate_record".into(), 9);
    snapshot.manifest.store.crls.clear();
    let seal = ca.seal(&snapshot).await;
    let verified = ca.verify(&ca.write(&snapshot, &seal), Trust::FirstUse).unwrap();
    let wanted =
        ["certs.db and the manifest differ: row counts", "certs.db and the manifest differ: CRL numbers"];
    assert_eq!(verified.problems, wanted);
}
