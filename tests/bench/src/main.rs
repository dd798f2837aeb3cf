//! Benchmarks of the CA. One run prints one markdown table; figures that depend on the machine stand beside the
//! cryptography's own, measured in the same run, as ratios. Nothing fails on a clock.
//!
//! ```text
//! cargo build --release && cargo run --release -p catalyst-bench            # quick: stores of 1,000 and 50,000 rows
//! cargo build --release && cargo run --release -p catalyst-bench -- full    # stores of 1,000 and 1,000,000 rows
//! cargo build --release && cargo run --release -p catalyst-bench -- rpc     # Cap'n Web and the command line alone
//! cargo build --release && cargo run --release -p catalyst-bench -- backup  # a store of 1,000,000 rows
//! . <(tests/run --env) && cargo run --release -p catalyst-bench -- pkcs11   # a token of SoftHSM
//! tests/run cargo run --release -p catalyst-bench -- aws                    # what stands for AWS KMS
//! tests/run cargo run --release -p catalyst-bench -- aws-idle               # what an idle service asks it in ten minutes
//! cargo build --release -p gcp-fake && cargo run --release -p catalyst-bench -- gcp    # what stands for Google Cloud KMS
//! cargo build --release -p gcp-fake && cargo run --release -p catalyst-bench -- gcp-idle
//! ```
//!
//! - **Cryptography**: raw P-384 in aws-lc-rs on one thread, taken again during every load, since a machine is not
//!   equally fast all the time. Its budget for a certificate is two verifications (CSR, signature) and one signature.
//! - **In process**: the whole of issuance through the library, from the CSR's text to the recorded certificate. What
//!   a certificate costs without any store can't be asked of the public API, since nothing unrecorded leaves it: a
//!   store in memory comes closest. `callers` are tasks that ask at the same time.
//! - **Credentials**: what it costs to check who asks (`authenticate`) and whether they may (`authorize`, for
//!   `CERT_SIGN`), beside an issuance with a store on disk. `known` is what was checked before and is remembered; a
//!   `new` identity is one that policy has not decided on yet.
//! - **HTTP**: the real `catalyst` binary that was built beside this one, with local keys, the issue limit off, a
//!   store on disk and the default log. Clients keep their connections and send requests made beforehand, each for an
//!   identity of its own. `CPU` is what the service's process used (user and system time of all its threads).
//! - **RPC**: the list of token keys, over one WebSocket and over one HTTP connection; and how long a command takes from
//!   its start to its end.
//! - **Backup**: making, verifying and restoring one, beside SQLite's own copy of the same store (`VACUUM INTO`), in turn.
//! - **PKCS#11**: the backend beside the same module in a tight loop with as many threads as it has sessions, in turn. CPU outside the
//!   module is what a signature takes more than in that loop.
//! - **KMS**: issuance over HTTP while a proxy in this process (AWS) or a fake in another (Google) stands for KMS, signs by
//!   itself and answers late. It and the callers share the cores with the service, so what they use is shown, and how many certificates the cores are
//!   enough for with it; `n/L` is what n callers come to if nothing takes time but KMS. Calls are counted there.
//!
//! Rows are those in the store before the load.
#![forbid(unsafe_code)]

mod backup;
mod credentials;
mod cryptography;
mod filler;
mod kms;
mod library;
mod load;
mod pkcs11;
mod process;
mod requests;
mod rpc;
mod service;
mod table;

use cryptography::Cryptography;
use kms::{Aws, Gcp};
use std::{error::Error, process::ExitCode};
use table::Table;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How much is done.
struct Plan {
    /// Rows in the store, small and large.
    rows: [u64; 2],
    /// Clients, and the certificates that they ask for together.
    loads: [(usize, usize); 3],
    /// Requests for status and bundle.
    reads: usize,
}

const QUICK: Plan =
    Plan { rows: [1_000, 50_000], loads: [(1, 2_000), (8, 6_000), (64, 12_000)], reads: 1_000 };
const FULL: Plan =
    Plan { rows: [1_000, 1_000_000], loads: [(1, 5_000), (8, 20_000), (64, 40_000)], reads: 4_000 };

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        None | Some("quick") => run(&QUICK),
        Some("full") => run(&FULL),
        Some("rpc") => alone(|table| service::report_rpc(&requests::make(1)?, table)),
        Some("backup") => alone(backup::report),
        Some("pkcs11") => alone(pkcs11::report),
        Some("aws") => alone(kms::report::<Aws>),
        Some("aws-idle") => alone(kms::report_idle::<Aws>),
        Some("gcp") => alone(kms::report::<Gcp>),
        Some("gcp-idle") => alone(kms::report_idle::<Gcp>),
        Some(_) => {
            eprintln!("usage: catalyst-bench [quick|full|rpc|backup|pkcs11|aws|aws-idle|gcp|gcp-idle]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn alone(report: impl FnOnce(&mut Table) -> Outcome) -> Outcome {
    let mut table = Table::default();
    report(&mut table)?;
    print!("{table}");
    Ok(())
}

fn run(plan: &Plan) -> Outcome {
    let mut table = Table::default();
    cryptography::report(&Cryptography::measure()?, &mut table);
    let most = plan.loads.iter().map(|(_, count)| count).sum();
    eprintln!("making {most} keys and requests");
    let requests = requests::make(most)?;
    library::report(&requests, plan.loads[0].1, &mut table)?;
    credentials::report(&requests, plan.loads[0].1, &mut table)?;
    service::report(&requests, plan, &mut table)?;
    print!("{table}");
    Ok(())
}
