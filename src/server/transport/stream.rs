//! One type for all ways in which bytes travel.

use super::kind::TransportKind;
use super::socket::Socket;
use super::websocket::WebSocket;
use crate::auth::{CertificateProblem, ClientCertificate};
use crate::broker::Address;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::server::TlsStream;

/// A connection after its handshakes: bytes of MQTT come out of it and go into it.
#[derive(Debug)]
pub enum Transport {
    /// Plain TCP.
    Tcp(Socket),
    /// TLS.
    Tls(Box<TlsStream<Socket>>),
    /// WebSocket over plain TCP.
    WebSocket(Box<WebSocket<Socket>>),
    /// WebSocket over TLS.
    SecureWebSocket(Box<WebSocket<TlsStream<Socket>>>),
}

impl Transport {
    /// How its bytes travel.
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::Tcp(_) => TransportKind::Tcp,
            Self::Tls(_) => TransportKind::Tls,
            Self::WebSocket(_) => TransportKind::WebSocket,
            Self::SecureWebSocket(_) => TransportKind::SecureWebSocket,
        }
    }

    /// The far end.
    pub fn peer_address(&self) -> Address {
        self.socket().peer_address()
    }

    /// The certificate that the peer proved to have the key of.
    pub fn client_certificate(&self) -> Result<Option<ClientCertificate>, CertificateProblem> {
        let tls = match self {
            Self::Tcp(_) | Self::WebSocket(_) => return Ok(None),
            Self::Tls(stream) => stream.get_ref().1,
            Self::SecureWebSocket(websocket) => websocket.get_ref().get_ref().1,
        };
        let first = tls.peer_certificates().and_then(<[_]>::first);
        first.map(|certificate| ClientCertificate::from_der(certificate)).transpose()
    }

    /// Allows what a client may send that is logged in: WebSocket messages of that many bytes.
    pub fn set_message_limit(&mut self, bytes: usize) {
        match self {
            Self::Tcp(_) | Self::Tls(_) => {}
            Self::WebSocket(websocket) => websocket.set_message_limit(bytes),
            Self::SecureWebSocket(websocket) => websocket.set_message_limit(bytes),
        }
    }

    /// Takes the connection out of its runtime, with everything that is read and not yet delivered, written and not yet
    /// sent. Then it can move to another thread.
    pub fn detach(&mut self) -> io::Result<()> {
        self.socket_mut().detach()
    }

    /// Puts the connection into the runtime of the current thread.
    pub fn attach(&mut self) -> io::Result<()> {
        self.socket_mut().attach()
    }

    /// Ends the connection as its protocols want it, for at most that long. What was written before is sent first.
    pub async fn close(&mut self, grace: Duration) {
        // Whatever goes wrong with a farewell, the connection is over.
        let _ = tokio::time::timeout(grace, async {
            self.flush().await?;
            self.shutdown().await?;
            self.drain().await
        })
        .await;
    }

    /// Reads what the peer still sends until it closes, too. A socket that is closed with bytes unread resets the
    /// connection, and a reset can overtake our last packet, which says why.
    async fn drain(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        for _ in 0..MAX_DRAINED_READS {
            if self.read(&mut bytes).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
            Self::WebSocket(websocket) => websocket.get_ref(),
            Self::SecureWebSocket(websocket) => websocket.get_ref().get_ref().0,
        }
    }

    fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
            Self::WebSocket(websocket) => websocket.get_mut(),
            Self::SecureWebSocket(websocket) => websocket.get_mut().get_mut().0,
        }
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut dyn Stream> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
            Self::WebSocket(websocket) => Pin::new(websocket.as_mut()),
            Self::SecureWebSocket(websocket) => Pin::new(websocket.as_mut()),
        }
    }
}

/// Of 1 KiB each: a peer that goes on sending is left to its reset then.
const MAX_DRAINED_READS: usize = 256;

/// Whatever can be read and written.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(_) => true,
            Self::WebSocket(_) | Self::SecureWebSocket(_) => false,
        }
    }
}
