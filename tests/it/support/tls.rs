//! TLS and WebSocket under the client of bytes.

use super::PATIENCE;
use super::raw::{Client, Stream};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// How a client trusts the broker and shows who it is.
#[derive(Debug, Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Trusts this certificate authority and shows no certificate.
    pub fn anonymous(ca: &Path) -> Self {
        Self::build(ca, None)
    }

    /// Trusts this certificate authority and shows a certificate.
    pub fn with_certificate(ca: &Path, certificate: &Path, key: &Path) -> Self {
        Self::build(ca, Some((certificate, key)))
    }

    fn build(ca: &Path, identity: Option<(&Path, &Path)>) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let roots = Arc::new(roots);
        let builder = builder.with_root_certificates(Arc::clone(&roots));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        Self { config: Arc::new(config), roots }
    }

    /// The configuration, for another library of clients.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The same without memory of earlier connections.
    pub fn afresh(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), roots: Arc::clone(&self.roots) }
    }

    /// The same, offering these protocols by ALPN.
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config), roots: Arc::clone(&self.roots) }
    }

    /// The same, speaking these versions of TLS only.
    pub fn speaking(&self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        Self { config: Arc::new(config), roots: Arc::clone(&self.roots) }
    }

    /// The stream of a finished handshake, or why there is none.
    pub fn handshake(&self, address: SocketAddr) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
        let mut socket = connect(address);
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(connection, socket))
    }

    /// A client over TLS on which nothing was sent yet.
    pub fn open(&self, address: SocketAddr) -> Client {
        let stream = self.handshake(address).unwrap();
        let socket = stream.sock.try_clone().unwrap();
        Client::over(stream, socket)
    }

    /// The same over secure WebSocket.
    pub fn open_websocket(&self, address: SocketAddr) -> Client {
        let stream = self.handshake(address).unwrap();
        let socket = stream.sock.try_clone().unwrap();
        let (websocket, _) = websocket(stream, address, Some("mqtt")).unwrap();
        Client::over(Frames { websocket, unread: Vec::new() }, socket)
    }
}

/// A client over plain WebSocket on which nothing was sent yet.
pub fn open_websocket(address: SocketAddr) -> Client {
    let socket = connect(address);
    let (websocket, response) = websocket(socket.try_clone().unwrap(), address, Some("mqtt")).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt", "the sub-protocol [v5:MQTT-6.0.0-4]");
    Client::over(Frames { websocket, unread: Vec::new() }, socket)
}

/// The WebSocket handshake, asking for a sub-protocol or none.
pub fn websocket<S: Stream>(
    stream: S,
    address: SocketAddr,
    protocol: Option<&str>,
) -> Result<(WebSocket<S>, Response), tungstenite::Error> {
    let mut request = format!("ws://{address}/mqtt").into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    tungstenite::client(request, stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("the handshake timed out"),
    })
}

/// A socket that gives up after [`PATIENCE`].
pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Binary WebSocket frames as a stream of bytes; one frame per write.
struct Frames<S> {
    websocket: WebSocket<S>,
    unread: Vec<u8>,
}

impl<S: Stream> Read for Frames<S> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        while self.unread.is_empty() {
            match self.websocket.read() {
                Ok(Message::Binary(payload)) => self.unread.extend(&payload),
                Ok(Message::Close(_)) => return Ok(0),
                Ok(Message::Text(_)) => panic!("MQTT travels in binary frames [v5:MQTT-6.0.0-1]"),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(_) => return Ok(0),
            }
        }
        let count = self.unread.len().min(bytes.len());
        bytes[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl<S: Stream> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let sent = self.websocket.write(Message::Binary(bytes.to_vec().into()));
        sent.map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.websocket.flush().map_err(std::io::Error::other)
    }
}
