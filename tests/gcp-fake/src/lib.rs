//! A fake of Google Cloud KMS: key rings, keys, versions, public keys and signatures over REST, with the rules and
//! refusals that Google documents, and with faults in any call when a test says so. It is part of no release.
//!
//! `README.md` says which parts of Google's API it has, and what is not documented and had to be decided here.
//! `catalyst_rigs::gcp` starts it and speaks to it.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod accounts;
mod checksum;
mod clock;
mod control;
mod fields;
mod http;
mod iam;
mod key;
mod methods;
mod names;
mod numbers;
mod refused;
mod route;
mod rules;
mod service;
mod store;
mod tamper;

use service::Service;
use std::{io, net::TcpListener, sync::Arc, thread};

/// Serves on this socket, one thread for each connection.
///
/// # Errors
/// The socket fails.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    let service = Arc::new(Service::default());
    loop {
        let (stream, _) = listener.accept()?;
        let service = Arc::clone(&service);
        // An error is the caller's, who has gone or speaks no HTTP.
        thread::spawn(move || http::serve(&stream, |request| service.answer(request)));
    }
}
