//! From the process of the pages to that of the broker: what only the broker knows is passed on to its socket in the
//! data folder, with the name of whoever asks.
//!
//! Both ends are ours, so this speaks only the HTTP that the other end answers in: one request on one connection.

use super::call::{Body, Call, Method, Route};
use super::problem::AdminError;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use bytes::BytesMut;
use data_encoding::BASE64URL_NOPAD;
use futures_util::StreamExt;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::io::ReaderStream;

/// In whose name a request is passed on, as base64url.
pub const IN_NAME_OF: &str = "x-securemq-as";
/// Where it came from first.
pub const FROM: &str = "x-securemq-from";

/// The broker has to have answered by then.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer, in bytes.
const LONGEST: usize = 16 << 20;
/// How often it is asked whether a login still holds that a WebSocket began with.
const LOOK: Duration = Duration::from_millis(500);

/// Has the broker answer.
pub async fn pass_on(mut call: Call, route: &Route, socket: &Path) -> Result<HttpResponse, AdminError> {
    let mut stream = UnixStream::connect(socket).await.map_err(|_| AdminError::BrokerStopped)?;
    let mut bytes = head(&call, route)?.into_bytes();
    let body = std::mem::replace(&mut call.body, Body::Whole(bytes::Bytes::new()));
    if let Body::Whole(body) = &body {
        bytes.extend_from_slice(body);
    }
    let answer = async {
        stream.write_all(&bytes).await?;
        read_head(&mut stream).await
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| AdminError::BrokerStopped)?;
    let (head, rest) = answer.map_err(|_| AdminError::BrokerStopped)?;
    match body {
        Body::Stream(payload) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            watch(call, stream, payload, &head, rest)
        }
        Body::Whole(_) | Body::Stream(_) => whole(stream, &head, rest).await,
    }
}

/// The request as the broker gets it.
fn head(call: &Call, route: &Route) -> Result<String, AdminError> {
    let target = call.request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut head =
        format!("{} {target} HTTP/1.1\r\nHost: localhost\r\n{FROM}: {}\r\n", route.method.http(), call.address);
    if let Some(user) = call.scope.user() {
        // Writing to a string does not fail.
        let _ = write!(head, "{IN_NAME_OF}: {}\r\n", BASE64URL_NOPAD.encode(user.as_str().as_bytes()));
    }
    if route.method == Method::Socket {
        let key = text(call.request.headers(), "sec-websocket-key").ok_or(AdminError::MethodNotAllowed)?;
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        let _ = write!(head, "{upgrade}Sec-WebSocket-Key: {key}\r\n\r\n");
        return Ok(head);
    }
    let length = match &call.body {
        Body::Whole(body) => body.len(),
        Body::Stream(_) => 0,
    };
    let kind = text(call.request.headers(), "content-type").filter(|_| length > 0);
    let _ = write!(head, "Connection: close\r\nContent-Length: {length}\r\n");
    if let Some(kind) = kind {
        let _ = write!(head, "Content-Type: {kind}\r\n");
    }
    head.push_str("\r\n");
    Ok(head)
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The first lines of an answer.
struct Head {
    status: StatusCode,
    lines: Vec<(String, String)>,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse::<u16>().ok()?;
        let lines = lines.filter_map(|line| line.split_once(':'));
        Some(Self {
            status: StatusCode::from_u16(status).ok()?,
            lines: lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect(),
        })
    }
}

/// Reads the first lines, and what came behind them already.
async fn read_head(stream: &mut UnixStream) -> std::io::Result<(Head, BytesMut)> {
    let broken = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut bytes = BytesMut::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = bytes.split_to(end + 4);
            let head = std::str::from_utf8(&head).ok().and_then(|text| Head::parse(text.trim_end()));
            return Ok((head.ok_or_else(broken)?, bytes));
        }
        if bytes.len() > LONGEST || stream.read_buf(&mut bytes).await? == 0 {
            return Err(broken());
        }
    }
}

async fn whole(mut stream: UnixStream, head: &Head, mut body: BytesMut) -> Result<HttpResponse, AdminError> {
    let length = head.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize).min(LONGEST);
    let rest = async {
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    let read = tokio::time::timeout(PATIENCE, rest).await;
    read.map_err(|_| AdminError::BrokerStopped)?.map_err(|_| AdminError::BrokerStopped)?;
    let mut response = HttpResponse::build(head.status);
    response.insert_header((CACHE_CONTROL, "no-store"));
    for name in ["content-type", "retry-after"] {
        if let Some(value) = head.get(name) {
            response.insert_header((name, value));
        }
    }
    Ok(response.body(body.freeze()))
}

/// Both ways, until one side ends or the login does.
fn watch(
    call: Call,
    stream: UnixStream,
    mut payload: actix_web::web::Payload,
    head: &Head,
    rest: BytesMut,
) -> Result<HttpResponse, AdminError> {
    let accept = head.get("sec-websocket-accept").ok_or(AdminError::BrokerStopped)?;
    let (from_broker, mut to_broker) = stream.into_split();
    actix_web::rt::spawn(async move {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {
                    if !call.still_holds().await {
                        return;
                    }
                }
                piece = payload.next() => match piece {
                    Some(Ok(piece)) if to_broker.write_all(&piece).await.is_ok() => {}
                    Some(_) | None => return,
                },
            }
        }
    });
    let first = futures_util::stream::iter((!rest.is_empty()).then(|| Ok(rest.freeze())));
    let mut response = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS);
    response.upgrade("websocket").insert_header(("sec-websocket-accept", accept));
    response.insert_header((CONTENT_TYPE, "application/octet-stream"));
    Ok(response.streaming(first.chain(ReaderStream::new(from_broker))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_an_answer_are_read() {
        let head =
            Head::parse("HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\ncontent-length:  7")
                .unwrap();
        assert_eq!(head.status, StatusCode::NOT_FOUND);
        assert_eq!(
            (head.get("content-length"), head.get("content-type")),
            (Some("7"), Some("application/problem+json"))
        );
        assert!(Head::parse("").is_none() && Head::parse("HTTP/1.1 abc").is_none());
    }
}
