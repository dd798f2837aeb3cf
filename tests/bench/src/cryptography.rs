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
use std::{hint::black_box, time::Duration};

/// As long as an SVID's TBSCertificate.
const MESSAGE: [u8; 600] = [7; 600];
const ROUNDS: u32 = 500;

/// CPU time of one operation with P-384 and SHA-384.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cryptography {
    verify: Duration,
    sign: Duration,
}

impl Cryptography {
    /// Measures for a fraction of a second, on this thread.
    pub(crate) fn measure() -> Outcome<Self> {
        let failed = |_| "the cryptography failed";
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?;
        let public = key.public_key().as_ref();
        let mut signature = key.sign(&random, &MESSAGE).map_err(failed)?;
        let started = thread_cpu();
        for _ in 0..ROUNDS {
            signature = key.sign(&random, black_box(&MESSAGE)).map_err(failed)?;
        }
        let signed = thread_cpu();
        for _ in 0..ROUNDS {
            // As the service does it for a CSR: the key is read anew each time.
            let public = UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, black_box(public));
            public.verify(black_box(&MESSAGE), signature.as_ref()).map_err(failed)?;
        }
        let verified = thread_cpu();
        Ok(Self { sign: (signed - started) / ROUNDS, verify: (verified - signed) / ROUNDS })
    }

    /// What one certificate needs: the CSR verified, the certificate signed, its signature verified.
    pub(crate) fn budget(&self) -> Duration {
        self.verify * 2 + self.sign
    }

    /// Between this measurement and a later one.
    pub(crate) fn mean(self, later: Self) -> Self {
        Self { verify: (self.verify + later.verify) / 2, sign: (self.sign + later.sign) / 2 }
    }
}

pub(crate) fn report(measured: &Cryptography, table: &mut Table) {
    let row = |what: &str, cpu| Row::of(what).cpu(cpu);
    table.push(row("cryptography: P-384 verify", measured.verify));
    table.push(row("cryptography: P-384 sign", measured.sign));
    table.push(row("cryptography: budget of a certificate", measured.budget()));
}
