//! Signatures of a token through the backend, beside the same module in a tight loop on as many threads.

use crate::{
    Outcome,
    load::Seen,
    process::own_cpu,
    table::{Row, Table},
};
use catalyst_pkcs11::{Pin, Pkcs11Backend, TokenChoice, TokenConfig};
use catalyst_rigs::pkcs11::{Fault, SoftHsm, TestToken};
use catalyst_signing::{
    Guard, GuardedKey, KeyIntent, KeyPin, KeyPolicy, KeyRole, NoObserver, Nonce, Opening, Purpose,
    SignatureAlgorithm, SigningBackend, SigningKey,
};
use cryptoki::{
    context::Pkcs11,
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::UserType,
    types::AuthPin,
};
use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::runtime::Runtime;

/// As long as an SVID's TBSCertificate, and its SHA-384.
const MESSAGE: [u8; 600] = [7; 600];
const DIGEST: [u8; 48] = [7; 48];
/// Signatures of one session in one round.
const ROUND: usize = 400;
/// How often a session or token is lost.
const LOSSES: usize = 30;
/// Rounds, raw and through the backend in turn, since a machine is not equally fast at all times.
const ROUNDS: usize = 5;
/// Callers for each session: a service that is busy has more than it has sessions.
const CALLERS: usize = 4;
const DEPLOYMENT: &str = "00000000000000be";
const DEADLINE: Duration = Duration::from_secs(60);

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// P-384 on SoftHSM.
pub(crate) fn report(table: &mut Table) -> Outcome {
    let token = SoftHsm::here()?.token()?;
    let runtime = Runtime::new()?;
    // Open as long as the run, so that the module stays initialised.
    let first = Arc::new(Pkcs11Backend::new(config(&token, 1)));
    let pin = runtime.block_on(make(&first))?;
    for threads in [1, 2, 4] {
        let backend = Arc::new(Pkcs11Backend::new(config(&token, threads)));
        let (key, guarded) = runtime.block_on(open(&backend, &pin))?;
        let (mut raw, mut through, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            raw.push(in_a_loop(&token, threads)?);
            let callers = threads * CALLERS;
            through.push(runtime.block_on(with_backend(&key, callers))?);
            whole.push(runtime.block_on(with_guard(&guarded, callers))?);
        }
        let [raw, through, whole] = [raw, through, whole].map(Seen::joined);
        let ratio = through.per_second() / raw.per_second();
        let outside = through.cpu.saturating_sub(raw.cpu);
        table.push(Row::seen(format!("PKCS#11: SoftHSM, raw loop, {threads} threads"), &raw));
        table.push(
            Row::seen(format!("PKCS#11: the backend, {threads} sessions"), &through)
                .figure(format!("{ratio:.2} × raw; CPU outside the module {} µs", outside.as_micros()))
                .target("≥ 0.9"),
        );
        table.push(Row::seen(
            format!("PKCS#11: behind the guard, which verifies, {threads} sessions"),
            &whole,
        ));
        drop((key, guarded));
        runtime.block_on(backend.shut_down());
    }
    runtime.block_on(first.shut_down());
    runtime.block_on(recovery(table))
}

/// What a lost session and a lost token cost: the signature that meets it, and the time from the token's return.
async fn recovery(table: &mut Table) -> Outcome {
    let fault = Fault::before(&SoftHsm::here()?.token()?)?;
    let backend = Arc::new(Pkcs11Backend::new(config(fault.token(), 1)));
    let (key, _) = open(&backend, &make(&backend).await?).await?;
    let losses = [
        ("a session closed by the token", &["C_Sign return CKR_SESSION_HANDLE_INVALID times 1"][..]),
        ("a token gone and back", &["token away"][..]),
    ];
    for (what, rules) in losses {
        let (mut latencies, started, cpu) = (Vec::new(), Instant::now(), own_cpu());
        for _ in 0..LOSSES {
            fault.set(rules)?;
            if rules.contains(&"token away") {
                // The answer is known; what counts is that the loss was noticed.
                let _ = key.sign(&MESSAGE).await;
                fault.set(&[])?;
            }
            let begun = Instant::now();
            key.sign(&MESSAGE).await?;
            latencies.push(begun.elapsed());
        }
        let seen = Seen::new(latencies, started.elapsed(), own_cpu() - cpu);
        table.push(Row::seen(format!("PKCS#11: the signature after {what}"), &seen));
    }
    backend.shut_down().await;
    Ok(())
}

fn config(token: &TestToken, sessions: usize) -> TokenConfig {
    TokenConfig {
        name: "pkcs11".to_owned(),
        module: token.module.clone(),
        initialisation: token.initialisation.clone(),
        token: TokenChoice::Label(token.label.clone()),
        pin: Pin::Known(token.pin.clone().into()),
        sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        require_sensitive: true,
        opening: Opening::Kept,
    }
}

async fn make(backend: &Pkcs11Backend) -> Outcome<KeyPin> {
    let intent = KeyIntent {
        nonce: Nonce::random().map_err(|_| "no random numbers")?,
        deployment: DEPLOYMENT.to_owned(),
        role: KeyRole::Probe,
        generation: 1,
        algorithm: SignatureAlgorithm::EcP384,
        created_at: SystemTime::now(),
    };
    Ok(backend.lifecycle().ok_or("no keys can be made")?.create(&intent).await?)
}

async fn open(backend: &Arc<Pkcs11Backend>, pin: &KeyPin) -> Outcome<(Arc<dyn SigningKey>, Arc<GuardedKey>)> {
    let key = backend.open(pin).await?;
    let policy = KeyPolicy {
        name: "bench".to_owned(),
        deployment: DEPLOYMENT.to_owned(),
        purposes: &[Purpose::Certificate],
        concurrency: 64,
        probe: false,
    };
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let guarded =
        Guard::new(Arc::new(NoObserver)).open(backend.clone(), pin.clone(), policy, deadline).await?;
    Ok((key, Arc::new(guarded)))
}

/// C_SignInit and C_Sign on threads with a session each, and nothing else.
fn in_a_loop(token: &TestToken, threads: usize) -> Outcome<Seen> {
    let module = Pkcs11::new(&token.module)?;
    let wanted = |slot: &cryptoki::slot::Slot| {
        module.get_token_info(*slot).is_ok_and(|info| info.label() == token.label)
    };
    let slot = module.get_slots_with_initialized_token()?.into_iter().find(wanted).ok_or("no such token")?;
    let ready = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let work = || -> Result<Vec<Duration>, Failed> {
            let session = module.open_ro_session(slot)?;
            // The backend's login is the process's.
            let _ = session.login(UserType::User, Some(&AuthPin::new(token.pin.clone().into())));
            let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
            let key = session.find_objects(&private)?.first().copied().ok_or("no key on the token")?;
            ready.wait();
            let mut latencies = Vec::with_capacity(ROUND);
            for _ in 0..ROUND {
                let begun = Instant::now();
                black_box(session.sign(&Mechanism::Ecdsa, key, black_box(&DIGEST))?);
                latencies.push(begun.elapsed());
            }
            Ok(latencies)
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        ready.wait();
        let (started, cpu) = (Instant::now(), own_cpu());
        let mut latencies = Vec::new();
        for worker in workers {
            latencies.extend(worker.join().map_err(|_| "a thread panicked")??);
        }
        Ok(Seen::new(latencies, started.elapsed(), own_cpu() - cpu))
    })
}

async fn with_backend(key: &Arc<dyn SigningKey>, callers: usize) -> Outcome<Seen> {
    let key = key.clone();
    measured(callers, move || {
        let key = key.clone();
        async move { Ok(key.sign(black_box(&MESSAGE)).await.map(drop)?) }
    })
    .await
}

async fn with_guard(key: &Arc<GuardedKey>, callers: usize) -> Outcome<Seen> {
    let key = key.clone();
    measured(callers, move || {
        let key = key.clone();
        async move {
            let deadline = tokio::time::Instant::now() + DEADLINE;
            Ok(key.sign(Purpose::Certificate, MESSAGE.to_vec(), deadline).await.map(drop)?)
        }
    })
    .await
}

async fn measured<F: Future<Output = Outcome> + Send + 'static>(
    callers: usize,
    call: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Outcome<Seen> {
    let (started, cpu) = (Instant::now(), own_cpu());
    let work = |call: Box<dyn Fn() -> F + Send + Sync>| async move {
        let mut latencies = Vec::with_capacity(ROUND / CALLERS);
        for _ in 0..ROUND / CALLERS {
            let begun = Instant::now();
            call().await?;
            latencies.push(begun.elapsed());
        }
        Ok::<_, Failed>(latencies)
    };
    let running: Vec<_> = (0..callers).map(|_| tokio::spawn(work(Box::new(call.clone())))).collect();
    let mut latencies = Vec::new();
    for task in running {
        latencies.extend(task.await??);
    }
    Ok(Seen::new(latencies, started.elapsed(), own_cpu() - cpu))
}
