//! Every option with its range, and the checks that need several of them.

use super::listener::{Authentication, CertificateFiles, ListenUrl, Listener};
use super::problem::{ConfigProblem, ProblemKind, Wanted};
use super::reader::{Reader, TableList};
use super::settings::{
    AuthSettings, CertificateUser, Config, KeySettings, LimitSettings, LogSettings, StoreSettings, TlsSettings,
    TlsVersion, WebSettings,
};
use super::source::Setting;
use super::tree::Table;
use crate::broker::{Durabilities, Durability, QueueFull, TopicSettings};
use crate::protocol::TopicFilter;
use std::net::SocketAddr;

/// The configuration that was written, every option with its source, and everything that is wrong.
pub(super) fn check(written: Table) -> (Config, Vec<Setting>, Vec<ConfigProblem>) {
    let mut reader = Reader::new(written);
    let defaults = Config::default();
    let config = Config {
        data_dir: reader.path("data_dir", &defaults.data_dir),
        workers: reader.number_or_automatic("workers", 1_024),
        listeners: listeners(&mut reader, defaults.listeners),
        tls: tls(&mut reader),
        auth: auth(&mut reader),
        limits: limits(&mut reader),
        log: log(&mut reader),
        key: key(&mut reader),
        store: store(&mut reader),
        topics: topics(&mut reader),
        web: web(&mut reader),
    };
    let (settings, problems) = reader.finish();
    (config, settings, problems)
}

fn listeners(reader: &mut Reader, defaults: Vec<Listener>) -> Vec<Listener> {
    let mut taken = Vec::new();
    let listeners = reader.tables("listeners", "url", &LISTENERS, |reader| listener(reader, &mut taken));
    listeners.unwrap_or_else(|| {
        for (index, listener) in defaults.iter().enumerate() {
            let mut show = |name: &str, value: &str| {
                reader.default_setting(format!("listeners[{index}].{name}"), value.into());
            };
            show("url", &listener.url.to_string());
            show("authentication", listener.authentication.name());
            show("certificate", "");
            show("private_key", "");
            show("durability", "");
        }
        defaults
    })
}

fn listener(reader: &mut Reader, taken: &mut Vec<SocketAddr>) -> Option<Listener> {
    let url = reader.text("url", ListenUrl::usual(), |text| {
        text.parse().map_err(|problem| ProblemKind::Url { found: text.to_owned(), problem })
    });
    let usual = Listener::new(url.clone().unwrap_or_else(ListenUrl::usual));
    let authentication =
        reader.choice("authentication", Authentication::name, &Authentication::ALL, usual.authentication);
    let certificate = certificate_files(reader, "certificate", "private_key");
    let durability = reader.optional_choice("durability", Durability::name, &Durability::ALL);
    let listener = Listener { url: url?, authentication, certificate, durability };
    if !listener.url.transport.is_secure() {
        note_needless_certificates(reader, &listener);
    }
    let addresses = listener.url.addresses();
    let other = taken.iter().find(|other| addresses.iter().any(|address| collide(*address, **other)));
    if let Some(other) = other {
        reader.note_at("url", ProblemKind::AddressTaken(*other));
    }
    taken.extend(addresses);
    Some(listener)
}

fn note_needless_certificates(reader: &mut Reader, listener: &Listener) {
    let url = &listener.url;
    if listener.authentication.asks_for_certificate() {
        let kind = ProblemKind::CertificateWithoutTls { url: url.clone(), method: listener.authentication };
        reader.note_at("authentication", kind);
    }
    if listener.certificate.is_some() {
        reader.note_at("certificate", ProblemKind::ServerCertificateWithoutTls(url.clone()));
    }
}

/// Whether two listeners cannot both have these: the system would refuse the second.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && same_family && overlap
}

fn certificate_files(reader: &mut Reader, certificate: &str, private_key: &str) -> Option<CertificateFiles> {
    match (reader.optional_path(certificate), reader.optional_path(private_key)) {
        (Some(certificate), Some(private_key)) => Some(CertificateFiles { certificate, private_key }),
        (None, None) => None,
        (Some(_), None) => {
            reader.note_at(certificate, ProblemKind::AloneInPair(private_key.to_owned()));
            None
        }
        (None, Some(_)) => {
            reader.note_at(private_key, ProblemKind::AloneInPair(certificate.to_owned()));
            None
        }
    }
}

fn tls(reader: &mut Reader) -> TlsSettings {
    let default = TlsSettings::default();
    TlsSettings {
        server_certificate: certificate_files(reader, "tls.certificate", "tls.private_key"),
        client_ca: reader.optional_path("tls.client_ca"),
        certificate_user: reader.choice(
            "tls.certificate_user",
            CertificateUser::name,
            &CertificateUser::ALL,
            default.certificate_user,
        ),
        minimum_version: reader.choice(
            "tls.minimum_version",
            TlsVersion::name,
            &TlsVersion::ALL,
            default.minimum_version,
        ),
        crl: reader.optional_path("tls.crl"),
    }
}

fn auth(reader: &mut Reader) -> AuthSettings {
    let default = AuthSettings::default();
    AuthSettings {
        anonymous_role: reader.optional_role("auth.anonymous_role"),
        max_login_checks_waiting: reader.number(
            "auth.max_login_checks_waiting",
            1..=100_000,
            default.max_login_checks_waiting,
        ),
        login_threads: reader.number_or_automatic("auth.login_threads", 256),
        failed_logins_per_minute: reader.number(
            "auth.failed_logins_per_minute",
            1..=10_000,
            default.failed_logins_per_minute,
        ),
        login_cache: reader.seconds("auth.login_cache_seconds", 0..=86_400, default.login_cache),
    }
}

fn limits(reader: &mut Reader) -> LimitSettings {
    let default = LimitSettings::default();
    let max_connections = reader.number("limits.max_connections", 1..=10_000_000, default.max_connections);
    let max_packet_size = reader.number("limits.max_packet_size", 1_024..=268_435_455, default.max_packet_size);
    let pre_login_packet_size =
        reader.number("limits.pre_login_packet_size", 1_024..=MIB_U32, default.pre_login_packet_size);
    LimitSettings {
        max_connections,
        max_packet_size,
        pre_login_packet_size: pre_login_packet_size.min(max_packet_size),
        connect_timeout: reader.seconds("limits.connect_timeout_seconds", 1..=300, default.connect_timeout),
        receive_maximum: reader.number("limits.receive_maximum", 1..=u16::MAX, default.receive_maximum),
        max_inflight: reader.number("limits.max_inflight", 1..=u16::MAX, default.max_inflight),
        topic_alias_maximum: reader.number("limits.topic_alias_maximum", 0..=u16::MAX, default.topic_alias_maximum),
        max_keep_alive: reader.seconds("limits.max_keep_alive_seconds", 0..=65_535, default.max_keep_alive),
        max_session_expiry: reader.seconds(
            "limits.max_session_expiry_seconds",
            0..=4_294_967_294,
            default.max_session_expiry,
        ),
        max_sessions: reader.number("limits.max_sessions", 1..=100_000_000, default.max_sessions),
        max_queued_messages: reader.number("limits.max_queued_messages", 0..=100_000_000, default.max_queued_messages),
        max_queued_bytes: reader.number("limits.max_queued_bytes", 0..=TIB, default.max_queued_bytes),
        max_all_queued_messages: reader.number(
            "limits.max_all_queued_messages",
            0..=1_000_000_000,
            default.max_all_queued_messages,
        ),
        max_all_queued_bytes: reader.number("limits.max_all_queued_bytes", 0..=TIB, default.max_all_queued_bytes),
        max_subscriptions: reader.number("limits.max_subscriptions", 1..=10_000_000, default.max_subscriptions),
        max_retained_messages: reader.number(
            "limits.max_retained_messages",
            0..=100_000_000,
            default.max_retained_messages,
        ),
        max_retained_bytes: reader.number("limits.max_retained_bytes", 0..=TIB, default.max_retained_bytes),
        max_user_properties: reader.number("limits.max_user_properties", 0..=65_535, default.max_user_properties),
        outbound_buffer_bytes: reader.number(
            "limits.outbound_buffer_bytes",
            4_096..=1_073_741_824,
            default.outbound_buffer_bytes,
        ),
    }
}

fn log(reader: &mut Reader) -> LogSettings {
    let default = LogSettings::default();
    LogSettings {
        publish: reader.flag("log.publish", default.publish),
        max_events_per_second: reader.number("log.max_events_per_second", 1..=1_000_000, default.max_events_per_second),
        keep_days: reader.number("log.keep_days", 1..=36_500, default.keep_days),
        max_size_mb: reader.number("log.max_size_mb", 1..=1_048_576, default.max_size_mb),
    }
}

fn key(reader: &mut Reader) -> KeySettings {
    match (reader.optional_path("key.file"), reader.optional_path("key.passphrase_file")) {
        (None, None) => KeySettings::Made,
        (Some(file), None) => KeySettings::File(file),
        (None, Some(file)) => KeySettings::PassphraseFile(file),
        (Some(file), Some(_)) => {
            reader.note_at("key.passphrase_file", ProblemKind::Excludes("key.file".to_owned()));
            KeySettings::File(file)
        }
    }
}

fn store(reader: &mut Reader) -> StoreSettings {
    let default = StoreSettings::default();
    StoreSettings {
        durability: reader.choice("store.durability", Durability::name, &Durability::ALL, default.durability),
    }
}

fn topics(reader: &mut Reader) -> Vec<TopicSettings> {
    let topics = reader.tables("topics", "filter", &TOPICS, topic).unwrap_or_default();
    if topics.len() > Durabilities::MAX_TOPICS {
        let first_too_many = format!("topics[{}].filter", Durabilities::MAX_TOPICS);
        reader.note_at(&first_too_many, ProblemKind::TooMany(Durabilities::MAX_TOPICS));
    }
    topics
}

fn topic(reader: &mut Reader) -> Option<TopicSettings> {
    let every = TopicFilter::try_from("#").ok()?;
    let filter = reader.text("filter", every, |text| {
        TopicFilter::try_from(text).map_err(|problem| ProblemKind::Filter { found: text.to_owned(), problem })
    });
    let durability = reader.optional_choice("durability", Durability::name, &Durability::ALL);
    let queue_full = reader.choice("queue_full", QueueFull::name, &QueueFull::ALL, QueueFull::default());
    Some(TopicSettings { filter: filter?, durability, queue_full })
}

fn web(reader: &mut Reader) -> WebSettings {
    let default = WebSettings::default();
    WebSettings {
        is_enabled: reader.flag("web.enabled", default.is_enabled),
        listen: reader.address("web.listen", default.listen),
        port: reader.number("web.port", 0..=u16::MAX, default.port),
        plain: reader.flag("web.plain", default.plain),
        accent: reader.optional_colour("web.accent"),
        logo: reader.optional_path("web.logo"),
    }
}

const LISTENERS: TableList = TableList { list: Wanted::Listeners, item: Wanted::Listener };
const TOPICS: TableList = TableList { list: Wanted::Topics, item: Wanted::Topic };
const MIB_U32: u32 = 1024 * 1024;
const TIB: u64 = 1024 * 1024 * 1024 * 1024;
