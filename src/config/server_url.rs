//! Where another server is, to which we connect as its client.

use super::listener::{InvalidListenUrl, ListenUrl, Transport, parse_path, port_number, split_port};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A server: `mqtts://broker.example.org:8883`, `mqtt://127.0.0.1`, `wss://[::1]:8084/mqtt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// What carries the bytes.
    pub transport: Transport,
    /// The machine.
    pub host: ServerHost,
    /// The TCP port.
    pub port: u16,
    /// The path of a WebSocket, with its first slash; empty for the others.
    pub path: String,
}

/// A machine by its name or address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerHost {
    /// This address.
    Address(IpAddr),
    /// 127.0.0.1 and ::1, without asking DNS or a hosts file.
    Localhost,
    /// A name to be looked up.
    Name(String),
}

/// Why a string is no [`ServerUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerUrl {
    /// Wrong in the way of any URL of MQTT.
    #[error(transparent)]
    Url(#[from] InvalidListenUrl),
    /// The host is missing, or no name of a machine.
    #[error("its host {0:?} is neither a name nor an IP address")]
    Host(String),
    /// There is no port 0 to connect to.
    #[error("its port 0 cannot be connected to")]
    PortZero,
}

impl ServerUrl {
    /// A server with the path that is usual for its transport.
    pub fn new(transport: Transport, host: ServerHost, port: u16) -> Self {
        let path = if transport.is_websocket() { ListenUrl::USUAL_PATH.to_owned() } else { String::new() };
        Self { transport, host, port, path }
    }
}

impl ServerHost {
    /// Whether what is sent there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.to_canonical().is_loopback(),
            Self::Localhost => true,
            Self::Name(_) => false,
        }
    }

    /// Its addresses, as far as they are known without asking anybody.
    pub fn known_addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::Address(address) => vec![*address],
            Self::Localhost => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            Self::Name(_) => Vec::new(),
        }
    }
}

impl FromStr for ServerHost {
    type Err = InvalidServerUrl;

    /// An IPv6 address may stand in brackets, as in a URL, or without.
    fn from_str(host: &str) -> Result<Self, InvalidServerUrl> {
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(Self::Localhost);
        }
        let invalid = || InvalidServerUrl::Host(host.to_owned());
        if let Some(inside) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inside.parse().map(|address| Self::Address(IpAddr::V6(address))).map_err(|_| invalid());
        }
        if let Ok(address) = host.parse() {
            return Ok(Self::Address(address));
        }
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_name = host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label);
        if is_name { Ok(Self::Name(host.to_owned())) } else { Err(invalid()) }
    }
}

impl fmt::Display for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost => f.write_str("localhost"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for ServerUrl {
    type Err = InvalidServerUrl;

    fn from_str(url: &str) -> Result<Self, InvalidServerUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidListenUrl::Scheme)?;
        let transport = Transport::ALL
            .into_iter()
            .find(|transport| scheme.eq_ignore_ascii_case(transport.scheme()))
            .ok_or(InvalidListenUrl::Scheme)?;
        if let Some(odd) = rest.chars().find(|&c| matches!(c, '@' | '?' | '#' | '\\') || c <= ' ' || !c.is_ascii()) {
            return Err(InvalidListenUrl::Character(odd).into());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority);
        let port = match port {
            None => transport.usual_port(),
            Some(digits) => port_number(digits).ok_or_else(|| InvalidListenUrl::Port(digits.to_owned()))?,
        };
        if port == 0 {
            return Err(InvalidServerUrl::PortZero);
        }
        Ok(Self { transport, host: host.parse()?, port, path: parse_path(path, transport)? })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.transport.scheme())?;
        match &self.host {
            ServerHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            host @ (ServerHost::Address(IpAddr::V4(_)) | ServerHost::Localhost | ServerHost::Name(_)) => host.fmt(f)?,
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
            ("mqtts://broker.example.org", "mqtts://broker.example.org:8883"),
            ("MQTT://LocalHost/", "mqtt://localhost:1883"),
            ("mqtts://[::1]", "mqtts://[::1]:8883"),
            ("wss://10.0.0.1/a/b", "wss://10.0.0.1:8084/a/b"),
            ("ws://my_broker:80", "ws://my_broker:80/mqtt"),
        ] {
            let parsed: ServerUrl = url.parse().expect(url);
            assert_eq!(parsed.to_string(), shown, "{url}");
            assert_eq!(shown.parse::<ServerUrl>().expect(shown), parsed, "{shown} means the same");
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong() {
        for (url, problem) in [
            ("localhost", InvalidServerUrl::Url(InvalidListenUrl::Scheme)),
            ("http://localhost", InvalidServerUrl::Url(InvalidListenUrl::Scheme)),
            ("mqtts://", InvalidServerUrl::Host(String::new())),
            ("mqtts://a..b", InvalidServerUrl::Host("a..b".into())),
            ("mqtts://[a]", InvalidServerUrl::Host("[a]".into())),
            ("mqtts://localhost:0", InvalidServerUrl::PortZero),
            ("mqtts://localhost:x", InvalidServerUrl::Url(InvalidListenUrl::Port("x".into()))),
            ("mqtts://localhost/mqtt", InvalidServerUrl::Url(InvalidListenUrl::Path)),
            ("mqtts://me:secret@localhost", InvalidServerUrl::Url(InvalidListenUrl::Character('@'))),
        ] {
            assert_eq!(url.parse::<ServerUrl>(), Err(problem), "{url}");
        }
    }

    #[test]
    fn a_host_is_an_address_with_or_without_brackets_or_a_name() {
        let host = |text: &str| text.parse::<ServerHost>().expect(text);
        assert_eq!(host("::1"), host("[::1]"));
        assert!(host("::1").is_loopback() && host("LOCALHOST").is_loopback() && host("127.0.0.2").is_loopback());
        assert!(!host("localhost.example.org").is_loopback());
        assert_eq!(host("localhost").known_addresses().len(), 2);
        assert!(host("broker").known_addresses().is_empty());
    }
}
