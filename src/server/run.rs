//! From what the operator wants to a running broker, and back to nothing.

use super::alarm::Alarm;
use super::clock::{Clock, unix_millis};
use super::error::ServerError;
use super::front::{Front, FrontDesk, Reception};
use super::handle::Handle;
use super::heartbeat::{LastRun, keep_beating};
use super::listener::BoundListener;
use super::lock::FolderLock;
use super::mailbox::Mail;
use super::past::{Past, load_past};
use super::post::Post;
use super::transport::{
    Acceptor, Application, ClientCertificates, TlsFiles, TlsOptions, TlsSettings, TlsSettingsError,
};
use super::watch::{InForce, accounts, restored, watch_directory};
use super::worker::Worker;
use super::world::World;
use crate::audit::{Journal, JournalSettings};
use crate::auth::{Allowance, AuthSettings, Authenticator, IdentityField, Method, Rehash, TlsFolder};
use crate::broker::{
    AuditEvent, Effects, EventKind, Input, Limits, Message, Policy, RetainedVersion, Shard, ShardId, Timestamp, Who,
};
use crate::config::{Authentication, CertificateUser, Config, Host, ListenUrl, Listener, Transport};
use crate::store::{self, Database, Writer};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// A running broker.
pub struct Broker {
    database: Database,
    writer: Writer,
    journal: Journal,
    post: Arc<Post>,
    handle: Handle,
    tls: Vec<Arc<TlsSettings>>,
    open: Vec<OpenListener>,
    places: usize,
    wanted_places: usize,
    workers: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    heart: tokio::task::JoinHandle<()>,
    _lock: Arc<FolderLock>,
}

/// A listener that clients can connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenListener {
    /// As configured, with the port that it really has.
    pub url: ListenUrl,
}

/// Everything that the workers need to begin.
struct Beginning {
    shards: u16,
    limits: Limits,
    policy: Arc<Policy>,
    retained: Arc<Vec<(Arc<Message>, RetainedVersion)>>,
    desk: Arc<FrontDesk>,
    listeners: Vec<Arc<BoundListener>>,
    stop: CancellationToken,
}

/// Descriptors that are not connections: database, listeners, logs, wake-ups of the workers.
const OTHER_DESCRIPTORS: u64 = 128;

/// Password hashes that wait to be stored anew; more are made again at the next login.
const REHASHES_WAITING: usize = 64;

impl Broker {
    /// Starts the broker on an open database. When this returns, clients can connect.
    ///
    /// # Errors
    /// Anything that keeps it from serving as configured; then nothing of it is left running.
    pub async fn start(
        config: &Config,
        database: Database,
        own: &TlsFolder,
        version: &str,
    ) -> Result<Self, ServerError> {
        let lock = Arc::new(FolderLock::take(&config.data_dir).await?);
        database.drop_unused_keys().await?;
        // Before what they speak of is read: what comes in between is taken up again.
        let import = database.last_retained_import().await?;
        let directory = database.directory().await?;
        if let Some(role) = &config.auth.anonymous_role
            && !directory.roles.iter().any(|known| known.name == *role)
        {
            return Err(ServerError::NoSuchRole(role.clone()));
        }
        let mut tls = Vec::new();
        let listeners = bind_listeners(config, own, &mut tls)?;
        let open = listeners.iter().map(|(url, _)| OpenListener { url: url.clone() }).collect();
        let authenticator = Arc::new(Authenticator::start(&auth_settings(config), accounts(&directory))?);
        let writer = Writer::start_with(database.clone(), config.store.durability);
        let journal = Journal::start(database.clone(), writer.handle(), journal_settings(config));
        let shards = worker_count(config);
        let run = database.begin_run().await?;
        let begin = store::StoreOp::Begin { run, shards };
        writer.handle().store(vec![begin]).await.map_err(ServerError::Begin)?;
        let (pasts, last_change) = load_past(&database, shards).await?;
        let last_run = LastRun { beat: lock.last_beat(), last_change };
        let clock = Clock::going_on(last_run.go_on_at(unix_millis()));
        let went_down = last_run.went_down(clock.now());
        let post = Arc::new(Post::new(shards, writer.handle(), journal.handle(), database.clone(), run, clock));
        let (rehash_sender, rehashes) = mpsc::channel(REHASHES_WAITING);
        let stop = CancellationToken::new();
        let places = places_for_connections(config);
        let policy = Arc::new(directory.policy());
        let beginning = Beginning {
            shards,
            limits: limits_of(config, shards),
            policy: Arc::clone(&policy),
            retained: Arc::new(restore_retained(&database).await?),
            desk: Arc::new(FrontDesk {
                authenticator: Arc::clone(&authenticator),
                anonymous_role: config.auth.anonymous_role.clone(),
                connect_timeout: config.limits.connect_timeout,
                pre_login_packet_size: config.limits.pre_login_packet_size,
                places: Arc::new(Semaphore::new(places)),
                rehashes: rehash_sender,
                post: Arc::clone(&post),
                clock,
            }),
            listeners: listeners.into_iter().map(|(_, listener)| listener).collect(),
            stop: stop.clone(),
        };
        let workers = start_workers(&beginning, pasts, went_down, run)?;
        let heart = tokio::spawn(keep_beating(Arc::downgrade(&lock), last_run.beat, clock, stop.clone()));
        database.put_in_force(directory.generation).await?;
        let handle = Handle::new(Arc::clone(&post), Arc::clone(&authenticator), clock);
        tokio::spawn(handle.clone().keep_history(stop.clone()));
        tokio::spawn(watch_directory(
            database.clone(),
            InForce { generation: directory.generation, import },
            authenticator,
            Arc::clone(&post),
            stop.clone(),
        ));
        tokio::spawn(Alarm::default().watch(Arc::clone(&post), stop.clone()));
        tokio::spawn(store_rehashes(database.clone(), rehashes));
        let kind = EventKind::Started { version: version.to_owned() };
        post.record(AuditEvent { who: Who::default(), kind });
        let wanted_places = config.limits.max_connections;
        Ok(Self {
            database,
            writer,
            journal,
            post,
            handle,
            tls,
            open,
            places,
            wanted_places,
            workers,
            stop,
            heart,
            _lock: lock,
        })
    }

    /// Where clients can connect.
    pub fn listeners(&self) -> &[OpenListener] {
        &self.open
    }

    /// For those who administer it while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// How many connections the system allows, and how many were asked for, if those are more.
    pub fn fewer_connections(&self) -> Option<(usize, usize)> {
        (self.places < self.wanted_places).then_some((self.places, self.wanted_places))
    }

    /// Reads the certificate files again; connections that exist are not touched. What cannot be used is left as it was.
    pub fn reload_certificates(&self) -> Result<(), TlsSettingsError> {
        self.tls.iter().try_for_each(|settings| settings.reload())
    }

    /// Stops: no more connections, wills out, clients told, everything committed.
    pub async fn stop(self) {
        self.stop.cancel();
        for worker in 0..self.workers.len() {
            self.post.mail(worker, Mail::ShutDown);
        }
        let joined = tokio::task::spawn_blocking(move || {
            for worker in self.workers {
                if worker.join().is_err() {
                    tracing::error!("a worker ended early");
                }
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "the workers could not be waited for");
        }
        self.post.record(AuditEvent { who: Who::default(), kind: EventKind::Stopped });
        self.journal.close().await;
        self.writer.close().await;
        if let Err(error) = self.heart.await {
            tracing::error!(%error, "the time of the stop was not noted");
        }
        if let Err(error) = self.database.close().await {
            tracing::error!(%error, "the database was not closed cleanly");
        }
    }
}

/// One per core, unless configured; never more than there are partitions to own.
fn worker_count(config: &Config) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let wanted = config.workers.map_or_else(cores, NonZeroUsize::get);
    u16::try_from(wanted).unwrap_or(u16::MAX).clamp(1, crate::broker::PARTITIONS)
}

fn start_workers(
    beginning: &Beginning,
    pasts: Vec<Past>,
    went_down: Timestamp,
    run: u64,
) -> Result<Vec<JoinHandle<()>>, ServerError> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServerError::Worker);
    // All or none: a worker that began would wait for the others.
    let runtimes = (0..beginning.shards).map(|_| runtime()).collect::<Result<Vec<_>, _>>()?;
    let together = Arc::new(Barrier::new(usize::from(beginning.shards)));
    let mut workers = Vec::new();
    for ((number, past), runtime) in (0..beginning.shards).zip(pasts).zip(runtimes) {
        let together = Arc::clone(&together);
        let id = ShardId(number);
        let mut shard = Shard::new(id, beginning.shards, beginning.limits.clone(), Arc::clone(&beginning.policy));
        let retained = Arc::clone(&beginning.retained);
        let (limits, desk) = (beginning.limits.clone(), Arc::clone(&beginning.desk));
        let (listeners, stop) = (beginning.listeners.clone(), beginning.stop.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        let body = move || {
            let (clock, post) = (desk.clock, Arc::clone(&desk.post));
            for (message, version) in retained.iter() {
                let input = Input::Restored { message: Arc::clone(message), version: *version };
                shard.handle(clock.now(), input, &mut Effects::default());
            }
            drop(retained);
            let Some(mailbox) = post.mailboxes.get(usize::from(number)).map(Arc::clone) else { return };
            let world = Rc::new(World::new(id, shard, limits, clock, post));
            let front = Rc::new(Front::new(Rc::clone(&world), desk));
            let worker = Worker { world, mailbox, front, listeners, stop };
            worker.recover(&past, went_down, run, &together);
            drop(past);
            worker.run(&runtime);
        };
        workers.push(thread.spawn(body).map_err(ServerError::Worker)?);
    }
    Ok(workers)
}

/// The retained messages of the store.
async fn restore_retained(database: &Database) -> Result<Vec<(Arc<Message>, RetainedVersion)>, ServerError> {
    let loaded = database.load_retained().await?;
    for damaged in &loaded.damaged {
        tracing::error!(error = %damaged, "a retained message cannot be read and is left out");
    }
    Ok(loaded.records.into_iter().map(restored).collect())
}

async fn store_rehashes(database: Database, mut rehashes: mpsc::Receiver<Rehash>) {
    while let Some(rehash) = rehashes.recv().await {
        if let Err(error) = database.replace_password_hash(&rehash.user, &rehash.old, &rehash.new).await {
            tracing::warn!(%error, "a password hash was not stored anew; the next login tries again");
        }
    }
}

fn bind_listeners(
    config: &Config,
    own: &TlsFolder,
    tls: &mut Vec<Arc<TlsSettings>>,
) -> Result<Vec<(ListenUrl, Arc<BoundListener>)>, ServerError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let reception = Arc::new(Reception {
            acceptor: acceptor(config, listener, own, tls)?,
            method: method(listener.authentication),
            durability: listener.durability,
        });
        let addresses = listener.url.addresses();
        let mut port = None;
        for mut address in addresses {
            if address.port() == 0
                && let Some(port) = port
            {
                // With a port chosen by the system, both address families get the same.
                address.set_port(port);
            }
            match BoundListener::bind(address, Arc::clone(&reception)) {
                Ok(open) => {
                    port = Some(open.address().port());
                    let url = ListenUrl {
                        host: Host::Address(address.ip()),
                        port: open.address().port(),
                        ..listener.url.clone()
                    };
                    bound.push((url, Arc::new(open)));
                }
                // A machine without IPv6 has no [::]; that is no reason not to serve on the other address.
                Err(ServerError::Bind { source, .. })
                    if address.is_ipv6() && port.is_some() && source.kind() == std::io::ErrorKind::AddrNotAvailable => {
                }
                Err(ServerError::Bind { source, .. })
                    if address.is_ipv6() && port.is_some() && source.raw_os_error() == Some(EAFNOSUPPORT) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bound)
}

/// "Address family not supported": the kernel has no IPv6.
const EAFNOSUPPORT: i32 = 97;

fn acceptor(
    config: &Config,
    listener: &Listener,
    own: &TlsFolder,
    tls: &mut Vec<Arc<TlsSettings>>,
) -> Result<Acceptor, ServerError> {
    let path = Arc::from(listener.url.path.as_str());
    let mut encrypted = |application| -> Result<Arc<TlsSettings>, ServerError> {
        let settings = Arc::new(TlsSettings::load(tls_options(config, listener, own, application))?);
        tls.push(Arc::clone(&settings));
        Ok(settings)
    };
    Ok(match listener.url.transport {
        Transport::Tcp => Acceptor::Tcp,
        Transport::Tls => Acceptor::Tls(encrypted(Application::Mqtt)?),
        Transport::WebSocket => Acceptor::WebSocket { path },
        Transport::SecureWebSocket => Acceptor::SecureWebSocket { tls: encrypted(Application::WebSocket)?, path },
    })
}

fn tls_options(config: &Config, listener: &Listener, own: &TlsFolder, application: Application) -> TlsOptions {
    let configured = listener.certificate.as_ref().or(config.tls.server_certificate.as_ref());
    let (certificate, key) = match configured {
        Some(files) => (files.certificate.clone(), files.private_key.clone()),
        None => (own.server_certificate(), own.server_key()),
    };
    let asks = listener.authentication.asks_for_certificate();
    TlsOptions {
        files: TlsFiles {
            certificate,
            key,
            client_ca: asks.then(|| config.tls.client_ca.clone().unwrap_or_else(|| own.ca_certificate())),
            revocations: config.tls.crl.iter().filter(|_| asks).cloned().collect(),
        },
        client_certificates: match listener.authentication {
            Authentication::Password => ClientCertificates::NotAsked,
            Authentication::PasswordOrCertificate => ClientCertificates::Optional,
            Authentication::Certificate | Authentication::PasswordAndCertificate => ClientCertificates::Required,
        },
        application,
        minimum_version: config.tls.minimum_version,
    }
}

/// What the web pages are served with beyond this machine.
pub struct WebTls(Arc<TlsSettings>);

impl WebTls {
    /// Reads the server's certificate.
    pub fn load(config: &Config, own: &TlsFolder) -> Result<Self, ServerError> {
        let listener = Listener { authentication: Authentication::Password, ..Listener::new(ListenUrl::usual()) };
        let options = tls_options(config, &listener, own, Application::WebSocket);
        Ok(Self(Arc::new(TlsSettings::load(options)?)))
    }

    /// For whoever listens; it goes on with the certificate of the moment.
    pub fn server_config(&self) -> tokio_rustls::rustls::ServerConfig {
        self.0.server_config()
    }

    /// Reads the files again. What cannot be used is left as it was.
    pub fn reload(&self) -> Result<(), TlsSettingsError> {
        self.0.reload()
    }
}

fn method(authentication: Authentication) -> Method {
    match authentication {
        Authentication::Password => Method::Password,
        Authentication::Certificate => Method::Certificate,
        Authentication::PasswordOrCertificate => Method::PasswordOrCertificate,
        Authentication::PasswordAndCertificate => Method::PasswordAndCertificate,
    }
}

/// How logins are checked, as configured.
pub fn auth_settings(config: &Config) -> AuthSettings {
    let usual = AuthSettings::default();
    AuthSettings {
        identity: match config.tls.certificate_user {
            CertificateUser::CommonName => IdentityField::CommonName,
            CertificateUser::SanUri => IdentityField::SanUri,
            CertificateUser::SanDns => IdentityField::SanDns,
        },
        threads: config.auth.login_threads.map_or(usual.threads, NonZeroUsize::get),
        queue: config.auth.max_login_checks_waiting,
        cached_for: config.auth.login_cache,
        pair_allowance: Allowance::per_minute(config.auth.failed_logins_per_minute),
        ..usual
    }
}

fn journal_settings(config: &Config) -> JournalSettings {
    JournalSettings {
        max_events_per_second: config.log.max_events_per_second,
        keep_days: config.log.keep_days,
        max_size_mb: config.log.max_size_mb,
    }
}

/// The limits of one of several shards: what the whole broker may hold is divided.
fn limits_of(config: &Config, shards: u16) -> Limits {
    let limits = &config.limits;
    let small = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let seconds = |time: std::time::Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    Limits {
        max_packet_size: limits.max_packet_size,
        receive_maximum: limits.receive_maximum,
        max_inflight: limits.max_inflight,
        topic_alias_maximum: limits.topic_alias_maximum,
        max_keep_alive: u16::try_from(limits.max_keep_alive.as_secs()).unwrap_or(u16::MAX),
        max_session_expiry: seconds(limits.max_session_expiry),
        max_sessions: limits.max_sessions.div_ceil(usize::from(shards)),
        max_queued_messages: limits.max_queued_messages,
        max_queued_bytes: small(limits.max_queued_bytes),
        max_all_queued_messages: limits.max_all_queued_messages.div_ceil(usize::from(shards)),
        max_all_queued_bytes: small(limits.max_all_queued_bytes.div_ceil(u64::from(shards))),
        max_subscriptions: limits.max_subscriptions,
        max_retained_messages: limits.max_retained_messages,
        max_retained_bytes: small(limits.max_retained_bytes),
        max_user_properties: limits.max_user_properties,
        high_water: limits.outbound_buffer_bytes,
        log_publish: config.log.publish,
        max_events_per_second: config.log.max_events_per_second,
        durabilities: Arc::new(config.durabilities()),
        ..Limits::default()
    }
}

/// As many connections as configured, or as the system lets this process have open.
fn places_for_connections(config: &Config) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // More than the soft limit is ours to take; if that fails, the soft limit stands.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_clients = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
    let places = usize::try_from(for_clients).unwrap_or(usize::MAX).min(config.limits.max_connections);
    places.min(Semaphore::MAX_PERMITS)
}
