//! Why there is no connection to a server, or no longer.

use crate::config::ServerUrl;
use crate::protocol::{ConnAck, Disconnect, PacketTooLarge, ReasonCode, Text, Violation};
use crate::server::transport::TlsSettingsError;
use std::io;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

/// Why there is no connection to a server, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The files of TLS are no use.
    #[error(transparent)]
    Files(#[from] TlsSettingsError),
    /// A server with TLS, and nothing that says which certificates to trust.
    #[error("{0} speaks TLS, and there is no CA certificate that could vouch for it")]
    NoTrust(ServerUrl),
    /// A name that cannot be in a certificate.
    #[error("{0} has a host that no certificate can name")]
    NoServerName(ServerUrl),
    /// DNS knows no address.
    #[error("the address of {url} cannot be found: {source}")]
    NameUnknown {
        /// The server.
        url: ServerUrl,
        /// What the resolver says.
        source: io::Error,
    },
    /// No address can be connected to.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// The server.
        url: ServerUrl,
        /// Why not, of the address that was tried first.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("{0} does not answer")]
    TooSlow(ServerUrl),
    /// The TLS handshake failed.
    #[error("no TLS with the server: {0}")]
    Tls(TlsFailure),
    /// The WebSocket handshake failed: it is for something else, has another path, or is none.
    #[error("{0} is no WebSocket for MQTT")]
    NoWebSocket(ServerUrl),
    /// The first bytes of the server are no MQTT.
    #[error("the server speaks {0} and not MQTT")]
    Foreign(ForeignServer),
    /// The server goes before it has answered CONNECT. Before 5.0 that may be a refusal. [v311:MQTT-3.2.2-6]
    #[error("the server ended the connection without an answer")]
    NoAnswer,
    /// The server refuses.
    #[error("the server refuses the connection: {}", in_words(.0.reason, .0.properties.reason_string.as_ref()))]
    Refused(Box<ConnAck>),
    /// The server ends the connection and says why.
    #[error("the server ended the connection: {}", in_words(.0.reason, .0.properties.reason_string.as_ref()))]
    Disconnected(Box<Disconnect>),
    /// The server ends the connection and does not say why.
    #[error("the server ended the connection without a reason")]
    Closed,
    /// The network fails.
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    /// No answer to CONNECT or PINGREQ.
    #[error("the server no longer answers")]
    Silent,
    /// The server does what no server may.
    #[error("the server does not keep to MQTT: {0}")]
    Violation(#[from] Violation),
    /// A packet that cannot be split.
    #[error("a packet is longer than the server takes: {0}")]
    TooLarge(#[from] PacketTooLarge),
}

/// Why TLS did not come about, as a client sees it.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// Signed by somebody else.
    #[error("its certificate is not signed by the CA that is trusted here")]
    Untrusted,
    /// A certificate of another server.
    #[error("its certificate is for {}", list(.0))]
    OtherName(Vec<String>),
    /// Too late or too early, or a clock is wrong.
    #[error("its certificate is not valid at this time")]
    OutOfDate,
    /// Anything else about the certificate.
    #[error("its certificate is of no use ({0:?})")]
    Certificate(CertificateError),
    /// What answers is no TLS, or nothing does.
    #[error("it does not speak TLS on this port")]
    NoTls,
    /// A client certificate is demanded.
    #[error("it demands a client certificate")]
    CertificateDemanded,
    /// Ours is not taken.
    #[error("it does not accept the client certificate ({0:?})")]
    CertificateRefused(AlertDescription),
    /// Anything else.
    #[error("{0}")]
    Other(rustls::Error),
}

/// What speaks where a server of MQTT was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignServer {
    /// A handshake or an alert.
    Tls,
    /// An answer.
    Http,
    /// A greeting.
    Ssh,
}

impl std::fmt::Display for ForeignServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
        })
    }
}

impl ForeignServer {
    /// By the first bytes of a server, if one is recognised; never for CONNACK, which begins with 0x20.
    pub fn by(first: &[u8]) -> Option<Self> {
        match first {
            [0x15 | 0x16, 0x03, ..] => Some(Self::Tls),
            [b'H', b'T', b'T', b'P', ..] => Some(Self::Http),
            [b'S', b'S', b'H', b'-', ..] => Some(Self::Ssh),
            _ => None,
        }
    }
}

impl LinkError {
    /// What a read, write or handshake failed with; TLS hides its own errors in those of the network.
    pub fn of_network(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => Self::Tls(TlsFailure::of(error)),
            Err(error) => Self::Lost(error),
        }
    }

    /// The same before the end of the TLS handshake, which other protocols just hang up on.
    pub fn of_handshake(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Tls(TlsFailure::NoTls),
            _ => Self::of_network(error),
        }
    }
}

impl TlsFailure {
    /// Sorts what rustls says. Its enums may grow, so the rest of each is taken together.
    fn of(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(problem) => match problem {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Untrusted,
                CertificateError::NotValidForNameContext { presented, .. } => Self::OtherName(presented),
                CertificateError::NotValidForName => Self::OtherName(Vec::new()),
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::OutOfDate,
                other => Self::Certificate(other),
            },
            rustls::Error::InvalidMessage(_) => Self::NoTls,
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => Self::CertificateDemanded,
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied => Self::CertificateRefused(alert),
                other => Self::Other(rustls::Error::AlertReceived(other)),
            },
            other => Self::Other(other),
        }
    }
}

/// The reason, and what the server says beside it, unless that is the same again.
fn in_words(reason: ReasonCode, more: Option<&Text>) -> String {
    match more.map(Text::as_str) {
        Some(more) if more != reason.words() => format!("{reason} ({more})"),
        Some(_) | None => reason.to_string(),
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names {
        [] => "another host".to_owned(),
        names => {
            // rustls writes DnsName("localhost") and IpAddress(127.0.0.1).
            let inside = |name: &String| {
                let open = name.split_once('(').map_or(name.as_str(), |(_, inside)| inside.trim_end_matches(')'));
                open.trim_matches('"').to_owned()
            };
            let shown: Vec<String> = names.iter().take(SHOWN).map(inside).collect();
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            format!("{}{more}", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_a_server_tell_what_it_is() {
        for (bytes, expected) in [
            (&b"\x15\x03\x03\0\x02\x02\x46"[..], Some(ForeignServer::Tls)),
            (b"HTTP/1.1 400 Bad Request\r\n", Some(ForeignServer::Http)),
            (b"SSH-2.0-OpenSSH_10.0\r\n", Some(ForeignServer::Ssh)),
            (b"\x20\x02\0\0", None),
            (b"", None),
        ] {
            assert_eq!(ForeignServer::by(bytes), expected);
        }
    }

    #[test]
    fn the_names_in_a_certificate_are_shown_as_people_write_them() {
        let names = ["DnsName(\"localhost\")".to_owned(), "IpAddress(127.0.0.1)".to_owned(), "plain".to_owned()];
        assert_eq!(list(&names), "localhost, 127.0.0.1, plain");
        assert_eq!(list(&[]), "another host");
        assert!(list(&vec!["a".to_owned(); 9]).ends_with("a, ..."));
    }
}
