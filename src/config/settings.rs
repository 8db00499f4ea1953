//! What the operator wants, as plain checked values. The defaults live here, the ranges in `check.rs`.

use super::colour::Colour;
use super::listener::{CertificateFiles, ListenUrl, Listener};
use crate::broker::{Durabilities, Durability, RoleName, TopicSettings};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be configured, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The folder that holds the database, the keys and the certificates. Default `securemq-data`.
    pub data_dir: PathBuf,
    /// Threads that serve clients, 1 to 1,024. Default: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Where clients may connect. Default: encrypted, port 8883, every address.
    pub listeners: Vec<Listener>,
    /// Certificates and TLS.
    pub tls: TlsSettings,
    /// Who may log in, and how fast.
    pub auth: AuthSettings,
    /// What one client, and all together, may make the broker hold.
    pub limits: LimitSettings,
    /// The event log.
    pub log: LogSettings,
    /// Where the master key comes from.
    pub key: KeySettings,
    /// The database.
    pub store: StoreSettings,
    /// What holds for some topics alone, the first that matches. Default: nothing.
    pub topics: Vec<TopicSettings>,
    /// The web pages.
    pub web: WebSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("securemq-data"),
            workers: None,
            listeners: vec![Listener::new(ListenUrl::usual())],
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            limits: LimitSettings::default(),
            log: LogSettings::default(),
            key: KeySettings::default(),
            store: StoreSettings::default(),
            topics: Vec::new(),
            web: WebSettings::default(),
        }
    }
}

impl Config {
    /// What acknowledgements promise, and what happens when a queue is full, by listener and topic.
    pub fn durabilities(&self) -> Durabilities {
        let of_listeners = self.listeners.iter().filter_map(|listener| listener.durability);
        Durabilities::new(self.store.durability, of_listeners, self.topics.clone())
    }

    /// What is allowed but weakens the broker; said at every start.
    pub fn warnings(&self) -> Vec<Warning> {
        let urls = self.listeners.iter().map(|listener| &listener.url);
        let mut warnings: Vec<Warning> = urls
            .filter(|url| !url.transport.is_secure() && !url.is_loopback())
            .map(|url| Warning::PlaintextListener(url.clone()))
            .collect();
        if self.web.is_enabled && self.web.is_readable_on_the_way() {
            warnings.push(self.web.warning());
        }
        warnings.extend(self.auth.anonymous_role.clone().map(Warning::AnonymousClients));
        warnings
    }
}

/// Something that is allowed but weakens the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Passwords and messages cross a network unencrypted.
    #[error("{0} is not encrypted and other machines can reach it: whoever is on the way reads passwords and messages")]
    PlaintextListener(ListenUrl),
    /// Passwords cross a network unencrypted.
    #[error("the web pages on {0} are not encrypted (web.plain): whoever is on the way reads every password")]
    PlaintextPages(SocketAddr),
    /// Clients without credentials are admitted.
    #[error("clients without credentials are admitted with the role {0} (auth.anonymous_role)")]
    AnonymousClients(RoleName),
}

/// Certificates and TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// The server's certificate. Default: the one the broker made in `tls` of its data folder.
    pub server_certificate: Option<CertificateFiles>,
    /// The CA, PEM, that signs client certificates. Default: the one the broker made in `tls` of its data folder.
    pub client_ca: Option<PathBuf>,
    /// Which field of a client certificate names the user. Default [`CertificateUser::CommonName`].
    pub certificate_user: CertificateUser,
    /// The oldest TLS version that clients may speak. Default [`TlsVersion::V1_2`].
    pub minimum_version: TlsVersion,
    /// Revoked client certificates, PEM or DER, read again on SIGHUP. Default: none.
    pub crl: Option<PathBuf>,
}

/// Which field of a client certificate names the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateUser {
    /// `cn`: the common name of the subject.
    #[default]
    CommonName,
    /// `san-uri`: the only URI among the subject's alternative names.
    SanUri,
    /// `san-dns`: the only DNS name among the subject's alternative names.
    SanDns,
}

impl CertificateUser {
    /// Every field.
    pub const ALL: [Self; 3] = [Self::CommonName, Self::SanUri, Self::SanDns];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommonName => "cn",
            Self::SanUri => "san-uri",
            Self::SanDns => "san-dns",
        }
    }
}

/// A version of TLS that is still safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    /// `1.2`
    #[default]
    V1_2,
    /// `1.3`
    V1_3,
}

impl TlsVersion {
    /// Every version.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// Who may log in, and how fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// The role of clients without credentials. Default: they are refused.
    pub anonymous_role: Option<RoleName>,
    /// Logins that may wait for their password to be checked, 1 to 100,000; more are refused as "server busy". Default
    /// 256: about four seconds of work for one thread, and a few classes that log in at once.
    pub max_login_checks_waiting: usize,
    /// Threads that check passwords, 1 to 256. Default: one per two cores.
    pub login_threads: Option<NonZeroUsize>,
    /// Failed logins per minute of one user from one address, 1 to 10,000; more are refused without a check.
    /// Default 10.
    pub failed_logins_per_minute: u32,
    /// How long a checked password is remembered in memory, 0 (not at all) to 86,400 s, so that a storm of clients
    /// coming back costs little. Any change of the user ends it. Default 300 s.
    pub login_cache: Duration,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            anonymous_role: None,
            max_login_checks_waiting: 256,
            login_threads: None,
            failed_logins_per_minute: 10,
            login_cache: Duration::from_secs(300),
        }
    }
}

/// What one client, and all together, may make the broker hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Connections at a time, 1 to 10,000,000; fewer if the system allows fewer open files. Default 100,000.
    pub max_connections: usize,
    /// The largest packet in bytes, both ways, 1,024 to 268,435,455. Default 1 MiB.
    pub max_packet_size: u32,
    /// The largest packet in bytes before login, 1,024 to 1 MiB and never more than `max_packet_size`: what a stranger
    /// can make the broker hold. Default 64 KiB.
    pub pre_login_packet_size: u32,
    /// How long a connection may take until its CONNECT is there, TLS and WebSocket handshakes included, 1 to 300 s.
    /// Default 10 s.
    pub connect_timeout: Duration,
    /// Unfinished QoS 1 and 2 messages that a client may send to the broker, 1 to 65,535. Default 1,024.
    pub receive_maximum: u16,
    /// Unfinished QoS 1 and 2 messages that the broker sends to a client, 1 to 65,535, or fewer if the client says so.
    /// Default 1,024.
    pub max_inflight: u16,
    /// Topic aliases that a client may use, and that the broker uses towards it, 0 to 65,535. Default 64.
    pub topic_alias_maximum: u16,
    /// The longest keep alive, 0 (no limit) to 65,535 s. A client that asks for more, or for none, gets this one: v5
    /// clients are told, older ones are closed after one and a half times as long a silence. Default 3,600 s.
    pub max_keep_alive: Duration,
    /// The longest time a session is kept without its client, 0 to 4,294,967,294 s; sessions that ask for more, or for
    /// ever, get this. Default 7 days.
    pub max_session_expiry: Duration,
    /// Sessions kept at a time, with and without their clients, 1 to 100,000,000. Default 1,000,000.
    pub max_sessions: usize,
    /// Messages queued for one session, 0 to 100,000,000. Default 1,000,000.
    pub max_queued_messages: usize,
    /// Bytes of the messages queued for one session, 0 to 1 TiB: on disk for sessions that outlive their connection; of
    /// others at most 16 MiB in memory. Default 1 GiB.
    pub max_queued_bytes: u64,
    /// Messages queued for all sessions together, 0 to 1,000,000,000. Each worker has its share, so sessions that happen to
    /// be of one worker reach it earlier. Default 20,000,000.
    pub max_all_queued_messages: usize,
    /// Bytes of these, 0 to 1 TiB, shared out as their number is. Default 16 GiB.
    pub max_all_queued_bytes: u64,
    /// Subscriptions of one session, 1 to 10,000,000. Default 100,000.
    pub max_subscriptions: usize,
    /// Retained messages of the whole broker, 0 to 100,000,000. Default 1,000,000.
    pub max_retained_messages: usize,
    /// Bytes of all retained messages, 0 to 1 TiB. Default 256 MiB.
    pub max_retained_bytes: u64,
    /// User properties in one packet, 0 to 65,535. Default 64.
    pub max_user_properties: usize,
    /// Bytes waiting to be sent to one connection, 4,096 to 1 GiB; above it QoS 0 messages for it are dropped and others
    /// wait in its session. Default 1 MiB.
    pub outbound_buffer_bytes: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_packet_size: 1024 * 1024,
            pre_login_packet_size: 64 * 1024,
            connect_timeout: Duration::from_secs(10),
            receive_maximum: 1_024,
            max_inflight: 1_024,
            topic_alias_maximum: 64,
            max_keep_alive: Duration::from_secs(3_600),
            max_session_expiry: Duration::from_secs(7 * 24 * 3_600),
            max_sessions: 1_000_000,
            max_queued_messages: 1_000_000,
            max_queued_bytes: 1024 * 1024 * 1024,
            max_all_queued_messages: 20_000_000,
            max_all_queued_bytes: 16 * 1024 * 1024 * 1024,
            max_subscriptions: 100_000,
            max_retained_messages: 1_000_000,
            max_retained_bytes: 256 * 1024 * 1024,
            max_user_properties: 64,
            outbound_buffer_bytes: 1024 * 1024,
        }
    }
}

/// The event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Whether every published message is an event. Default true.
    pub publish: bool,
    /// Events kept per second, 1 to 1,000,000; more are counted and left out. Default 2,000.
    pub max_events_per_second: u32,
    /// How long events are kept, 1 to 36,500 days. Default 30.
    pub keep_days: u32,
    /// The largest the log may become in the database, 1 to 1,048,576 MiB; the oldest events go first. Default 512.
    pub max_size_mb: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { publish: true, max_events_per_second: 2_000, keep_days: 30, max_size_mb: 512 }
    }
}

/// Where the master key comes from.
///
/// In this order: the environment variable `SECUREMQ_MASTER_KEY`, the systemd credential `securemq-master-key`, then
/// what stands here. The key itself is never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeySettings {
    /// The file `master.key` that the broker made in its data folder.
    #[default]
    Made,
    /// `key.file`: a file with the key, readable by its owner alone.
    File(PathBuf),
    /// `key.passphrase_file`: a file with a passphrase, readable by its owner alone, from which the key is computed.
    PassphraseFile(PathBuf),
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreSettings {
    /// What an acknowledgement promises. Default [`Durability::Commit`].
    pub durability: Durability,
}

/// The web pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// Whether `serve` hosts them; `securemq web` does in any case. Default false.
    pub is_enabled: bool,
    /// The address to listen on. Default 127.0.0.1; on any other they are served over TLS.
    pub listen: IpAddr,
    /// The port, 0 (any free one) to 65,535. Default 5000.
    pub port: u16,
    /// Whether they are served without TLS beyond this machine, too. Default false.
    pub plain: bool,
    /// The colour of buttons and links; each theme makes it as light or dark as can be read there. Default none: ours.
    pub accent: Option<Colour>,
    /// An image in place of our logo: PNG, JPEG or WebP of at most 32 KiB. Default none.
    pub logo: Option<PathBuf>,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            is_enabled: false,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 5000,
            plain: false,
            accent: None,
            logo: None,
        }
    }
}

impl WebSettings {
    /// Whether they need a certificate.
    pub fn needs_tls(&self) -> bool {
        !self.plain && !self.listen.to_canonical().is_loopback()
    }

    /// Whether somebody between the browser and this machine could read along.
    pub fn is_readable_on_the_way(&self) -> bool {
        self.plain && !self.listen.to_canonical().is_loopback()
    }

    /// What is said if it is.
    pub fn warning(&self) -> Warning {
        Warning::PlaintextPages(SocketAddr::new(self.listen, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_warned_about_by_default() {
        assert_eq!(Config::default().warnings(), []);
    }

    #[test]
    fn plaintext_beyond_loopback_and_anonymous_clients_are_warned_about() {
        let url: ListenUrl = "mqtt://0.0.0.0".parse().expect("a URL");
        let role = RoleName::new("Student").expect("a name");
        let config = Config {
            listeners: vec![
                Listener::new(ListenUrl::usual()),
                Listener::new("ws://localhost".parse().expect("a URL")),
                Listener::new(url.clone()),
            ],
            auth: AuthSettings { anonymous_role: Some(role.clone()), ..AuthSettings::default() },
            ..Config::default()
        };
        assert_eq!(config.warnings(), [Warning::PlaintextListener(url), Warning::AnonymousClients(role)]);
    }
}
