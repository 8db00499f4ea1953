//! A browser as far as the administration sees one: HTTP/1.1 with a cookie, a token and an origin, and WebSockets.

use super::PATIENCE;
use super::broker::{Broker, Settings, securemq};
use super::described::difference;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A broker with its pages on a free port.
pub fn with_pages() -> Settings {
    Settings::default().listen("mqtt://127.0.0.1:0").set("WEB__ENABLED", true).set("WEB__PORT", 0)
}

/// Where the pages of a process are.
#[derive(Debug, Clone)]
pub struct Pages {
    address: SocketAddr,
    /// What the API says of itself, once somebody has asked.
    description: Arc<OnceLock<Value>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// What a problem is called.
    pub fn code(&self) -> String {
        serde_json::from_str::<Value>(&self.body)
            .map_or_else(|_| String::new(), |body| body["code"].as_str().unwrap_or_default().to_owned())
    }

    pub fn items(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["items"].as_array().unwrap().clone()
    }
}

impl Pages {
    /// Those that a broker hosts.
    pub fn of(broker: &mut Broker) -> Self {
        broker.wait_for_output("web pages on http");
        Self::in_output(&broker.output())
    }

    fn in_output(output: &str) -> Self {
        let (_, rest) = output.split_once("web pages on http://localhost:").expect("the address is printed");
        let port = rest.split('/').next().unwrap().parse().unwrap();
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), description: Arc::default() }
    }

    /// Any request, as it is given; its answer has to be as the API describes it.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.plain_request(method, path, headers, body);
        if let Some(target) = path.strip_prefix("/api/v1") {
            let ask = || self.plain_request("GET", "/api/v1/openapi.json", &[], "").json();
            let difference = difference(self.description.get_or_init(ask), method, target, &answer);
            assert_eq!(difference, None, "{method} {path}: {answer:?}");
        }
        answer
    }

    fn plain_request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let has_host = headers.iter().any(|(name, _)| *name == "Host");
        if !has_host {
            head += &format!("Host: localhost:{}\r\n", self.address.port());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        self.exchange(format!("{head}\r\n{body}").as_bytes())
    }

    /// Any bytes.
    pub fn exchange(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A refusal in the middle of a body may reset the connection after it.
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    /// A browser in which somebody logs in.
    pub fn log_in(&self, user: &str, password: &str) -> Browser {
        let answer = self.try_log_in(user, password);
        assert_eq!(answer.status, 200, "{user}: {answer:?}");
        Browser::of(self, &answer)
    }

    pub fn try_log_in(&self, user: &str, password: &str) -> Answer {
        let body = serde_json::json!({ "user": user, "password": password }).to_string();
        self.request("POST", "/api/v1/login", &[], &body)
    }

    pub fn origin(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no answer: {:?}", String::from_utf8_lossy(bytes));
    });
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = &bytes[end + 4..];
    let body = if is_chunked { unchunk(body) } else { body.to_vec() };
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        let begin = end + 2;
        whole.extend_from_slice(&bytes[begin..begin + length]);
        bytes = &bytes[begin + length + 2..];
    }
}

/// A browser with a session.
#[derive(Debug, Clone)]
pub struct Browser {
    pages: Pages,
    pub cookie: String,
    pub csrf: String,
    /// The name of its session in lists.
    pub id: String,
}

impl Browser {
    fn of(pages: &Pages, answer: &Answer) -> Self {
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        Self { pages: pages.clone(), cookie, csrf: text("csrf"), id: text("id") }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.pages.request("GET", &format!("/api/v1{path}"), &[("Cookie", &self.cookie)], "")
    }

    /// As our page sends a change.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_with(method, path, &[], body)
    }

    pub fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let origin = self.pages.origin();
        let own = [
            ("Cookie", self.cookie.as_str()),
            ("X-CSRF-Token", self.csrf.as_str()),
            ("Origin", origin.as_str()),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.pages.request(method, &format!("/api/v1{path}"), &[&own, headers].concat(), body)
    }

    /// Opens a WebSocket, as our page does.
    pub fn watch(&self, path: &str) -> WebSocket {
        let origin = self.pages.origin();
        let opened = WebSocket::open(&self.pages, path, &[("Cookie", &self.cookie), ("Origin", &origin)]);
        opened.unwrap_or_else(|answer| panic!("{path}: {answer:?}"))
    }

    /// Opens a WebSocket with these headers.
    pub fn try_watch(&self, path: &str, headers: &[(&str, &str)]) -> Result<WebSocket, Answer> {
        WebSocket::open(&self.pages, path, headers)
    }
}

/// A WebSocket from the client's side: texts only.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
}

impl WebSocket {
    fn open(pages: &Pages, path: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        let mut stream = TcpStream::connect(pages.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "GET /api/v1{path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            pages.address.port()
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        if answer.starts_with(b"HTTP/1.1 101") {
            return Ok(Self { stream });
        }
        let length: usize =
            parse(&answer).header("content-length").parse().unwrap_or_else(|_| panic!("{:?}", parse(&answer)));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        answer.extend_from_slice(&body);
        Err(parse(&answer))
    }

    pub fn say(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).unwrap();
    }

    /// The next text; nothing once it is closed.
    pub fn hear(&mut self) -> Option<Value> {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).ok()?;
            let length = match head[1] {
                126 => {
                    let mut length = [0; 2];
                    self.stream.read_exact(&mut length).ok()?;
                    u64::from(u16::from_be_bytes(length))
                }
                127 => {
                    let mut length = [0; 8];
                    self.stream.read_exact(&mut length).ok()?;
                    u64::from_be_bytes(length)
                }
                short => u64::from(short),
            };
            let mut body = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut body).ok()?;
            match head[0] & 0x0f {
                1 => return Some(serde_json::from_slice(&body).unwrap()),
                8 => return None,
                _ => {}
            }
        }
    }

    /// The first of the listed things in what comes that is wanted.
    pub fn find(&mut self, list: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let message = self.hear().expect("the socket is open");
            let found = message[list].as_array().into_iter().flatten().find(|item| wanted(item)).cloned();
            if let Some(found) = found {
                return found;
            }
        }
        panic!("it never came");
    }
}

/// `securemq web` on the data of a broker; dropped, it is ended.
pub struct Alone {
    child: Child,
    pub pages: Pages,
}

impl Alone {
    pub fn start(broker: &Broker) -> Self {
        let mut command = securemq(broker.scratch());
        command.args(["web", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = String::new();
        let mut pipe = child.stdout.take().unwrap();
        while !(output.contains("web pages on ") && output.ends_with('\n')) {
            let mut bytes = [0; 1024];
            let read = pipe.read(&mut bytes).unwrap();
            assert!(read > 0, "it ended: {output}");
            output += std::str::from_utf8(&bytes[..read]).unwrap();
        }
        Self { child, pages: Pages::in_output(&output) }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
