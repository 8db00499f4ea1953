//! How bytes travel: TCP, TLS, WebSocket, and WebSocket over TLS, as one stream that can move between workers.

mod kind;
mod error;
mod socket;
mod tls;
mod websocket;
mod stream;
mod accept;

pub use accept::{Acceptor, accept};
pub use error::{Spoken, TlsProblem, TlsSettingsError, TransportError, WebSocketProblem};
pub use kind::TransportKind;
pub use socket::Socket;
pub use stream::Transport;
pub use tls::{
    Application, ClientCertificates, TlsFiles, TlsOptions, TlsSettings, crypto_provider, read_certificates,
    read_private_key,
};
pub use websocket::WebSocket;

#[cfg(test)]
mod tests;
