//! From an accepted socket to a stream of MQTT: all handshakes of a listener, under one deadline.

use super::error::{Spoken, TlsProblem, TransportError};
use super::kind::TransportKind;
use super::socket::Socket;
use super::stream::Transport;
use super::tls::TlsSettings;
use super::websocket::WebSocket;
use crate::auth::ClientCertificate;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, HandshakeKind};
use tokio_rustls::server::TlsStream;

/// What a listener does with an accepted socket.
#[derive(Debug, Clone)]
pub enum Acceptor {
    /// Nothing: MQTT begins at once.
    Tcp,
    /// A TLS handshake.
    Tls(Arc<TlsSettings>),
    /// A WebSocket handshake.
    WebSocket {
        /// What clients must ask for: `/mqtt`.
        path: Arc<str>,
    },
    /// Both.
    SecureWebSocket {
        /// Of the TLS below.
        tls: Arc<TlsSettings>,
        /// What clients must ask for.
        path: Arc<str>,
    },
}

impl Acceptor {
    /// What comes out of it.
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::Tcp => TransportKind::Tcp,
            Self::Tls(_) => TransportKind::Tls,
            Self::WebSocket { .. } => TransportKind::WebSocket,
            Self::SecureWebSocket { .. } => TransportKind::SecureWebSocket,
        }
    }
}

/// Does the handshakes. Waits for the peer's first byte, which shows at once when it speaks another protocol.
pub async fn accept(acceptor: &Acceptor, socket: Socket, deadline: Instant) -> Result<Transport, TransportError> {
    let shaken = timeout_at(deadline, async {
        let first = socket.peek().await?.ok_or(TransportError::Silent)?;
        expect(acceptor.kind(), Spoken::by(first))?;
        Ok(match acceptor {
            Acceptor::Tcp => Transport::Tcp(socket),
            Acceptor::Tls(tls) => Transport::Tls(Box::new(accept_tls(socket, tls).await?)),
            Acceptor::WebSocket { path } => Transport::WebSocket(Box::new(WebSocket::accept(socket, path).await?)),
            Acceptor::SecureWebSocket { tls, path } => {
                let stream = accept_tls(socket, tls).await?;
                Transport::SecureWebSocket(Box::new(WebSocket::accept(stream, path).await?))
            }
        })
    });
    shaken.await.unwrap_or(Err(TransportError::TooSlow(acceptor.kind())))
}

/// Whether what the first byte looks like can be what the listener is for. What is unknown is left to the next reader,
/// who knows more exactly what is wrong with it.
fn expect(expected: TransportKind, spoken: Spoken) -> Result<(), TransportError> {
    let fits = match (expected, spoken) {
        (TransportKind::Tcp, Spoken::Mqtt | Spoken::Unknown) => true,
        (TransportKind::Tls | TransportKind::SecureWebSocket, Spoken::Tls) => true,
        (TransportKind::WebSocket, Spoken::Http) => true,
        (TransportKind::Tcp, Spoken::Tls | Spoken::Http)
        | (TransportKind::Tls | TransportKind::SecureWebSocket, Spoken::Mqtt | Spoken::Http | Spoken::Unknown)
        | (TransportKind::WebSocket, Spoken::Mqtt | Spoken::Tls | Spoken::Unknown) => false,
    };
    if fits { Ok(()) } else { Err(TransportError::Foreign { spoken, expected }) }
}

async fn accept_tls(socket: Socket, tls: &TlsSettings) -> Result<TlsStream<Socket>, TransportError> {
    let stream = TlsAcceptor::from(tls.config()).accept(socket).await.map_err(handshake_error)?;
    let session = stream.get_ref().1;
    if session.handshake_kind() == Some(HandshakeKind::Resumed)
        && let Some(certificate) = session.peer_certificates().and_then(<[_]>::first)
        && ClientCertificate::from_der(certificate)?.has_expired(unix_seconds())
    {
        // Resuming a session does not look at its certificate again.
        return Err(TransportError::Tls(TlsProblem::CertificateExpired));
    }
    Ok(stream)
}

fn handshake_error(error: io::Error) -> TransportError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return TransportError::Tls(TlsProblem::PeerLeft);
    }
    match error.downcast::<rustls::Error>() {
        Ok(error) => TransportError::Tls(TlsProblem::of(error)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => TransportError::Tls(TlsProblem::PeerLeft),
        Err(error) => TransportError::Lost(error),
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_takes_its_own_protocol_only() {
        let kinds = [TransportKind::Tcp, TransportKind::Tls, TransportKind::WebSocket, TransportKind::SecureWebSocket];
        for (kind, own) in kinds.into_iter().zip([Spoken::Mqtt, Spoken::Tls, Spoken::Http, Spoken::Tls]) {
            for spoken in [Spoken::Mqtt, Spoken::Tls, Spoken::Http] {
                assert_eq!(expect(kind, spoken).is_ok(), spoken == own, "{kind:?} {spoken:?}");
            }
        }
    }
}
