//! The administration behind its doors: a socket in the data folder, and an address that browsers reach.

use super::app::furnish;
use super::guard::Door;
use super::office::Office;
use crate::config::WebSettings;
use crate::server::WebTls;
use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why the administration cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The address cannot be listened to.
    #[error("the web pages cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The socket in the data folder cannot be made.
    #[error("cannot make the socket {}: {source}", .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Passwords would cross a network for everybody to read.
    #[error("other machines reach {0}, and plain HTTP would show them every password")]
    PlainBeyondLoopback(SocketAddr),
}

/// An open door; whoever drops it leaves it open until the process ends.
pub struct OpenDoor {
    /// Where it is, for browsers.
    pub url: String,
    handle: ServerHandle,
    socket: Option<PathBuf>,
}

/// The name of the broker's socket in its data folder.
pub const SOCKET: &str = "admin.sock";

/// A request has to have said what it wants by then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without a request is kept so long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections at a time.
const MOST_CONNECTIONS: usize = 1024;

/// A server of one thread, which ends when we say so and not by a signal. A macro, because its type has no name.
macro_rules! server {
    ($office:expr, $door:expr) => {{
        let (office, door) = ($office, $door);
        HttpServer::new(move || App::new().configure(|config| furnish(config, &office, door)))
            .workers(1)
            .disable_signals()
            .client_request_timeout(REQUEST_TIMEOUT)
            .keep_alive(KEEP_ALIVE)
            .max_connections(MOST_CONNECTIONS)
    }};
}

impl OpenDoor {
    /// Opens the broker's socket. One that an earlier broker left behind is replaced: whoever has the folder's lock is
    /// the only one.
    pub fn to_socket(office: Arc<Office>, folder: &Path) -> Result<Self, HostError> {
        let path = folder.join(SOCKET);
        let open = || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(&path)?;
            // The folder is its owner's alone, so nobody else comes in before this.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(server!(office, Door::Socket).listen_uds(listener)?.run())
        };
        let server = open().map_err(|source| HostError::Socket { path: path.clone(), source })?;
        Ok(Self::begin(server, path.display().to_string(), Some(path)))
    }

    /// Opens an address for browsers: over HTTP on this machine, over TLS beyond it.
    pub fn to_browsers(office: Arc<Office>, web: &WebSettings, tls: Option<&WebTls>) -> Result<Self, HostError> {
        let address = SocketAddr::new(web.listen, web.port);
        let is_loopback = address.ip().to_canonical().is_loopback();
        let door = match (tls, is_loopback) {
            (Some(_), _) => Door::Encrypted,
            (None, true) => Door::Loopback,
            (None, false) if web.plain => Door::Plain,
            (None, false) => return Err(HostError::PlainBeyondLoopback(address)),
        };
        let failed = |source| HostError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let server = server!(office, door);
        let server = match tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls.server_config()),
            None => server.listen(listener),
        };
        let scheme = if door == Door::Encrypted { "https" } else { "http" };
        let host = match bound.ip() {
            ip if ip.is_unspecified() || ip.is_loopback() => String::from("localhost"),
            _ => bound.ip().to_string(),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("{scheme}://{host}:{}/", bound.port());
        Ok(Self::begin(server.map_err(failed)?.run(), url, None))
    }

    fn begin(server: Server, url: String, socket: Option<PathBuf>) -> Self {
        let handle = server.handle();
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the administration ended early");
            }
        });
        Self { url, handle, socket }
    }

    /// Closes it, with whatever is under way.
    pub async fn close(self) {
        self.handle.stop(false).await;
        if let Some(path) = self.socket
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::debug!(%error, "the socket was gone already");
        }
    }
}
