//! Whether a request may be what it seems: the name it was sent to, the page it was made by, the headers of every answer.

use super::problem::AdminError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// From this machine, over HTTP.
    Loopback,
    /// From anywhere, over HTTP: it was asked for.
    Plain,
    /// Over TLS.
    Encrypted,
    /// Through the broker's own socket, which only those can open who may read the data folder.
    Socket,
}

impl Door {
    /// Whether nobody on the way can read along.
    pub fn is_encrypted(self) -> bool {
        match self {
            Self::Encrypted | Self::Socket => true,
            Self::Loopback | Self::Plain => false,
        }
    }

    /// The name of the session's cookie. The prefix makes browsers refuse it without TLS and from other hosts.
    pub fn cookie(self) -> &'static str {
        match self {
            Self::Encrypted => "__Host-sid",
            Self::Loopback | Self::Plain | Self::Socket => "sid",
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Encrypted => "https",
            Self::Loopback | Self::Plain | Self::Socket => "http",
        }
    }
}

/// Refuses a request to a name that is not ours. A stranger's page can have its own name lead to 127.0.0.1 and would
/// then be "the same site"; on loopback only the names of loopback are ours. With TLS the certificate says whose we are.
pub fn check_host(door: Door, headers: &HeaderMap) -> Result<(), AdminError> {
    if door != Door::Loopback {
        return Ok(());
    }
    let host = text(headers, "host").ok_or(AdminError::UnknownHost)?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_ours = ["localhost", "127.0.0.1", "[::1]"].iter().any(|ours| ours.eq_ignore_ascii_case(name));
    if is_ours { Ok(()) } else { Err(AdminError::UnknownHost) }
}

/// What makes a request one of our page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// A browser always says where a change comes from; a program without a browser says nothing.
    IfSaid,
    /// It must be said: browsers say it for every WebSocket.
    MustBeSaid,
}

/// Refuses what another page made a browser do.
pub fn check_origin(door: Door, headers: &HeaderMap, provenance: Provenance) -> Result<(), AdminError> {
    if door == Door::Socket {
        return Ok(());
    }
    if text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(AdminError::ForeignOrigin);
    }
    match (headers.get("origin"), provenance) {
        (None, Provenance::IfSaid) => Ok(()),
        (None, Provenance::MustBeSaid) => Err(AdminError::ForeignOrigin),
        (Some(origin), _) => {
            let host = text(headers, "host").ok_or(AdminError::UnknownHost)?;
            let ours = format!("{}://{host}", door.scheme());
            let is_ours = origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(&ours));
            if is_ours { Ok(()) } else { Err(AdminError::ForeignOrigin) }
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The headers of every answer.
pub fn harden(door: Door, headers: &mut HeaderMap) {
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if door == Door::Encrypted {
        let (name, value) = HSTS;
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

const FIXED: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", ""),
];

const HSTS: (&str, &str) = ("strict-transport-security", "max-age=31536000");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn on_loopback_only_its_own_names_are_ours() {
        for host in ["localhost", "localhost:5000", "LOCALHOST:5000", "127.0.0.1:80", "[::1]:5000"] {
            assert!(check_host(Door::Loopback, &headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:5000", "127.0.0.1.evil.example", "", "evil.example:127.0.0.1"]
        {
            assert!(check_host(Door::Loopback, &headers(&[("host", host)])).is_err(), "{host}");
        }
        assert!(check_host(Door::Loopback, &headers(&[])).is_err());
        assert!(check_host(Door::Encrypted, &headers(&[("host", "broker.example")])).is_ok());
    }

    #[test]
    fn a_change_comes_from_our_page_or_from_no_page() {
        let check =
            |pairs: &[(&'static str, &str)]| check_origin(Door::Loopback, &headers(pairs), Provenance::IfSaid).is_ok();
        let host = ("host", "localhost:5000");
        assert!(check(&[host]));
        assert!(check(&[host, ("origin", "http://localhost:5000")]));
        assert!(check(&[host, ("sec-fetch-site", "same-origin")]));
        for origin in
            ["http://localhost", "https://localhost:5000", "http://localhost:5001", "null", "http://evil.example", ""]
        {
            assert!(!check(&[host, ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!check(&[host, ("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn a_websocket_says_where_it_comes_from() {
        let check = |pairs: &[(&'static str, &str)]| {
            check_origin(Door::Encrypted, &headers(pairs), Provenance::MustBeSaid).is_ok()
        };
        assert!(!check(&[("host", "broker.example")]));
        assert!(check(&[("host", "broker.example"), ("origin", "https://broker.example")]));
        assert!(!check(&[("host", "broker.example"), ("origin", "http://broker.example")]));
    }
}
