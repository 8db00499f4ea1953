//! Real sockets over loopback, with clients of rustls and tungstenite.

mod house;
mod tls;
mod websocket;
mod moving;
