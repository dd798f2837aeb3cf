//! `gcp-fake [ADDRESS]`: a fake of Google Cloud KMS on a free port of 127.0.0.1, or on this address. It prints where,
//! and ends with its standard input.
#![forbid(unsafe_code)]

use catalyst_rigs::gcp::GREETING;
use std::{
    env,
    io::{self, Write as _},
    net::TcpListener,
    process, thread,
};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(address)?;
    let mut output = io::stdout();
    writeln!(output, "{GREETING}{}", listener.local_addr()?)?;
    output.flush()?;
    thread::spawn(move || {
        let ended = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(i32::from(ended.is_err()));
    });
    gcp_fake::serve(&listener)
}
