//! `catalyst pki cert sign-csr`

use super::{
    super::{
        arguments::{Output, SignCsr},
        files::{Place, Readers},
        output::{self, json, ok, print_with_files},
    },
    issue::issue,
};
use crate::client::{CertificationRequest, Client, ClientError, Result, printable};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    process::ExitCode,
};

/// No CSR that the service takes is longer.
const LONGEST: u64 = 64 * 1024;

/// A CSR that was read, and the place for its certificate, if it is a file.
pub(in crate::cli) struct Ready {
    wanted: SignCsr,
    csr: CertificationRequest,
    place: Option<Place>,
}

pub(super) fn prepare(wanted: SignCsr) -> Result<Ready> {
    let place = place(wanted.output_cert.as_deref(), wanted.force)?;
    let wrong = |why: String| {
        ClientError::usage(format!("--csr {}: {why}", wanted.csr.display()))
            .with_hint("give a PKCS#10 request: openssl req -in FILE -noout -text shows one")
    };
    let bytes = read(&wanted.csr).map_err(|error| wrong(error.to_string()))?;
    let csr = CertificationRequest::read(&bytes).map_err(wrong)?;
    Ok(Ready { wanted, csr, place })
}

/// Looks at the place for a certificate, and whether its directory takes files.
pub(super) fn place(path: Option<&Path>, replace: bool) -> Result<Option<Place>> {
    let place = path.map(|path| Place::look(path, replace)).transpose()?;
    if let Some(place) = &place {
        drop(place.begin(Readers::Anybody)?);
    }
    Ok(place)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes)?
    } else {
        File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?
    };
    if read as u64 > LONGEST { Err(io::Error::other("it is too long for a CSR")) } else { Ok(bytes) }
}

pub(super) async fn run(client: &Client, ready: &Ready, form: Output) -> Result<ExitCode> {
    let Ready { wanted, csr, place } = ready;
    let issued = issue(client, &wanted.workload, wanted.ttl, csr.pem()?, csr.spki()).await?;
    let (serial, pem) = (issued.serial(), issued.pem()?);
    let again = || format!("the certificate is issued: catalyst pki cert export {serial} --chain");
    if let Some(place) = place {
        place.write(Readers::Anybody, pem.as_bytes()).map_err(|error| error.with_hint(again()))?;
    }
    let cert = wanted.output_cert.as_ref().map(|path| printable(&path.display().to_string()));
    let result = match (form, &cert) {
        (Output::Json, _) => {
            let mut fields = issued.json();
            fields["certPath"] = cert.as_deref().into();
            fields["certificatePem"] = pem.into();
            json(&fields)?
        }
        (_, Some(path)) => {
            format!("{} Certificate signed:\n{}  Cert:        {path}\n", ok(), issued.lines())
        }
        (_, None) => pem,
    };
    let printed = print_with_files(&result, &cert.as_deref().into_iter().collect::<Vec<_>>());
    if printed != ExitCode::SUCCESS && cert.is_none() {
        output::hint(&again());
    }
    Ok(printed)
}
