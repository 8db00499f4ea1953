//! Names other protocols by their first bytes, so that a log can say in words who knocked at the wrong door.

use std::fmt;

/// A protocol that is not MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// A request of HTTP/1 or the preface of HTTP/2.
    Http,
    /// A TLS handshake, on a listener without TLS.
    Tls,
    /// The greeting of SSH.
    Ssh,
    /// The header of a proxy, on a listener that expects none.
    Proxy,
}

impl ForeignProtocol {
    /// What it is and what to look at.
    pub fn words(self) -> &'static str {
        match self {
            Self::Http => "an HTTP request: for MQTT over WebSocket, connect to a WebSocket listener",
            Self::Tls => "a TLS handshake on a plaintext listener",
            Self::Ssh => "an SSH greeting",
            Self::Proxy => "a PROXY protocol header on a listener that expects none",
        }
    }
}

impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Which other protocol the first bytes of a connection belong to, if one is recognised.
///
/// Never names one for the beginning of a CONNECT packet, which is 0x10.
pub fn guess_protocol(first: &[u8]) -> Option<ForeignProtocol> {
    let known = |prefixes: &[&[u8]]| prefixes.iter().any(|prefix| first.starts_with(prefix));
    if known(TLS) {
        Some(ForeignProtocol::Tls)
    } else if known(PROXY) {
        Some(ForeignProtocol::Proxy)
    } else if known(SSH) {
        Some(ForeignProtocol::Ssh)
    } else if known(HTTP) {
        Some(ForeignProtocol::Http)
    } else {
        None
    }
}

/// A handshake record of any version from SSL 3.0 to TLS 1.3.
const TLS: &[&[u8]] = &[&[0x16, 0x03]];
const SSH: &[&[u8]] = &[b"SSH-"];
const PROXY: &[&[u8]] = &[b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];
const HTTP: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"OPTIONS ",
    b"DELETE ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
    b"PRI * HTTP/2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        for (first, expected) in [
            (&b"GET /mqtt HTTP/1.1\r\n"[..], Some(ForeignProtocol::Http)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(ForeignProtocol::Http)),
            (b"CONNECT broker:1883 HTTP/1.1\r\n", Some(ForeignProtocol::Http)),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Some(ForeignProtocol::Tls)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some(ForeignProtocol::Ssh)),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 5000 1883\r\n", Some(ForeignProtocol::Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some(ForeignProtocol::Proxy)),
            (b"\x10\x0c\x00\x04MQTT", None),
            (b"GE", None),
            (b"\x16", None),
            (b"", None),
        ] {
            assert_eq!(guess_protocol(first), expected, "{first:?}");
        }
    }
}
