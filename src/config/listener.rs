//! Where clients may connect, and how they prove who they are there.

use crate::broker::Durability;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// One place where clients may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub url: ListenUrl,
    /// How clients prove who they are. Without TLS only [`Authentication::Password`] exists.
    pub authentication: Authentication,
    /// A server certificate for this listener alone; without one it shows that of [`super::TlsSettings`].
    pub certificate: Option<CertificateFiles>,
    /// What is promised to its clients, unless the topic says otherwise; `None` is what holds in general.
    pub durability: Option<Durability>,
}

impl Listener {
    /// A listener with the authentication usual for its transport and the common certificate.
    pub fn new(url: ListenUrl) -> Self {
        let authentication =
            if url.transport.is_secure() { Authentication::PasswordOrCertificate } else { Authentication::Password };
        Self { url, authentication, certificate: None, durability: None }
    }
}

/// A certificate and its private key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to the CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// How clients of a listener prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// User name and password; no client certificate is asked for.
    Password,
    /// A client certificate, which names the user.
    Certificate,
    /// A client certificate if the client shows one, else user name and password.
    PasswordOrCertificate,
    /// A client certificate, and the password of the user it names.
    PasswordAndCertificate,
}

impl Authentication {
    /// Every method.
    pub const ALL: [Self; 4] =
        [Self::Password, Self::Certificate, Self::PasswordOrCertificate, Self::PasswordAndCertificate];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Certificate => "certificate",
            Self::PasswordOrCertificate => "password-or-certificate",
            Self::PasswordAndCertificate => "password-and-certificate",
        }
    }

    /// Whether clients may show a certificate, so that the listener must ask for one.
    pub fn asks_for_certificate(self) -> bool {
        match self {
            Self::Password => false,
            Self::Certificate | Self::PasswordOrCertificate | Self::PasswordAndCertificate => true,
        }
    }
}

/// What carries the MQTT bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP, `mqtt://`, usually port 1883.
    Tcp,
    /// TLS over TCP, `mqtts://`, usually port 8883.
    Tls,
    /// WebSocket, `ws://`, usually port 8083.
    WebSocket,
    /// WebSocket over TLS, `wss://`, usually port 8084.
    SecureWebSocket,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    /// The word before `://`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    /// The port of a URL that names none.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Tcp => 1883,
            Self::Tls => 8883,
            Self::WebSocket => 8083,
            Self::SecureWebSocket => 8084,
        }
    }

    /// Whether it is encrypted.
    pub fn is_secure(self) -> bool {
        match self {
            Self::Tls | Self::SecureWebSocket => true,
            Self::Tcp | Self::WebSocket => false,
        }
    }

    /// Whether it is a WebSocket, so that its URL has a path.
    pub fn is_websocket(self) -> bool {
        match self {
            Self::WebSocket | Self::SecureWebSocket => true,
            Self::Tcp | Self::Tls => false,
        }
    }
}

/// Which addresses of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// This one, which may be the wildcard of its family.
    Address(IpAddr),
    /// 127.0.0.1 and ::1, without asking DNS or a hosts file.
    Localhost,
    /// 0.0.0.0 and [::].
    Any,
}

/// Where to listen: `mqtts://0.0.0.0:8883`, `mqtt://localhost`, `wss://[::]:8084/mqtt`.
///
/// A URL without a host, `mqtts://:8883`, means every address if it is encrypted and loopback if not. Port 0 is any
/// free port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenUrl {
    /// What carries the bytes.
    pub transport: Transport,
    /// Which addresses.
    pub host: Host,
    /// The TCP port; 0 takes any free one.
    pub port: u16,
    /// The path of a WebSocket, with its first slash; empty for the others.
    pub path: String,
}

/// Why a string is no [`ListenUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListenUrl {
    /// Nothing known stands before `://`.
    #[error("it does not begin with mqtt://, mqtts://, ws:// or wss://")]
    Scheme,
    /// The host is a name or a damaged address.
    #[error("its host {0:?} is not an IP address (IPv6 in brackets) or localhost")]
    Host(String),
    /// The port is no number from 0 to 65535.
    #[error("its port {0:?} is not a number from 0 to 65535")]
    Port(String),
    /// A path where there is no HTTP.
    #[error("it has a path, which only ws:// and wss:// have")]
    Path,
    /// A user name, query, fragment or white space.
    #[error("it holds {0:?}, which has no meaning here")]
    Character(char),
}

impl ListenUrl {
    /// The path of a WebSocket URL that has none.
    pub const USUAL_PATH: &'static str = "/mqtt";

    /// The encrypted listener that there is when none is configured: port 8883 on every address.
    pub fn usual() -> Self {
        Self { transport: Transport::Tls, host: Host::Any, port: Transport::Tls.usual_port(), path: String::new() }
    }

    /// The addresses to bind, one or two, each with the port. A wildcard [::] is meant for IPv6 alone.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let hosts: &[IpAddr] = match &self.host {
            Host::Address(address) => &[*address],
            Host::Localhost => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            Host::Any => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        };
        hosts.iter().map(|&host| SocketAddr::new(host, self.port)).collect()
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.addresses().iter().all(|address| address.ip().to_canonical().is_loopback())
    }
}

impl FromStr for ListenUrl {
    type Err = InvalidListenUrl;

    fn from_str(url: &str) -> Result<Self, InvalidListenUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidListenUrl::Scheme)?;
        let transport = Transport::ALL
            .into_iter()
            .find(|transport| scheme.eq_ignore_ascii_case(transport.scheme()))
            .ok_or(InvalidListenUrl::Scheme)?;
        if let Some(odd) = rest.chars().find(|&c| matches!(c, '@' | '?' | '#' | '\\') || c <= ' ' || !c.is_ascii()) {
            return Err(InvalidListenUrl::Character(odd));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority);
        let port = match port {
            None => transport.usual_port(),
            Some(digits) => port_number(digits).ok_or_else(|| InvalidListenUrl::Port(digits.to_owned()))?,
        };
        Ok(Self { transport, host: parse_host(host, transport)?, port, path: parse_path(path, transport)? })
    }
}

/// `[::1]:8883` into `[::1]` and `8883`; a colon inside the brackets is none of ours.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Digits only: `u16::from_str` would also take `+1883`.
pub(super) fn port_number(digits: &str) -> Option<u16> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn parse_host(host: &str, transport: Transport) -> Result<Host, InvalidListenUrl> {
    if host.is_empty() {
        return Ok(if transport.is_secure() { Host::Any } else { Host::Localhost });
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(Host::Localhost);
    }
    let address = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse().map(IpAddr::V6),
        None => host.parse().map(IpAddr::V4),
    };
    address.map(Host::Address).map_err(|_| InvalidListenUrl::Host(host.to_owned()))
}

pub(super) fn parse_path(path: &str, transport: Transport) -> Result<String, InvalidListenUrl> {
    match (transport.is_websocket(), path) {
        (true, "" | "/") => Ok(ListenUrl::USUAL_PATH.to_owned()),
        (true, path) => Ok(path.to_owned()),
        (false, "" | "/") => Ok(String::new()),
        (false, _) => Err(InvalidListenUrl::Path),
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.transport.scheme())?;
        match self.host {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Localhost => f.write_str("localhost")?,
            Host::Any => {}
        }
        write!(f, ":{}{}", self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_with_its_port_and_path() {
        for (url, shown) in [
            ("mqtts://0.0.0.0:8883", "mqtts://0.0.0.0:8883"),
            ("mqtts://:8883", "mqtts://:8883"),
            ("mqtts://", "mqtts://:8883"),
            ("mqtts://[::]", "mqtts://[::]:8883"),
            ("mqtt://127.0.0.1", "mqtt://127.0.0.1:1883"),
            ("MQTT://LocalHost:0/", "mqtt://localhost:0"),
            ("mqtt://", "mqtt://localhost:1883"),
            ("ws://localhost", "ws://localhost:8083/mqtt"),
            ("ws://[::1]:80/", "ws://[::1]:80/mqtt"),
            ("wss://10.0.0.1/a/b", "wss://10.0.0.1:8084/a/b"),
        ] {
            let parsed: ListenUrl = url.parse().expect(url);
            assert_eq!(parsed.to_string(), shown, "{url}");
            assert_eq!(shown.parse::<ListenUrl>().expect(shown), parsed, "{shown} means the same");
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong() {
        for (url, problem) in [
            ("", InvalidListenUrl::Scheme),
            ("1883", InvalidListenUrl::Scheme),
            ("http://localhost", InvalidListenUrl::Scheme),
            ("mqtt://example.org", InvalidListenUrl::Host("example.org".into())),
            ("mqtt://::1", InvalidListenUrl::Host(":".into())),
            ("mqtt://[127.0.0.1]", InvalidListenUrl::Host("[127.0.0.1]".into())),
            ("mqtt://[::1", InvalidListenUrl::Host("[:".into())),
            ("mqtt://localhost:", InvalidListenUrl::Port(String::new())),
            ("mqtt://localhost:+1", InvalidListenUrl::Port("+1".into())),
            ("mqtt://localhost:65536", InvalidListenUrl::Port("65536".into())),
            ("mqtt://localhost/mqtt", InvalidListenUrl::Path),
            ("ws://localhost/mqtt?a", InvalidListenUrl::Character('?')),
            ("mqtt://me@localhost", InvalidListenUrl::Character('@')),
            ("mqtt:// localhost", InvalidListenUrl::Character(' ')),
        ] {
            assert_eq!(url.parse::<ListenUrl>(), Err(problem), "{url}");
        }
    }

    #[test]
    fn localhost_and_no_host_are_two_addresses_each() {
        let addresses = |url: &str| url.parse::<ListenUrl>().expect(url).addresses();
        let both = |v4: &str, v6: &str| vec![v4.parse::<SocketAddr>().expect(v4), v6.parse().expect(v6)];
        assert_eq!(addresses("mqtt://localhost:7"), both("127.0.0.1:7", "[::1]:7"));
        assert_eq!(addresses("mqtts://:7"), both("0.0.0.0:7", "[::]:7"));
        assert_eq!(addresses("mqtts://10.0.0.1:7").len(), 1);
    }

    #[test]
    fn loopback_is_what_no_other_machine_reaches() {
        let loopback = |url: &str| url.parse::<ListenUrl>().expect(url).is_loopback();
        assert!(loopback("mqtt://127.3.2.1") && loopback("mqtt://[::1]") && loopback("mqtt://"));
        assert!(loopback("mqtt://[::ffff:127.0.0.1]"));
        assert!(!loopback("mqtt://0.0.0.0") && !loopback("mqtt://[::]") && !loopback("mqtts://"));
    }
}
