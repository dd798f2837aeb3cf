//! The cryptography's own time, which everything else is held against.

use crate::{
    Outcome,
    process::thread_cpu,
    table::{Row, Table},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// As long as an SVID's TBSCertificate.
const MESSAGE: [u8; 600] = [7; 600];
const ROUNDS: u32 = 500;
/// A burst of this many rounds, then a pause: a few per cent of one core.
const BURST: u32 = 10;
const PAUSE: Duration = Duration::from_millis(60);

/// CPU time of one operation with P-384 and SHA-384.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cryptography {
    verify: Duration,
    sign: Duration,
}

/// Taken while something else ran.
pub(crate) struct Sampled {
    pub(crate) cryptography: Cryptography,
    /// CPU time that the sampling itself took.
    pub(crate) spent: Duration,
}

impl Cryptography {
    /// Measures for a fraction of a second, on this thread.
    pub(crate) fn measure() -> Outcome<Self> {
        Self::rounds(ROUNDS)
    }

    /// Measures again and again on a thread of its own as long as `work` takes, since machines are not equally fast
    /// at all times, and not equally fast when all their cores are busy.
    pub(crate) fn during<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Sampled)> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sampling = scope.spawn(|| sample(&stop));
            let worked = work();
            stop.store(true, Ordering::Relaxed);
            let sampled = sampling.join().map_err(|_| "the sampling panicked")??;
            Ok((worked?, sampled))
        })
    }

    fn rounds(count: u32) -> Outcome<Self> {
        let failed = |_| "the cryptography failed";
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?;
        let public = key.public_key().as_ref();
        let mut signature = key.sign(&random, &MESSAGE).map_err(failed)?;
        let started = thread_cpu();
        for _ in 0..count {
            signature = key.sign(&random, black_box(&MESSAGE)).map_err(failed)?;
        }
        let signed = thread_cpu();
        for _ in 0..count {
            // As the service does it for a CSR: the key is read anew each time.
            let public = UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, black_box(public));
            public.verify(black_box(&MESSAGE), signature.as_ref()).map_err(failed)?;
        }
        let verified = thread_cpu();
        Ok(Self { sign: (signed - started) / count, verify: (verified - signed) / count })
    }

    /// What one certificate needs: the CSR verified, the certificate signed, its signature verified.
    pub(crate) fn budget(&self) -> Duration {
        self.verify * 2 + self.sign
    }
}

fn sample(stop: &AtomicBool) -> Outcome<Sampled> {
    let started = thread_cpu();
    let (mut verify, mut sign, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    while count == 0 || !stop.load(Ordering::Relaxed) {
        let burst = Cryptography::rounds(BURST)?;
        verify += burst.verify;
        sign += burst.sign;
        count += 1;
        thread::sleep(PAUSE);
    }
    let cryptography = Cryptography { verify: verify / count, sign: sign / count };
    Ok(Sampled { cryptography, spent: thread_cpu() - started })
}

pub(crate) fn report(measured: &Cryptography, table: &mut Table) {
    let row = |what: &str, cpu| Row::of(what).cpu(cpu);
    table.push(row("cryptography: P-384 verify", measured.verify));
    table.push(row("cryptography: P-384 sign", measured.sign));
    table.push(row("cryptography: budget of a certificate", measured.budget()));
}
