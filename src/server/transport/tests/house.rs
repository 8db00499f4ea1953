//! What the tests share: a CA, a server of each kind, and clients.

use crate::auth::{Authority, Issued, TlsFolder, prepare};
use crate::broker::UserName;
use crate::config::TlsVersion;
use crate::server::transport::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest, http::HeaderValue};

pub const PATH: &str = "/mqtt";

/// A data folder with a CA and a server certificate.
pub struct House {
    _dir: tempfile::TempDir,
    pub folder: TlsFolder,
}

impl House {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = TlsFolder::of(dir.path());
        prepare(&folder, SystemTime::now()).unwrap();
        Self { _dir: dir, folder }
    }

    pub fn authority(&self) -> Authority {
        Authority::open(&self.folder).unwrap()
    }

    pub fn issue(&self, name: &str) -> Issued {
        self.issue_at(name, SystemTime::now())
    }

    pub fn issue_at(&self, name: &str, now: SystemTime) -> Issued {
        self.authority().issue_client(&UserName::new(name).unwrap(), 10, &self.folder.clients(), now).unwrap()
    }

    pub fn options(&self, client_certificates: ClientCertificates, application: Application) -> TlsOptions {
        let files = TlsFiles {
            certificate: self.folder.server_certificate(),
            key: self.folder.server_key(),
            client_ca: Some(self.folder.ca_certificate()),
            revocations: Vec::new(),
        };
        TlsOptions { files, client_certificates, application, minimum_version: TlsVersion::V1_2 }
    }

    pub fn tls(&self, client_certificates: ClientCertificates) -> Arc<TlsSettings> {
        Arc::new(TlsSettings::load(self.options(client_certificates, Application::Mqtt)).unwrap())
    }

    pub fn acceptor(&self, kind: TransportKind) -> Acceptor {
        let path = Arc::from(PATH);
        match kind {
            TransportKind::Tcp => Acceptor::Tcp,
            TransportKind::Tls => Acceptor::Tls(self.tls(ClientCertificates::NotAsked)),
            TransportKind::WebSocket => Acceptor::WebSocket { path },
            TransportKind::SecureWebSocket => {
                let options = self.options(ClientCertificates::NotAsked, Application::WebSocket);
                Acceptor::SecureWebSocket { tls: Arc::new(TlsSettings::load(options).unwrap()), path }
            }
        }
    }

    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], certificate: Option<&Issued>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.ca_certificate()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match certificate {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = CertificateDer::pem_file_iter(&issued.certificate).unwrap().map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&issued.key).unwrap()).unwrap()
            }
        }
    }
}

/// A connected pair: the client's end, and what becomes of the server's.
pub async fn meet(acceptor: &Acceptor) -> (TcpStream, impl Future<Output = Result<Transport, TransportError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let socket = Socket::new(stream, peer).unwrap();
    (client, accept(acceptor, socket, soon()))
}

/// Long enough on a busy machine. No test waits for it.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub async fn connect_tls(client: TcpStream, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, client).await
}

pub async fn connect_websocket<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: S,
    path: &str,
    sub_protocols: Option<&str>,
) -> tungstenite::Result<(WebSocketStream<S>, tungstenite::handshake::client::Response)> {
    let mut request = format!("ws://localhost{path}").into_client_request()?;
    if let Some(offered) = sub_protocols {
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_str(offered).unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await
}

pub fn copy_of(path: &Path, to: &str) -> PathBuf {
    let copy = path.with_file_name(to);
    std::fs::copy(path, &copy).unwrap();
    copy
}
