//! A TCP connection that can move from one worker's runtime to another's.

use crate::broker::Address;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection. Detached, it belongs to no runtime and can be sent to another thread; attached, it reads and writes.
#[derive(Debug)]
pub struct Socket {
    state: State,
    peer: SocketAddr,
}

#[derive(Debug)]
enum State {
    Attached(TcpStream),
    Detached(std::net::TcpStream),
    /// Moving failed half way, which closes the connection.
    Lost,
}

impl Socket {
    /// Takes an accepted connection. Small packets are not held back for larger ones.
    pub fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // A listener on [::] sees IPv4 peers as ::ffff:a.b.c.d; people and rate limits want the address itself.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Ok(Self { state: State::Attached(stream), peer })
    }

    /// Takes the connection out of its runtime. It cannot be read or written until it is attached again.
    pub fn detach(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Attached(stream) => State::Detached(stream.into_std()?),
            State::Detached(stream) => State::Detached(stream),
            State::Lost => return Err(not_attached()),
        };
        Ok(())
    }

    /// Puts the connection into the runtime of the current thread.
    pub fn attach(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Detached(stream) => State::Attached(TcpStream::from_std(stream)?),
            State::Attached(stream) => State::Attached(stream),
            State::Lost => return Err(not_attached()),
        };
        Ok(())
    }

    /// The far end.
    pub fn peer_address(&self) -> Address {
        Address::Network(self.peer)
    }

    /// The first byte that the peer sends, which stays to be read; `None` if it closes without sending any.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        let State::Attached(stream) = &self.state else { return Err(not_attached()) };
        let mut first = [0];
        let count = stream.peek(&mut first).await?;
        Ok((count > 0).then_some(first[0]))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.state {
            State::Attached(stream) => Ok(Pin::new(stream)),
            State::Detached(_) | State::Lost => Err(not_attached()),
        }
    }
}

fn not_attached() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket belongs to no runtime")
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
