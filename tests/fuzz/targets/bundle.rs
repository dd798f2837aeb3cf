//! Certificates that the client reads: a file of CA certificates, and what a server shows.
#![no_main]

use catalyst_pki::client::{self, Client, Options, Trust};
use libfuzzer_sys::fuzz_target;
use std::{cell::OnceCell, fs, path::PathBuf};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Place {
    runtime: Runtime,
    file: PathBuf,
    _directory: TempDir,
}

impl Place {
    fn make() -> Self {
        let directory = TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { runtime, file: directory.path().join("ca.pem"), _directory: directory }
    }
}

thread_local! {
    static PLACE: OnceCell<Place> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    PLACE.with(|place| {
        let place = place.get_or_init(Place::make);
        fs::write(&place.file, data).unwrap();
        let options = Options {
            url: "https://ca.example.org".parse().unwrap(),
            trust: Trust::CaFile(place.file.clone()),
            insecure_http: false,
            token: None,
        };
        // Opens no connection: that comes with the first question.
        if let Err(error) = place.runtime.block_on(Client::open(options)) {
            assert!(error.message.contains("--ca-file"), "{}", error.message);
        }
    });
    client::look_at(data);
});
