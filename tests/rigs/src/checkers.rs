//! Checkers of certificates and CRLs that are not ours: OpenSSL, GnuTLS, pkilint.

use crate::RigError;
use serde_json::Value;
use std::{env, io, path::Path, path::PathBuf, process::Command};

/// Runs `openssl`, and gives what it printed on both streams.
///
/// # Errors
/// It is missing, or found fault.
pub fn openssl(args: &[&str]) -> Result<String, RigError> {
    run(Command::new("openssl").args(args))
}

/// Runs `certtool` of GnuTLS, and gives what it printed on both streams.
///
/// # Errors
/// It is missing, or found fault.
pub fn certtool(args: &[&str]) -> Result<String, RigError> {
    run(Command::new("certtool").args(args))
}

/// `openssl verify -x509_strict`: the certificate chains to the bundle (PEM).
///
/// # Errors
/// OpenSSL is missing, or found fault.
pub fn openssl_verify(bundle: &Path, certificate: &Path) -> Result<String, RigError> {
    let (bundle, certificate) = (text(bundle)?, text(certificate)?);
    openssl(&["verify", "-x509_strict", "-CAfile", bundle, certificate])
}

/// `certtool --verify`: the certificate chains to the bundle (PEM).
///
/// # Errors
/// GnuTLS is missing, or found fault.
pub fn certtool_verify(bundle: &Path, certificate: &Path) -> Result<String, RigError> {
    let (bundle, certificate) = (text(bundle)?, text(certificate)?);
    let args =
        ["--verify", "--verify-profile", "medium", "--load-ca-certificate", bundle, "--infile", certificate];
    certtool(&args)
}

/// `certtool --verify-crl`: the CRL (PEM) is signed by this CA (PEM).
///
/// # Errors
/// GnuTLS is missing, or found fault.
pub fn certtool_verify_crl(ca: &Path, crl: &Path) -> Result<String, RigError> {
    certtool(&["--verify-crl", "--load-ca-certificate", text(ca)?, "--infile", text(crl)?])
}

/// Something that pkilint says of a document, at NOTICE or worse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the document.
    pub path: String,
    /// `FATAL`, `ERROR`, `WARNING` or `NOTICE`.
    pub severity: String,
    /// The rule.
    pub code: String,
    /// The details, if any.
    pub message: String,
}

impl Finding {
    /// Whether pkilint is wrong: its check of URIs knows the schemes of the web alone, so that every SPIFFE URI is
    /// invalid to it, and its check of DNS names wants a dot.
    #[must_use]
    pub fn is_known_to_be_false(&self) -> bool {
        (self.code == "pkix.invalid_uri_syntax" && self.message.contains("\"spiffe://"))
            || (self.code == "pkix.invalid_domain_name_syntax" && self.message.contains("\"localhost\""))
    }
}

/// pkilint's findings on a certificate.
///
/// # Errors
/// pkilint is missing or can't read the file.
pub fn pkilint_certificate(certificate: &Path) -> Result<Vec<Finding>, RigError> {
    pkilint("lint_pkix_cert", &[text(certificate)?])
}

/// pkilint's findings on a CRL. `authorities` says that it lists CA certificates, as a root's does.
///
/// # Errors
/// pkilint is missing or can't read the file.
pub fn pkilint_crl(crl: &Path, authorities: bool) -> Result<Vec<Finding>, RigError> {
    let kind = if authorities { "ARL" } else { "CRL" };
    pkilint("lint_crl", &["-t", kind, "-p", "PKIX", text(crl)?])
}

/// pkilint's findings on a certificate and its issuer together.
///
/// # Errors
/// pkilint is missing or can't read the files.
pub fn pkilint_pair(issuer: &Path, subject: &Path) -> Result<Vec<Finding>, RigError> {
    pkilint("lint_pkix_signer_signee_cert_chain", &[text(issuer)?, text(subject)?])
}

fn pkilint(linter: &str, args: &[&str]) -> Result<Vec<Finding>, RigError> {
    let missing = || RigError::Missing { what: "pkilint (CATALYST_RIG_PKILINT is not set)".into() };
    let bin = env::var_os("CATALYST_RIG_PKILINT").map(PathBuf::from).ok_or_else(missing)?;
    let mut command = Command::new(bin.join(linter));
    command.args(["lint", "-s", "NOTICE", "-f", "JSON"]).args(args);
    // Its exit code counts the findings, so only its output tells whether it could read the document.
    let output = start(&mut command)?;
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|_| refused(&command, &output))?;
    let results = report["results"].as_array().ok_or_else(|| refused(&command, &output))?;
    Ok(results.iter().flat_map(findings).collect())
}

fn findings(result: &Value) -> Vec<Finding> {
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let descriptions = result["finding_descriptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let finding = |description: &Value| Finding {
        path: string(&result["node_path"]),
        severity: string(&description["severity"]),
        code: string(&description["code"]),
        message: string(&description["message"]),
    };
    descriptions.iter().map(finding).collect()
}

pub(crate) fn run(command: &mut Command) -> Result<String, RigError> {
    let output = start(command)?;
    if output.status.success() { Ok(printed(&output)) } else { Err(refused(command, &output)) }
}

pub(crate) fn start(command: &mut Command) -> Result<std::process::Output, RigError> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            RigError::Missing { what: command.get_program().to_string_lossy().into_owned() }
        }
        _ => RigError::Io(error),
    })
}

fn refused(command: &Command, output: &std::process::Output) -> RigError {
    RigError::Refused { command: format!("{command:?}"), output: printed(output) }
}

pub(crate) fn printed(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> Result<&str, RigError> {
    path.to_str().ok_or_else(|| RigError::Output(format!("{} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests;
