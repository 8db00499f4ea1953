//! What can go wrong between an accepted socket and the first byte of MQTT, in words for the log.

use super::kind::TransportKind;
use crate::auth::CertificateProblem;
use crate::broker::Reason;
use crate::store::StoreError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, PeerIncompatible};

/// Why a connection did not get as far as MQTT.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The caller's deadline passed.
    #[error("the peer did not finish the {} handshake in time", .0.name())]
    TooSlow(TransportKind),
    /// The peer went away before it said anything: port scanners and health checks do.
    #[error("the peer closed the connection without a word")]
    Silent,
    /// The first byte gives another protocol away.
    #[error("the peer speaks {spoken} on a port for {}", .expected.name())]
    Foreign {
        /// What it looks like.
        spoken: Spoken,
        /// What the listener is for.
        expected: TransportKind,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(TlsProblem),
    /// The peer's certificate was verified and is no use all the same.
    #[error("the client certificate is of no use: {0}")]
    Certificate(#[from] CertificateProblem),
    /// The WebSocket handshake failed.
    #[error("the WebSocket handshake failed: {0}")]
    WebSocket(#[from] WebSocketProblem),
    /// The network failed.
    #[error("the connection was lost during the handshake: {0}")]
    Lost(#[from] io::Error),
}

impl TransportError {
    /// What the log adds to the words of the [reason](Self::reason), which it shows anyway.
    pub fn detail(&self) -> String {
        match self {
            Self::Tls(problem) => problem.to_string(),
            Self::Certificate(problem) => problem.to_string(),
            Self::TooSlow(_) | Self::Silent | Self::Foreign { .. } | Self::WebSocket(_) | Self::Lost(_) => {
                self.to_string()
            }
        }
    }

    /// What it counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooSlow(_) => Reason::ConnectTimeout,
            Self::Silent | Self::Lost(_) => Reason::ConnectionLost,
            Self::Foreign { .. } | Self::WebSocket(_) => Reason::ForeignProtocol,
            Self::Tls(TlsProblem::CertificateMissing) => Reason::CertificateMissing,
            Self::Tls(_) => Reason::TlsFailed,
            Self::Certificate(_) => Reason::CertificateUnknown,
        }
    }
}

/// What a peer's first byte looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// A CONNECT packet.
    Mqtt,
    /// A TLS handshake record.
    Tls,
    /// A letter, as every HTTP request begins with.
    Http,
    /// Nothing that we know.
    Unknown,
}

impl Spoken {
    /// What begins with this byte.
    pub fn by(first: u8) -> Self {
        match first {
            0x10 => Self::Mqtt,
            0x16 => Self::Tls,
            b'A'..=b'Z' => Self::Http,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mqtt => "MQTT without TLS and WebSocket",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Unknown => "an unknown protocol",
        })
    }
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsProblem {
    /// The peer said so, or left at the point where it says so.
    #[error("the peer does not trust this broker's certificate ({0:?}); give it the CA's certificate")]
    PeerDistrusts(AlertDescription),
    /// The peer went away in the middle. Some do instead of saying that they do not trust us.
    #[error("the peer went away in the middle of it; perhaps it does not trust this broker's certificate")]
    PeerLeft,
    /// The peer gave up for another reason.
    #[error("the peer gave up ({0:?})")]
    PeerGaveUp(AlertDescription),
    /// TLS 1.1 or older, or 1.2 where 1.3 is the minimum.
    #[error("the peer speaks only TLS versions that are too old")]
    NoCommonVersion,
    /// No common cipher suite, group or signature scheme.
    #[error("the peer offers no cipher suite, key exchange or signature that this broker uses ({0:?})")]
    NothingInCommon(PeerIncompatible),
    /// ALPN.
    #[error("the peer asks for another application protocol than the listener's")]
    NoCommonApplication,
    /// The listener demands one.
    #[error("the listener demands a client certificate, and the peer has none")]
    CertificateMissing,
    /// Signed by somebody else.
    #[error("the client certificate is not signed by the CA of this listener")]
    CertificateUntrusted,
    /// Too late or too early.
    #[error("the client certificate is not valid at this time")]
    CertificateExpired,
    /// On a revocation list, or on none of the issuers that have one.
    #[error("the client certificate is revoked, or no revocation list speaks of it")]
    CertificateRevoked,
    /// A server's certificate, for example.
    #[error("the client certificate is not meant for clients (extended key usage)")]
    CertificatePurpose,
    /// Anything else about it.
    #[error("the client certificate is refused ({0:?})")]
    CertificateRefused(CertificateError),
    /// Broken TLS, or an attack.
    #[error("the peer does not keep to TLS ({0})")]
    Misbehaved(rustls::Error),
}

impl TlsProblem {
    /// Sorts what rustls says. Its enums may grow, so the rest of each is taken together.
    pub(super) fn of(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::UnsupportedCertificate => Self::PeerDistrusts(alert),
                AlertDescription::ProtocolVersion => Self::NoCommonVersion,
                _ => Self::PeerGaveUp(alert),
            },
            rustls::Error::NoApplicationProtocol => Self::NoCommonApplication,
            rustls::Error::NoCertificatesPresented => Self::CertificateMissing,
            // TLS 1.1 and older do not have the last of these extensions.
            rustls::Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
            ) => Self::NoCommonVersion,
            rustls::Error::PeerIncompatible(incompatible) => Self::NothingInCommon(incompatible),
            rustls::Error::InvalidCertificate(problem) => Self::of_certificate(problem),
            other => Self::Misbehaved(other),
        }
    }

    fn of_certificate(problem: CertificateError) -> Self {
        match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::CertificateUntrusted,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::CertificateExpired,
            CertificateError::Revoked | CertificateError::UnknownRevocationStatus => Self::CertificateRevoked,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::CertificatePurpose
            }
            other => Self::CertificateRefused(other),
        }
    }
}

/// What a peer did wrong with WebSocket, in the handshake or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketProblem {
    /// No HTTP request, or one that is no upgrade to WebSocket.
    #[error("the peer sent no WebSocket request")]
    NoRequest,
    /// Another path than the listener's.
    #[error("the peer asked for another path than the listener's")]
    WrongPath,
    /// The client must offer the sub-protocol. [v5:MQTT-6.0.0-3]
    #[error("the peer does not offer the sub-protocol 'mqtt'")]
    NoSubProtocol,
    /// MQTT travels in binary frames. [v5:MQTT-6.0.0-1]
    #[error("the peer sent a text frame, and MQTT travels in binary frames")]
    TextFrame,
    /// Larger than allowed.
    #[error("the peer sent a WebSocket message larger than allowed")]
    TooLarge,
    /// Anything else that the WebSocket protocol forbids.
    #[error("the peer does not keep to the WebSocket protocol")]
    Misbehaved,
}

/// Why TLS cannot be set up from its files.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    /// Not there, or not to be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The private key's file.
    #[error(transparent)]
    Key(#[from] StoreError),
    /// Not what it should be.
    #[error("{path} holds no {expected} in PEM")]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// Key and certificate do not belong together, or are of a kind that TLS does not take.
    #[error("the certificate in {certificate} and the key in {key} cannot be used: {source}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The CA for client certificates.
    #[error("the CA in {path} cannot be used: {source}")]
    ClientCa {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Client certificates are asked for, and nothing says who may sign them.
    #[error("client certificates are asked for, but no CA for them is set; set client_ca")]
    NoClientCa,
    /// The revocation lists.
    #[error("a revocation list cannot be used: {0}")]
    Revocations(#[source] rustls::server::VerifierBuilderError),
    /// The TLS library refuses what it should not.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}
