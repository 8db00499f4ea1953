//! From a URL to a stream of MQTT: name, TCP, TLS and WebSocket, as a client.

use super::error::LinkError;
use super::trust::Trust;
use crate::config::{ServerHost, ServerUrl, Transport};
use crate::server::transport::{Application, TransportError, WebSocket};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// Bytes of MQTT come out of it and go into it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects, and does the handshakes that come before MQTT. Each step may take `patience`.
pub async fn dial(url: &ServerUrl, trust: Option<&Trust>, patience: Duration) -> Result<Box<dyn Stream>, LinkError> {
    let in_time = Deadline { url, patience };
    let tcp = connect(&in_time).await?;
    Ok(match url.transport {
        Transport::Tcp => Box::new(tcp),
        Transport::Tls => Box::new(shake_tls(tcp, trust, Application::Mqtt, &in_time).await?),
        Transport::WebSocket => Box::new(shake_websocket(tcp, &in_time).await?),
        Transport::SecureWebSocket => {
            let tls = shake_tls(tcp, trust, Application::WebSocket, &in_time).await?;
            Box::new(shake_websocket(tls, &in_time).await?)
        }
    })
}

/// How long each step to a server may take.
struct Deadline<'a> {
    url: &'a ServerUrl,
    patience: Duration,
}

impl Deadline<'_> {
    async fn give<T>(&self, step: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
        timeout(self.patience, step).await.unwrap_or_else(|_| Err(LinkError::TooSlow(self.url.clone())))
    }
}

/// Tries one address after the other; the first one's failure tells most.
async fn connect(in_time: &Deadline<'_>) -> Result<TcpStream, LinkError> {
    let mut first_failure = None;
    for address in in_time.give(addresses(in_time.url)).await? {
        let attempt = in_time.give(async {
            let stream = TcpStream::connect(address).await;
            let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
            stream.map_err(|source| LinkError::Unreachable { url: in_time.url.clone(), source })
        });
        match attempt.await {
            Ok(stream) => return Ok(stream),
            Err(error) => first_failure = first_failure.or(Some(error)),
        }
    }
    let none = || LinkError::NameUnknown { url: in_time.url.clone(), source: io::ErrorKind::NotFound.into() };
    Err(first_failure.unwrap_or_else(none))
}

async fn addresses(url: &ServerUrl) -> Result<Vec<SocketAddr>, LinkError> {
    match &url.host {
        ServerHost::Name(name) => match lookup_host((name.as_str(), url.port)).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(source) => Err(LinkError::NameUnknown { url: url.clone(), source }),
        },
        host @ (ServerHost::Address(_) | ServerHost::Localhost) => {
            Ok(host.known_addresses().into_iter().map(|address| SocketAddr::new(address, url.port)).collect())
        }
    }
}

async fn shake_tls(
    stream: TcpStream,
    trust: Option<&Trust>,
    application: Application,
    in_time: &Deadline<'_>,
) -> Result<TlsStream<TcpStream>, LinkError> {
    let url = in_time.url;
    let trust = trust.ok_or_else(|| LinkError::NoTrust(url.clone()))?;
    let name = ServerName::try_from(url.host.to_string()).map_err(|_| LinkError::NoServerName(url.clone()))?;
    let connector = TlsConnector::from(trust.config(application));
    in_time.give(async { connector.connect(name, stream).await.map_err(LinkError::of_handshake) }).await
}

async fn shake_websocket<S: Stream>(stream: S, in_time: &Deadline<'_>) -> Result<WebSocket<S>, LinkError> {
    let ServerUrl { host, port, path, .. } = in_time.url;
    let authority = match host {
        ServerHost::Address(address) => SocketAddr::new(*address, *port).to_string(),
        ServerHost::Localhost | ServerHost::Name(_) => format!("{host}:{port}"),
    };
    let mut websocket = in_time.give(async { Ok(WebSocket::request(stream, &authority, path).await) }).await?;
    if let Ok(websocket) = &mut websocket {
        websocket.set_message_limit(LONGEST_PACKET);
    }
    websocket.map_err(|error| match error {
        TransportError::Lost(error) => LinkError::of_network(error),
        TransportError::TooSlow(_)
        | TransportError::Silent
        | TransportError::Foreign { .. }
        | TransportError::Tls(_)
        | TransportError::Certificate(_)
        | TransportError::WebSocket(_) => LinkError::NoWebSocket(in_time.url.clone()),
    })
}

/// The longest packet of MQTT: its five bytes of header included. A frame is not longer.
const LONGEST_PACKET: usize = 268_435_460;
