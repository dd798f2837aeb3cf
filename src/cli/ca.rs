//! `catalyst pki init`, `catalyst pki ca …`

use super::{
    arguments::{BundleRequest, CaRequest, Output},
    confirm::confirm,
    files::{Place, Readers},
    output::{self, json, print},
    status::{Standing, days_left, end},
};
use crate::{
    api::{
        ActivateRequest, Ca, CaBundle, CaCertificate, InitializeRequest, Initialized, IntermediaryRequest,
        RepinRequest, RevokeRequest,
    },
    client::{Client, ClientError, Kind, Result, bundle_pem, printable},
    identity::{Clock as _, Fingerprint, SystemClock, Timestamp, hex},
};
use catalyst_signing::{PIN_MISPLACED, holds_pin};
use serde::Serialize;
use std::process::ExitCode;

/// The content type of PEM as the service answers it.
const PEM: &str = "application/x-pem-file";
/// Fewer digits than these name a CA by accident.
const FEWEST_DIGITS: usize = 8;

/// Looks at what is on this machine before anybody is asked.
///
/// # Errors
/// A file that is to be kept, a place where none can be, or a bundle that there is not; a PIN in the name of a key.
pub(super) fn look_first(request: &CaRequest, form: Output) -> Result<()> {
    let wanted = match request {
        CaRequest::Bundle(wanted) => wanted,
        CaRequest::Create(IntermediaryRequest { key_uri, backend, .. }) => {
            return refuse_pin([key_uri.as_ref(), backend.as_ref()]);
        }
        CaRequest::Repin { to, .. } => return refuse_pin([Some(&to.key_uri), to.backend.as_ref()]),
        _ => return Ok(()),
    };
    match (is_json(wanted, form), &wanted.role, wanted.issuing_only) {
        (true, Some(_), _) => {
            return Err(ClientError::usage("--role is for PEM; the JSON form has both networks' parts"));
        }
        // Intermediates of both networks in one file would let each trust the other's.
        (false, None, true) => {
            return Err(ClientError::usage("--anchors issuing needs --role services or --role transport"));
        }
        _ => {}
    }
    wanted.file.as_deref().map_or(Ok(()), |file| Place::look(file, wanted.force).map(drop))
}

/// What holds a PIN is neither sent nor repeated.
pub(super) fn refuse_pin<'a>(typed: impl IntoIterator<Item = Option<&'a String>>) -> Result<()> {
    match typed.into_iter().flatten().any(|text| holds_pin(text)) {
        true => Err(ClientError::usage(PIN_MISPLACED)),
        false => Ok(()),
    }
}

fn is_json(wanted: &BundleRequest, form: Output) -> bool {
    wanted.json.unwrap_or(form == Output::Json)
}

pub(super) async fn run(client: &Client, request: CaRequest, form: Output) -> Result<ExitCode> {
    match request {
        CaRequest::Create(wanted) => create(client, &wanted, form).await,
        CaRequest::List => list(client, form).await,
        CaRequest::Bundle(wanted) => bundle(client, &wanted, form).await,
        CaRequest::Activate { ca, now } => {
            let body = ActivateRequest { now };
            let hint = "certificates come from it from now on; the CA before it stays in the bundle until its end, or until 'catalyst pki ca retire' takes it out";
            act(client, &ca, "activate", &body, "CA activated", hint, form).await
        }
        CaRequest::Retire { ca } => {
            let hint = "it is in no bundle any more: give verifiers the new one, catalyst pki ca bundle";
            act(client, &ca, "retire", &serde_json::json!({}), "CA retired", hint, form).await
        }
        CaRequest::Revoke { ca, reason, yes } => revoke(client, &ca, reason, yes, form).await,
        CaRequest::Repin { ca, to } => repin(client, &ca, &to, form).await,
    }
}

pub(super) async fn init(client: &Client, wanted: &InitializeRequest, form: Output) -> Result<ExitCode> {
    let made: Initialized = client.post("/pki/initialize", wanted).await.map_err(|error| {
        conflict_hint(error, "see what there is with 'catalyst pki status'; a further intermediate is made with 'catalyst pki ca create-intermediary'")
    })?;
    let whole = made.services_ca_fingerprint.is_some() && made.transport_ca_fingerprint.is_some();
    let printed = print(&match form {
        Output::Json => json(&made)?,
        Output::Text | Output::Markdown => initialized(&made),
    });
    output::hint(match whole {
        true => "give verifiers the bundle: catalyst pki ca bundle",
        false => {
            "nothing is issued yet: make a services and a transport CA, catalyst pki ca create-intermediary --common-name 'NAME Services CA' and --common-name 'NAME Transport CA'"
        }
    });
    Ok(printed)
}

fn initialized(made: &Initialized) -> String {
    let root = printable(&made.root_fingerprint);
    let in_hex = root.parse::<Fingerprint>().map_or_else(|_| "-".into(), |print| hex(print.as_bytes()));
    let or_none = |print: &Option<String>| print.as_deref().map_or_else(|| "none yet".into(), printable);
    format!(
        "{} PKI initialized:\n  Root CA:      {root}\n  In hex:       {in_hex}\n  Services CA:  {}\n  Transport CA: {}\n  Clients pin:  --root-fingerprint {root}\n",
        output::ok(),
        or_none(&made.services_ca_fingerprint),
        or_none(&made.transport_ca_fingerprint),
    )
}

async fn create(client: &Client, wanted: &IntermediaryRequest, form: Output) -> Result<ExitCode> {
    let made: CaCertificate = client.post("/pki/intermediary", wanted).await.map_err(|error| {
        conflict_hint(error, "see the CAs with 'catalyst pki ca list'; one that waits is activated with 'catalyst pki ca activate', or taken away with 'catalyst pki ca retire'")
    })?;
    let ski = printable(&made.ca.ski);
    let hint = match Standing::of(&made.ca) {
        Standing::Waiting => format!(
            "give verifiers the new bundle (catalyst pki ca bundle), and after 24 hours let the CA issue: catalyst pki ca activate {ski}"
        ),
        _ => "it issues at once; give verifiers the new bundle: catalyst pki ca bundle".to_owned(),
    };
    shown(&made, "Intermediate CA made", &hint, form)
}

async fn list(client: &Client, form: Output) -> Result<ExitCode> {
    let cas = all(client).await?;
    let now = SystemClock.now();
    Ok(print(&match form {
        Output::Json => json(&cas)?,
        Output::Text | Output::Markdown => {
            let rows: Vec<_> = cas.iter().map(|ca| row(ca, now)).collect();
            let headers = ["KEY ID", "ROLE", "GENERATION", "STATE", "COMMON NAME", "EXPIRES", "DAYS"];
            output::rows(headers, &rows)
        }
    }))
}

async fn all(client: &Client) -> Result<Vec<Ca>> {
    client.get("/pki/ca", &[]).await
}

fn row(ca: &Ca, now: Timestamp) -> [String; 7] {
    [
        ca.ski.clone(),
        ca.role.clone(),
        ca.generation.to_string(),
        Standing::of(ca).word().to_owned(),
        ca.common_name.clone(),
        ca.expires_at.clone(),
        days_left(ca, now).map(|days| days.to_string()).unwrap_or_default(),
    ]
}

async fn bundle(client: &Client, wanted: &BundleRequest, form: Output) -> Result<ExitCode> {
    let place = wanted.file.as_deref().map(|file| Place::look(file, wanted.force)).transpose()?;
    let query =
        [("role", wanted.role.clone()), ("anchors", wanted.issuing_only.then(|| "issuing".to_owned()))];
    let text = if is_json(wanted, form) {
        json(&client.get::<CaBundle>("/pki/ca/bundle", &query).await?)?
    } else {
        bundle_pem(&client.download("/pki/ca/bundle", &query, PEM).await?)?
    };
    let Some(place) = place else { return Ok(print(&text)) };
    place.write(Readers::Anybody, text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn revoke(client: &Client, name: &str, reason: String, yes: bool, form: Output) -> Result<ExitCode> {
    let ca = named(&all(client).await?, name)?.clone();
    confirm(&revocation(&ca), yes)?;
    let body = RevokeRequest { reason: Some(reason) };
    let revoked: CaCertificate = client.post(&path(&ca, "revoke"), &body).await?;
    let hint = "give verifiers the new bundle and the root's CRL; where its role has no active CA now, make one: catalyst pki ca create-intermediary";
    shown(&revoked, "CA revoked", hint, form)
}

/// The question before a CA is revoked.
fn revocation(ca: &Ca) -> String {
    let active = match Standing::of(ca) {
        Standing::Active => format!(
            " It is the one that issues for {}: nothing is issued there until another CA is made.",
            ca.role
        ),
        _ => String::new(),
    };
    format!(
        "Revoke {} ({}) for good? It has issued {} certificates, and verifiers refuse all of them then.{active}",
        ca.common_name, ca.ski, ca.issued_cert_count
    )
}

async fn repin(client: &Client, name: &str, to: &RepinRequest, form: Output) -> Result<ExitCode> {
    let hint = "the key at the earlier address is as it was: nothing is destroyed here";
    act(client, name, "repin", to, "CA key moved", hint, form).await
}

/// Posts an action on the CA of that name.
async fn act(
    client: &Client,
    name: &str,
    action: &str,
    body: &impl Serialize,
    done: &str,
    hint: &str,
    form: Output,
) -> Result<ExitCode> {
    let ca = named(&all(client).await?, name)?.clone();
    let changed: CaCertificate = client.post(&path(&ca, action), body).await?;
    shown(&changed, done, hint, form)
}

fn path(ca: &Ca, action: &str) -> String {
    // What the service names its CAs by is hex; anything else leads to no CA.
    let ski: String = ca.ski.chars().filter(char::is_ascii_hexdigit).collect();
    format!("/pki/ca/{ski}/{action}")
}

/// The one CA of a key id, of at least its first digits, or of a common name.
fn named<'a>(cas: &'a [Ca], name: &str) -> Result<&'a Ca> {
    let digits = name.trim().to_ascii_lowercase().replace(':', "");
    let by_digits = digits.len() >= FEWEST_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let fits = |ca: &&Ca| ca.common_name == name || by_digits && ca.ski.starts_with(&digits);
    let found: Vec<&Ca> = cas.iter().filter(fits).collect();
    let list = |cas: &mut dyn Iterator<Item = &Ca>| -> String {
        cas.map(|ca| format!("\n  {} {}", printable(&ca.ski), printable(&ca.common_name))).collect()
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(ClientError::usage(format!(
            "no CA is named '{}'; there are:{}",
            printable(name),
            list(&mut cas.iter())
        ))
        .with_hint("name a CA by its key id, at least its first 8 digits, or its exact common name")),
        many => Err(ClientError::usage(format!(
            "'{}' names more than one CA:{}",
            printable(name),
            list(&mut many.iter().copied())
        ))
        .with_hint("give the whole key id")),
    }
}

fn conflict_hint(error: ClientError, hint: &str) -> ClientError {
    if error.kind == Kind::Conflict && error.hint.is_none() { error.with_hint(hint) } else { error }
}

/// The result, and after it what comes next.
fn shown(answer: &CaCertificate, done: &str, hint: &str, form: Output) -> Result<ExitCode> {
    let printed = print(&match form {
        Output::Json => json(answer)?,
        Output::Text | Output::Markdown => text(&answer.ca, done, SystemClock.now()),
    });
    output::hint(hint);
    Ok(printed)
}

fn text(ca: &Ca, done: &str, now: Timestamp) -> String {
    let fields = [
        ("Common Name:", printable(&ca.common_name)),
        ("Role:", printable(&ca.role)),
        ("Generation:", ca.generation.to_string()),
        ("State:", Standing::of(ca).word().to_owned()),
        ("Key ID:", printable(&ca.ski)),
        ("Fingerprint:", printable(&ca.fingerprint)),
        ("Algorithm:", printable(&ca.algorithm)),
        ("Expires:", end(ca, now)),
        ("Key:", printable(&ca.key_uri)),
    ];
    let lines = fields.map(|(name, value)| format!("  {name:<12} {value}\n"));
    format!("{} {done}:\n{}", output::ok(), lines.concat())
}

#[cfg(test)]
mod tests {
    use super::{
        super::status::tests::{NOW, ca},
        *,
    };

    fn cas() -> Vec<Ca> {
        let with = |name: &str, ski: &str| Ca { ski: ski.into(), ..ca("services", name, 730) };
        vec![
            with("Acme Services CA", "aabbccdd11000000000000000000000000000000"),
            with("Acme Services CA v2", "aabbccdd22000000000000000000000000000000"),
            // A name that may be read as digits.
            with("aabbccdd11", "99bbccdd33000000000000000000000000000000"),
        ]
    }

    #[test]
    fn a_ca_has_three_kinds_of_name() {
        let cas = cas();
        let found = |name: &str| named(&cas, name).unwrap().ski.as_str();
        assert_eq!(found("Acme Services CA"), cas[0].ski);
        assert_eq!(found("AABBCCDD2"), cas[1].ski);
        assert_eq!(found("aa:bb:cc:dd:22"), cas[1].ski);
        assert_eq!(found(&cas[2].ski), cas[2].ski);
    }

    #[test]
    fn a_name_of_several_or_of_none_is_wrong_usage_that_lists_them() {
        let cas = cas();
        for (name, listed) in
            [("aabbccdd", 2), ("aabbccdd11", 2), ("aabbccd", 3), ("acme services ca", 3), ("", 3)]
        {
            let error = named(&cas, name).unwrap_err();
            assert_eq!(
                (error.kind, error.message.matches("\n  ").count()),
                (Kind::Usage, listed),
                "{name}: {error}"
            );
            assert!(error.hint.is_some());
        }
    }

    #[test]
    fn a_row_says_how_a_ca_stands() {
        let waiting = Ca { state: "certified".into(), activated_at: None, ..ca("services", "S", 730) };
        let shown = output::plain(&[row(&waiting, NOW)]);
        let ski = "00".repeat(20);
        assert_eq!(shown, format!("{ski}\tservices\t1\twaiting\tS\t2028-02-13T00:00:00.000Z\t730\n"));
    }

    #[test]
    fn who_revokes_the_ca_that_issues_is_told_so() {
        let active = ca("services", "S", 730);
        let waiting = Ca { state: "certified".into(), activated_at: None, ..active.clone() };
        assert!(revocation(&active).contains("nothing is issued there until"), "{}", revocation(&active));
        assert!(!revocation(&waiting).contains("nothing is issued"), "{}", revocation(&waiting));
    }

    #[test]
    fn what_was_made_is_shown_with_the_pin_in_both_forms() {
        let made = Initialized {
            success: true,
            root_fingerprint: Fingerprint::of_certificate(b"root").to_string(),
            services_ca_fingerprint: None,
            transport_ca_fingerprint: Some("def".into()),
        };
        let shown = initialized(&made);
        let in_hex = hex(Fingerprint::of_certificate(b"root").as_bytes());
        for part in [
            &in_hex,
            "none yet",
            "Transport CA: def",
            &format!("--root-fingerprint {}", made.root_fingerprint),
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        let shown = text(&ca("services", "Acme Services CA", 730), "CA activated", NOW);
        assert!(
            shown.starts_with(
                "[ok] CA activated:\n  Common Name: Acme Services CA\n  Role:        services\n"
            ),
            "{shown}"
        );
    }
}
