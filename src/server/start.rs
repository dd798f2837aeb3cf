//! From settings to a service that answers, and to its end.

use super::{
    app::{App, Places},
    backups, connections,
    journal::Keeper,
    keeping,
    observers::Figures,
    opening::Speaks,
    routes,
    tls::{self, ServerTls},
};
use crate::{
    access::{self, Access, Policies},
    authority::{
        Authority, AuthorityError, Config, DnsPatternError, InitRequest, KeyBackends, KeyReferences, NamedKey,
    },
    identity::{
        Actor, DnsName, InstanceId, InstanceIdError, ServiceType, SystemClock, TrustDomain, Ttl, Workload,
    },
    key_stores::Kinds,
    settings::{self, Settings, SettingsError},
    store::{DataDirLock, SqliteStore, Store},
    telemetry::Metrics,
};
use catalyst_signing::{Guard, KeyStores};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::{ExposeSecret, SecretString};
use std::{error::Error, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// How long to wait before what failed at the start is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How long the end waits for key stores to close what is open.
const LETTING_GO: Duration = Duration::from_secs(5);
/// How long the end waits for a backup to be given up.
const BACKUP_PATIENCE: Duration = Duration::from_secs(30);
const SHORTEST_PRESET: usize = 32;

/// Runs the service until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// A sentence for the operator: a setting, the store, the key directory or an address that can't be used.
pub fn serve(settings: Settings, kinds: Kinds) -> Result<(), Failure> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = runtime.block_on(run(settings, kinds));
    // What is left is a call to a key store that does not come back. Dropping the runtime would wait for it.
    runtime.shutdown_background();
    end
}

/// Credentials and policies, from settings.
pub(super) async fn access(
    settings: &Settings,
    own: &Workload,
    store: Arc<dyn Store>,
    authority: &Authority,
) -> Result<Access, Failure> {
    let config = access::Config {
        own: own.clone(),
        domains: settings.domains.clone(),
        dev: settings.dev,
        bootstrap_ttl: settings.bootstrap_ttl,
    };
    let dir = settings.policy_dir.clone();
    let policies = tokio::task::spawn_blocking(move || Policies::load(dir.as_deref())).await??;
    tracing::info!(target: "catalyst.auth", policies = policies.hash(),
        directory = settings.policy_dir.as_ref().map(|dir| dir.display().to_string()), "Policies in force");
    for warning in policies.warnings() {
        tracing::warn!(target: "catalyst.auth", warning, "Policy is odd");
    }
    let mut access = Access::new(config, store, authority.clock().clone(), policies);
    if let Some(secret) = &settings.system_token {
        access.preset_system_token(secret).await?;
    }
    if let Some(secret) = &settings.bootstrap_token {
        access.preset_bootstrap_token(secret).await?;
    }
    access.read_keys().await?;
    let hash = access.policies().hash();
    if access.record_policies(&hash).await? {
        tracing::warn!(target: "catalyst.auth", policies = hash, "Policies are not those of the last start");
    }
    Ok(access)
}

/// A listener holds more connections than the 1,024 descriptors that a process begins with on most systems; that low
/// limit is for programs that use select(2). Where it can't be raised, connections wait to be accepted.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Up to its maximum a process may always go; if not, nothing is lost.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn run(settings: Settings, kinds: Kinds) -> Result<(), Failure> {
    check(&settings)?;
    let config = config(&settings)?;
    let own = own_identity(&settings, &config.trust_domain)?;
    let tls = ServerTls::prepare(&settings)?;
    let plan = backups::Plan::of(&settings)?;
    let metrics = Metrics::from_environment(&tokio::runtime::Handle::current())?;
    let (store, backup) = open_store(&settings, &kinds).await?;
    let key_stores = open_key_stores(kinds, &settings, &metrics).await?;
    let authority = Authority::open(
        config,
        store.clone(),
        key_stores.clone(),
        Arc::new(SystemClock),
        Arc::new(Figures(metrics.clone())),
    )
    .await?;
    let mut access = access(&settings, &own, store.clone(), &authority).await?;
    access.adopt_with(authority.clone());
    let journal = match settings.backup_dir.clone() {
        Some(directory) => {
            Some(Keeper::open(directory, store, authority.clock().clone(), metrics.clone()).await?)
        }
        None => None,
    };
    let places = Places {
        data_dir: settings.data_dir.clone(),
        makes_system_token: settings.system_token.is_none(),
        allowed_origins: settings.allowed_origins.clone(),
    };
    let app =
        App::new(authority.clone(), access, metrics.clone(), journal.as_ref().map(Keeper::journal), places);
    backups::read_verified(&app).await?;
    let stop = CancellationToken::new();
    // Before anybody can know that the service is up, so that no signal after that ends it the hard way.
    let end = told_to_end()?;
    let service = bind("CATALYST_PKI_LISTEN", settings.listen).await?;
    let public = match settings.public_listen {
        Some(address) => Some(bind("CATALYST_PKI_PUBLIC_LISTEN", address).await?),
        None => None,
    };
    let speaks = speaks(&settings, tls.as_ref(), settings.listen, true)?;
    let mut servers = vec![listen(service, speaks, routes::all(app.clone()), &stop, "Listening")?];
    if let Some((public, address)) = public.zip(settings.public_listen) {
        // Nobody is asked there who they are.
        let speaks = self::speaks(&settings, tls.as_ref(), address, false)?;
        let router = routes::public_only(app.clone());
        servers.push(listen(public, speaks, router, &stop, "Listening for public reads")?);
    }
    let follower = tokio::spawn(keeping::follow_policies(app.clone(), stop.clone()));
    let keeper = tokio::spawn(keeping::keep(app.clone(), stop.clone()));
    let journal = journal.map(|journal| tokio::spawn(journal.keep(stop.clone())));
    let backups = plan
        .map(|plan| tokio::spawn(backups::keep(app.clone(), plan, settings.clone(), backup, stop.clone())));
    let certificate = tls.map(|tls| tokio::spawn(tls.keep(authority.clone(), own.clone())));
    let background = tokio::spawn(bring_up(app, settings));
    end.await;
    tracing::info!(target: "catalyst.pki", "Stopping");
    stop.cancel();
    for server in servers {
        server.await?;
    }
    background.abort();
    certificate.inspect(|task| task.abort());
    follower.abort();
    // The last head of the audit log is signed once nothing more is asked of us.
    keeper.await?;
    if let Some(journal) = journal {
        journal.await?;
    }
    if let Some(backups) = backups
        && timeout(BACKUP_PATIENCE, backups).await.is_err()
    {
        tracing::warn!(target: "catalyst.pki", "Stopped while a disk had not answered — what is left of a backup is cleared away by the next");
    }
    let closed = authority.shut_down().await;
    let_go(&key_stores).await;
    closed?;
    tokio::task::spawn_blocking(move || metrics.shutdown()).await?;
    tracing::info!(target: "catalyst.pki", "Stopped");
    Ok(())
}

/// What needs keys: upkeep, the token key, the hierarchy of `--dev`. Requests are answered meanwhile.
async fn bring_up(app: App, settings: Settings) {
    let authority = app.authority();
    // First, for CRLs have to be signed also while the token key is away.
    authority.start();
    while let Err(error) = open_token_key(&app).await {
        tracing::error!(target: "catalyst.auth", error = %error, "Token key not open — no token can be made");
        tokio::time::sleep(RETRY).await;
    }
    tracing::info!(target: "catalyst.auth", "JWTTokenFactory initialized");
    if settings.dev && !authority.is_initialized() {
        tracing::info!(target: "catalyst.pki", "No existing Root CA found — generating ephemeral CA");
        if let Err(error) = authority.initialize(InitRequest::default(), Actor::Service).await {
            // What was planned is finished by the upkeep.
            tracing::error!(target: "catalyst.pki", error = %error, code = error.code(), "CA not initialized");
        }
    }
    while let Err(error) = provide_system_token(&app, &settings).await {
        tracing::error!(target: "catalyst.auth", error = %error, "No system token");
        tokio::time::sleep(RETRY).await;
    }
}

/// Opens the token key, and lets it sign from then on.
pub(super) async fn open_token_key(app: &App) -> Result<(), Failure> {
    let key = app.authority().token_key().await?;
    Ok(app.access().open(key).await?)
}

/// A preset secret takes the generated token's place.
async fn provide_system_token(app: &App, settings: &Settings) -> Result<(), Failure> {
    if settings.system_token.is_some() {
        return Ok(());
    }
    let (token, made) = app.access().system_token(&settings.data_dir).await?;
    if made || settings.dev {
        tracing::info!(target: "catalyst.auth", "System Admin Token: {}", token.expose_secret());
    }
    Ok(())
}

/// Takes an address; the error names the setting that chooses another.
async fn bind(variable: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; free the address, or choose another with {variable}")
            .into()
    })
}

/// What a listener speaks; `ask` says whether it takes certificates of clients.
fn speaks(
    settings: &Settings,
    tls: Option<&ServerTls>,
    address: SocketAddr,
    ask: bool,
) -> Result<Speaks, Failure> {
    Ok(match tls.filter(|_| tls::speaks_https(settings.tls.mode, address)) {
        None => Speaks::Http,
        Some(tls) => Speaks::Https { tls: tls.acceptor(ask)?, insecure_http: settings.tls.insecure_http },
    })
}

fn listen(
    listener: TcpListener,
    speaks: Speaks,
    router: axum::Router,
    stop: &CancellationToken,
    message: &'static str,
) -> Result<tokio::task::JoinHandle<()>, Failure> {
    tracing::info!(target: "catalyst.pki", address = %listener.local_addr()?, speaks = speaks.words(), "{message}");
    Ok(tokio::spawn(connections::serve(listener, speaks, router, stop.clone())))
}

/// Listens for SIGTERM and SIGINT from now on.
fn told_to_end() -> Result<impl Future<Output = ()>, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Opens the store. One of an earlier schema is brought to this program's, once something is kept of it as it was; answers
/// the path of the backup, if it is one.
pub(super) async fn open_store(
    settings: &Settings,
    kinds: &Kinds,
) -> Result<(Arc<dyn Store>, Option<PathBuf>), Failure> {
    let (settings, kinds, runtime) = (settings.clone(), kinds.clone(), Handle::current());
    let open = move || -> Result<_, Failure> {
        let lock = DataDirLock::acquire(&settings.data_dir)?;
        let made = backups::keep_what_was(&settings, &kinds, &runtime)?;
        Ok((SqliteStore::open_locked(&settings.certs_db, lock)?, made))
    };
    let (store, made) = tokio::task::spawn_blocking(open).await??;
    Ok((Arc::new(store), made))
}

pub(super) async fn open_key_stores(
    kinds: Kinds,
    settings: &Settings,
    metrics: &Metrics,
) -> Result<Arc<KeyStores>, Failure> {
    let settings = settings.clone();
    let stores = tokio::task::spawn_blocking(move || kinds.open(&settings)).await??;
    let guard = Guard::new(Arc::new(Figures(metrics.clone())));
    Ok(Arc::new(KeyStores::new(guard, stores)))
}

/// Sessions in an HSM are closed, if it answers in time.
pub(super) async fn let_go(key_stores: &KeyStores) {
    if timeout(LETTING_GO, key_stores.shut_down()).await.is_err() {
        tracing::warn!(target: "catalyst.pki", "Stopped while a key store had not answered — its sessions end with the process");
    }
}

/// What the table of settings can't know.
fn check(settings: &Settings) -> Result<(), Failure> {
    if settings.tls.insecure_http {
        tracing::warn!(target: "catalyst.pki",
            "CATALYST_PKI_INSECURE_HTTP is on — what other machines send and get over plain HTTP, tokens included, can be read on the way");
    }
    let too_short = |secret: &SecretString| secret.expose_secret().len() < SHORTEST_PRESET;
    if !settings.dev && settings.system_token.as_ref().is_some_and(too_short) {
        return Err(SettingsError::SecretShort {
            variable: "CATALYST_SYSTEM_TOKEN".into(),
            min_chars: SHORTEST_PRESET,
        }
        .into());
    }
    for domain in &settings.domains {
        let refused = |error: InstanceIdError| settings.values.invalid("CATALYST_DOMAINS", error.to_string());
        domain.parse::<DnsName>().map_err(refused)?;
    }
    Ok(())
}

pub(super) fn config(settings: &Settings) -> Result<Config, Failure> {
    let mut config = Config::new(settings.trust_domain.parse()?);
    config.svid_ttl = Ttl::try_from(i64::try_from(settings.svid_ttl.as_secs())?)?;
    config.issue_limit = settings.issue_limit.map(|limit| u32::try_from(limit.get()).unwrap_or(u32::MAX));
    config.signing_concurrency = settings.signing_concurrency;
    let patterns =
        settings.dns_names.iter().map(|rule| format!("{}={}", rule.service_type, rule.pattern).parse());
    let refused =
        |error: DnsPatternError| settings.values.invalid("CATALYST_PKI_DNS_NAMES", error.to_string());
    config.dns_patterns = patterns.collect::<Result<_, _>>().map_err(refused)?;
    config.algorithm = settings.algorithm.parse()?;
    let backends = settings.key_backends.clone();
    config.key_backends = KeyBackends {
        root: backends.root,
        services: backends.services,
        transport: backends.transport,
        tokens: backends.tokens,
    };
    let references = settings.key_references.clone();
    config.key_references = KeyReferences {
        root: references.root.map(named),
        services: references.services.map(named),
        transport: references.transport.map(named),
        tokens: references.tokens.map(named),
    };
    Ok(config)
}

fn named(key: settings::KeyReference) -> NamedKey {
    NamedKey { reference: key.reference, setting: Some(key.setting.to_owned()) }
}

/// `auth/<CATALYST_NODE_ID>`, else the host's name in lower case where that is an instance id, else `auth-1`.
pub(super) fn own_identity(settings: &Settings, domain: &TrustDomain) -> Result<Workload, Failure> {
    let instance: InstanceId = match &settings.node_id {
        Some(id) => id.parse().map_err(|error: InstanceIdError| {
            settings.values.invalid("CATALYST_NODE_ID", error.to_string())
        })?,
        None => {
            let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
            host.parse().or_else(|_| "auth-1".parse())?
        }
    };
    Workload::new(domain, ServiceType::Auth, instance).map_err(|error| AuthorityError::Identity(error).into())
}
