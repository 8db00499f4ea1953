//! A listening socket, served by every worker.

use super::error::ServerError;
use super::front::{Front, Reception};
use super::transport::Socket;
use socket2::{Domain, Protocol, SockAddr, Type};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A bound socket with what is done to those who connect.
pub struct BoundListener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    reception: Arc<Reception>,
}

/// Connections that the kernel completes before we take them: a class that is switched on together.
const BACKLOG: i32 = 4096;

/// How long accepting rests when the process has no descriptors left, so that it does not spin.
const REST: Duration = Duration::from_millis(100);

impl BoundListener {
    /// Binds an address.
    pub fn bind(address: SocketAddr, reception: Arc<Reception>) -> Result<Self, ServerError> {
        let bind = || -> io::Result<std::net::TcpListener> {
            let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            if address.is_ipv6() {
                // So that 0.0.0.0 and [::] can be listened to side by side.
                socket.set_only_v6(true)?;
            }
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&SockAddr::from(address))?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let socket = bind().map_err(|source| ServerError::Bind { address, source })?;
        let address = socket.local_addr().map_err(|source| ServerError::Bind { address, source })?;
        Ok(Self { socket, address, reception })
    }

    /// Where it listens; with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until it is told to stop. Every worker has its own handle of the one socket, so whichever is idle takes
    /// the next connection.
    pub async fn accept_loop(self: Arc<Self>, front: Rc<Front>, stop: CancellationToken) {
        let listener = match self.socket.try_clone().and_then(TcpListener::from_std) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, address = %self.address, "a worker cannot accept connections here");
                return;
            }
        };
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, &front, &stop),
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection was not accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn take(&self, stream: tokio::net::TcpStream, peer: SocketAddr, front: &Rc<Front>, stop: &CancellationToken) {
        let Ok(socket) = Socket::new(stream, peer) else { return };
        let Some(place) = front.place(socket.peer_address()) else { return };
        let (front, reception, stop) = (Rc::clone(front), Arc::clone(&self.reception), stop.clone());
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = front.receive(socket, &reception, place) => {}
            }
        });
    }
}
