//! A command that asks a service: which service, with which credential, and what then happens.

use super::{
    arguments::{Access, CertRequest, Output, Request, TokenInput},
    audit, audit_verify, backend, ca, cert, exit, export, identity, interrupt, key, keys, output, recovery,
    status, token,
};
use crate::{
    access::SYSTEM_TOKEN_FILE,
    client::{
        Client, ClientError, DEFAULT_URL, Options, Result, ServiceUrl, TokenSources, Trust, TrustOptions,
        read_token, read_token_file,
    },
    settings::Environment,
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Runs the command to its exit code.
pub(super) fn run(access: Access, request: Request, form: Output) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&ClientError::failed(format!("cannot start: {error}"))),
    };
    let told: Option<fn()> = match request {
        Request::Cert(CertRequest::Generate(_)) => Some(cert::interrupted),
        Request::Export(_) => Some(export::interrupted),
        _ => None,
    };
    let work = ask(access, request, form);
    let done = runtime.block_on(async {
        match told {
            Some(tell) => interrupt::clearing_away(work, tell).await,
            None => work.await,
        }
    });
    // A resolver that does not come back must not hold up the end.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| exit::report(&error))
}

/// What is on this machine is looked at before anybody is asked.
async fn ask(access: Access, request: Request, form: Output) -> Result<ExitCode> {
    let open = async move || Client::open(options(access)?).await;
    match request {
        Request::Mint(wanted) => token::mint(&open().await?, &wanted, form).await,
        Request::Verify { input, audience } => {
            let jwt = token_of(input)?;
            token::verify(&open().await?, &jwt, audience, form).await
        }
        Request::Revoke(which) => token::revoke(&open().await?, &which, form).await,
        Request::ListTokens(filter) => token::list(&open().await?, &filter, form).await,
        Request::ListKeys => key::list(&open().await?, form).await,
        Request::RotateKey { how, yes } => {
            key::look_first(&how, yes)?;
            key::rotate(&open().await?, &how, form).await
        }
        Request::Init(wanted) => ca::init(&open().await?, &wanted, form).await,
        Request::Status => status::run(&open().await?, form).await,
        Request::Ca(request) => {
            ca::look_first(&request, form)?;
            ca::run(&open().await?, request, form).await
        }
        Request::ReconcileKeys => keys::reconcile(&open().await?, form).await,
        Request::ConfirmRecovery => recovery::confirm(&open().await?, form).await,
        Request::RetryKeys(request) => {
            ca::refuse_pin([request.backend.as_ref()])?;
            backend::retry::run(&open().await?, &request, form).await
        }
        Request::Cert(request) => {
            let ready = cert::prepare(request)?;
            cert::run(&open().await?, ready, form).await
        }
        Request::Export(wanted) => {
            let ready = export::prepare(wanted)?;
            export::run(&open().await?, ready, form).await
        }
        Request::Identity(request) => {
            identity::look_first(&request)?;
            identity::run(&open().await?, request, form).await
        }
        Request::Audit(filter) => audit::list(&open().await?, &filter, form).await,
        Request::VerifyAudit { heads, sealed } => {
            let kept = audit_verify::kept(heads.as_deref(), sealed.as_deref())?;
            audit_verify::run(&open().await?, &kept, form).await
        }
    }
}

fn token_of(input: TokenInput) -> Result<SecretString> {
    match input {
        TokenInput::Argument(token) => {
            output::warn(
                "a token on the command line is visible to every user of this machine: use --file, or '-' for standard input",
            );
            Ok(token)
        }
        TokenInput::File(path) => read_token_file(&path),
        TokenInput::StandardInput => read_token(io::stdin().lock()).map_err(|error| {
            ClientError::usage(format!("cannot read the token from standard input: {error}"))
        }),
    }
}

/// How to reach the service, from the command line and the environment.
pub(super) fn options(access: Access) -> Result<Options> {
    let environment = &access.environment;
    let url: ServiceUrl = match access.url {
        Some(url) => url.parse()?,
        None => text(environment, "CATALYST_AUTH_URL")?.as_deref().unwrap_or(DEFAULT_URL).parse()?,
    };
    let given = TrustOptions {
        ca_file: access.ca_file,
        root: access.root_fingerprint,
        server: access.server_fingerprint,
    };
    let trust = trust(&url, given, environment)?;
    if access.token.is_some() {
        output::warn(
            "a token on the command line is visible to every user of this machine: use --token-file or CATALYST_AUTH_TOKEN",
        );
    }
    let sources = TokenSources {
        given: access.token,
        given_file: access.token_file.map(PathBuf::from),
        variable: secret(environment, "CATALYST_AUTH_TOKEN")?,
        variable_file: text(environment, "CATALYST_AUTH_TOKEN_FILE")?.map(PathBuf::from),
        system_token: Some(system_token(environment)?),
    };
    let token = sources.find(url.is_loopback())?;
    Ok(Options { url, trust, insecure_http: access.insecure_http, token })
}

/// A pin on the command line takes the place of those in the environment.
fn trust(url: &ServiceUrl, given: TrustOptions, environment: &Environment) -> Result<Trust> {
    let given = Trust::from_options(given)?;
    if matches!(given, Trust::Nothing) {
        return Trust::from_options(TrustOptions {
            ca_file: text(environment, "CATALYST_CA_FILE")?,
            root: text(environment, "CATALYST_ROOT_FINGERPRINT")?,
            server: text(environment, "CATALYST_SERVER_FINGERPRINT")?,
        });
    }
    if !url.is_tls() {
        return Err(ClientError::usage(format!("{url} is plain HTTP, where nothing can be pinned"))
            .with_hint("use https:// or wss:// in --auth-url, or leave the pin out"));
    }
    Ok(given)
}

/// The file of a service whose data directory is where the settings say.
fn system_token(environment: &Environment) -> Result<PathBuf> {
    let store = text(environment, "CATALYST_PKI_CERTS_DB")?.unwrap_or_else(|| "certs.db".into());
    Ok(Path::new(&store).parent().unwrap_or(Path::new("")).join(SYSTEM_TOKEN_FILE))
}

fn secret(environment: &Environment, name: &str) -> Result<Option<SecretString>> {
    environment
        .get(name)
        .map(Option::<&SecretString>::cloned)
        .map_err(|error| ClientError::usage(error.to_string()))
}

fn text(environment: &Environment, name: &str) -> Result<Option<String>> {
    Ok(secret(environment, name)?.map(|value| value.expose_secret().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Kind, identity::Fingerprint};

    fn access(url: &str, vars: &[(&str, &str)]) -> Access {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Access { url: Some(url.into()), environment: Environment::from_vars(vars), ..Access::default() }
    }

    fn pin(text: &str) -> String {
        Fingerprint::of_certificate(text.as_bytes()).to_string()
    }

    #[test]
    fn a_pin_of_the_command_takes_the_place_of_the_environments() {
        let (given, kept) = (pin("given"), pin("kept"));
        let vars = [("CATALYST_ROOT_FINGERPRINT", kept.as_str()), ("CATALYST_AUTH_TOKEN", "t")];
        let kept = options(access("wss://a", &vars)).unwrap();
        assert!(matches!(kept.trust, Trust::Root(_)));
        let with = Access { server_fingerprint: Some(given), ..access("wss://a", &vars) };
        assert!(matches!(options(with).unwrap().trust, Trust::Server(_)));
        let two = [vars[0], ("CATALYST_CA_FILE", "ca.pem")];
        assert_eq!(options(access("wss://a", &two)).unwrap_err().kind, Kind::Usage);
    }

    /// Whoever names a pin means TLS; a pin that lies in the environment does not forbid asking a service here.
    #[test]
    fn nothing_is_pinned_over_plain_http() {
        let given = Access { root_fingerprint: Some(pin("root")), ..access("ws://localhost", &[]) };
        assert!(options(given).unwrap_err().hint.unwrap().contains("wss://"));
        let root = pin("root");
        options(access("ws://localhost", &[("CATALYST_ROOT_FINGERPRINT", &root)])).unwrap();
    }

    #[test]
    fn the_system_token_lies_beside_the_store() {
        let place = |vars: &[(&str, &str)]| system_token(&access("", vars).environment).unwrap();
        assert_eq!(place(&[]), Path::new("system-token"));
        assert_eq!(place(&[("CATALYST_PKI_CERTS_DB", "/data/pki.db")]), Path::new("/data/system-token"));
    }

    #[test]
    fn the_url_comes_from_the_command_then_the_environment_then_this_machine() {
        let vars = [("CATALYST_AUTH_URL", "https://b")];
        let url = |access| options(access).unwrap().url.to_string();
        assert_eq!(url(access("https://a", &vars)), "https://a:443");
        assert_eq!(url(Access { url: None, ..access("", &vars) }), "https://b:443");
        assert_eq!(url(Access { url: None, ..access("", &[]) }), "http://localhost:4020");
    }
}
