//! MQTT in WebSocket: binary frames as a stream of bytes, whatever their borders.
//!
//! The handshake is tokio-tungstenite's. After it the frames are read through tungstenite's own context, because only
//! that lets the limit on messages grow at login, and because it needs no wakers of its own: a connection at rest owns
//! its read buffer and nothing else.

use super::error::{TransportError, WebSocketProblem};
use bytes::{Buf, Bytes};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{Response as HttpResponse, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{self, Error};

/// A WebSocket connection as a stream of bytes.
///
/// Reading and writing may be done by different tasks. Each write becomes one binary frame, or several if it is long.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    context: WebSocketContext,
    /// Of the last binary message, what nobody has read yet.
    unread: Bytes,
    /// Whether tungstenite holds back bytes that the network did not take.
    unsent: bool,
    /// Who waits until the network takes more. Reading also writes (pong, close) and then takes the stream's only place
    /// for a waker, so that the writer must be woken from here.
    writer: Option<Waker>,
    closing: Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    /// Our close frame is on its way; the peer's may follow after that many more messages.
    Asked(u32),
    Done,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Shakes hands: the path must be the listener's and the sub-protocol must be offered. The caller has a deadline.
    pub async fn accept(stream: S, path: &str) -> Result<Self, TransportError> {
        let mut refused = None;
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let check = |request: &Request, response: Response| match agree(request, response, path) {
            Ok(response) => Ok(response),
            Err(problem) => {
                refused = Some(problem);
                Err(refusal(problem))
            }
        };
        let shaken = tokio_tungstenite::accept_hdr_async_with_config(stream, check, None).await;
        match (shaken, refused) {
            // Nothing is read ahead: bytes after the request make the handshake fail.
            (Ok(websocket), _) => Ok(Self::over(websocket.into_inner(), Role::Server)),
            (Err(_), Some(problem)) => Err(problem.into()),
            (Err(Error::Io(error)), None) => Err(error.into()),
            (Err(_), None) => Err(WebSocketProblem::NoRequest.into()),
        }
    }

    /// Shakes hands as a client, for `ws://AUTHORITY/PATH`. The caller has a deadline. [v5:MQTT-6.0.0-3]
    pub async fn request(stream: S, authority: &str, path: &str) -> Result<Self, TransportError> {
        let mut request =
            format!("ws://{authority}{path}").into_client_request().map_err(|_| WebSocketProblem::WrongPath)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUB_PROTOCOLS[0]));
        match tokio_tungstenite::client_async_with_config(request, stream, None).await {
            // Nothing is read ahead: a server of MQTT speaks second.
            Ok((websocket, _)) => Ok(Self::over(websocket.into_inner(), Role::Client)),
            Err(Error::Io(error)) => Err(error.into()),
            Err(Error::Http(response)) if response.status() == StatusCode::NOT_FOUND => {
                Err(WebSocketProblem::WrongPath.into())
            }
            Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
                Err(WebSocketProblem::NoSubProtocol.into())
            }
            Err(_) => Err(WebSocketProblem::Misbehaved.into()),
        }
    }

    fn over(stream: S, role: Role) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * MAX_WRITE)
            .max_frame_size(Some(MAX_MESSAGE_BEFORE_LOGIN))
            .max_message_size(Some(MAX_MESSAGE_BEFORE_LOGIN));
        Self {
            stream,
            context: WebSocketContext::new(role, Some(config)),
            unread: Bytes::new(),
            unsent: false,
            writer: None,
            closing: Closing::No,
        }
    }

    /// Allows messages of that many bytes. A message is held in memory whole, so before login it is
    /// [`MAX_MESSAGE_BEFORE_LOGIN`].
    pub fn set_message_limit(&mut self, bytes: usize) {
        self.context.set_config(|config| {
            config.max_frame_size = Some(bytes);
            config.max_message_size = Some(bytes);
        });
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream below, to be moved and not to be read.
    pub fn get_mut(&mut self) -> &mut S {
        self.writer = None;
        &mut self.stream
    }

    /// Runs one operation of tungstenite on the stream, which says "would block" where the task must wait.
    fn with_context<T>(
        &mut self,
        cx: &mut Context<'_>,
        operation: impl FnOnce(&mut WebSocketContext, &mut Blocking<'_, '_, S>) -> tungstenite::Result<T>,
    ) -> Poll<Result<T, Error>> {
        let mut blocking = Blocking { stream: &mut self.stream, cx };
        match operation(&mut self.context, &mut blocking) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            other => Poll::Ready(other),
        }
    }

    /// The next bytes; `None` at the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match ready!(self.with_context(cx, |context, stream| context.read(stream))) {
                Ok(Message::Binary(bytes)) if !bytes.is_empty() => return Poll::Ready(Ok(Some(bytes))),
                Ok(Message::Text(_)) => return Poll::Ready(Err(self.fail(cx, WebSocketProblem::TextFrame))),
                // tungstenite answers pings and closes itself; the answers leave with the next read.
                Ok(
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
                ) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Poll::Ready(Ok(None)),
                // Over TCP, too, a client may leave without a farewell.
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return Poll::Ready(Ok(None)),
                Err(Error::Io(error)) => return Poll::Ready(Err(error)),
                Err(Error::Capacity(_)) => return Poll::Ready(Err(self.fail(cx, WebSocketProblem::TooLarge))),
                Err(_) => return Poll::Ready(Err(self.fail(cx, WebSocketProblem::Misbehaved))),
            }
        }
    }

    /// Tells the peer what it did wrong, as far as the network takes it at once.
    fn fail(&mut self, cx: &mut Context<'_>, problem: WebSocketProblem) -> io::Error {
        let code = match problem {
            WebSocketProblem::TextFrame => CloseCode::Unsupported,
            WebSocketProblem::TooLarge => CloseCode::Size,
            WebSocketProblem::Misbehaved
            | WebSocketProblem::NoRequest
            | WebSocketProblem::WrongPath
            | WebSocketProblem::NoSubProtocol => CloseCode::Protocol,
        };
        let frame = CloseFrame { code, reason: "".into() };
        let _ = self.with_context(cx, |context, stream| context.close(stream, Some(frame)));
        self.closing = Closing::Done;
        io::Error::new(io::ErrorKind::InvalidData, problem)
    }

    /// Wakes the writer, whose place in the stream the reader may have taken; not if both are one task, which would wake
    /// itself for ever.
    fn wake_writer_unless(&mut self, reader: &Waker) {
        if let Some(writer) = self.writer.take_if(|writer| !writer.will_wake(reader)) {
            writer.wake();
        }
    }

    fn poll_send_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.with_context(cx, |context, stream| context.flush(stream));
        self.unsent = sent.is_pending();
        self.writer = sent.is_pending().then(|| cx.waker().clone());
        sent.map(|result| result.map_err(write_error))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            let message = this.poll_message(cx);
            this.wake_writer_unless(cx.waker());
            match ready!(message)? {
                Some(message) => this.unread = message,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        if this.unread.is_empty() {
            // Or it would keep the whole message in memory.
            this.unread = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.unsent {
            ready!(this.poll_send_rest(cx))?;
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = bytes.len().min(MAX_WRITE);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        match this.with_context(cx, |context, stream| context.write(stream, message)) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(count)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(write_error(error))),
            Poll::Pending => {
                // The frame was taken; what the network did not take of it leaves with the next write or flush.
                this.unsent = true;
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send_rest(cx)
    }

    /// Says farewell and waits for the peer's. The caller has a deadline.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.closing {
                Closing::No => {
                    this.closing = Closing::Asked(MAX_MESSAGES_AFTER_CLOSE);
                    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    match this.with_context(cx, |context, stream| context.close(stream, Some(frame))) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => this.closing = Closing::Done,
                        Poll::Pending => this.unsent = true,
                    }
                }
                Closing::Asked(_) if this.unsent => {
                    if ready!(this.poll_send_rest(cx)).is_err() {
                        this.closing = Closing::Done;
                    }
                }
                Closing::Asked(0) => this.closing = Closing::Done,
                Closing::Asked(more) => match ready!(this.with_context(cx, |context, stream| context.read(stream))) {
                    Ok(_) => this.closing = Closing::Asked(more - 1),
                    Err(_) => this.closing = Closing::Done,
                },
                Closing::Done => return Pin::new(&mut this.stream).poll_shutdown(cx),
            }
        }
    }
}

/// The asynchronous stream as a blocking one that says "would block" instead of blocking.
struct Blocking<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Blocking<'_, '_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match Pin::new(&mut *self.stream).poll_flush(self.cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Agrees on path and sub-protocol. [v5:MQTT-6.0.0-3] [v5:MQTT-6.0.0-4]
fn agree(request: &Request, mut response: Response, path: &str) -> Result<Response, WebSocketProblem> {
    if request.uri().path() != path {
        return Err(WebSocketProblem::WrongPath);
    }
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offers = offers.iter().filter_map(|offer| offer.to_str().ok()).flat_map(|offer| offer.split(','));
    let agreed = offers.find_map(|offer| SUB_PROTOCOLS.into_iter().find(|known| *known == offer.trim()));
    let agreed = agreed.ok_or(WebSocketProblem::NoSubProtocol)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(agreed));
    Ok(response)
}

/// The answer to a request that is refused.
fn refusal(problem: WebSocketProblem) -> ErrorResponse {
    let status = match problem {
        WebSocketProblem::WrongPath => StatusCode::NOT_FOUND,
        WebSocketProblem::NoSubProtocol
        | WebSocketProblem::NoRequest
        | WebSocketProblem::TextFrame
        | WebSocketProblem::TooLarge
        | WebSocketProblem::Misbehaved => StatusCode::BAD_REQUEST,
    };
    let mut response = HttpResponse::new(Some(format!("{problem}\n")));
    *response.status_mut() = status;
    response
}

fn write_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        _ => io::ErrorKind::BrokenPipe.into(),
    }
}

/// What MQTT calls itself: today, and as 3.1 did before it was a standard.
const SUB_PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What a connection at rest owns. Larger messages get a buffer of their own for as long as they are read.
const READ_BUFFER: usize = 2048;

/// The longest frame that is sent, so that the copy that tungstenite keeps stays small. As long as a TLS record.
const MAX_WRITE: usize = 16 * 1024;

/// A stranger makes us hold no more than one CONNECT may be long.
const MAX_MESSAGE_BEFORE_LOGIN: usize = 64 * 1024;

/// A peer that goes on sending after our farewell is left alone then.
const MAX_MESSAGES_AFTER_CLOSE: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Writes until the network takes no more.
    fn block(websocket: &mut WebSocket<DuplexStream>, task: &Arc<Task>) {
        let waker = Waker::from(Arc::clone(task));
        while Pin::new(&mut *websocket).poll_write(&mut Context::from_waker(&waker), &[7; 40]).is_ready() {}
    }

    fn read_nothing(websocket: &mut WebSocket<DuplexStream>, task: &Arc<Task>) {
        let waker = Waker::from(Arc::clone(task));
        let mut bytes = [0; 10];
        let mut buffer = ReadBuf::new(&mut bytes);
        assert!(Pin::new(websocket).poll_read(&mut Context::from_waker(&waker), &mut buffer).is_pending());
    }

    #[tokio::test]
    async fn a_task_that_reads_and_writes_does_not_wake_itself() {
        let (_peer, stream) = duplex(64);
        let mut websocket = WebSocket::over(stream, Role::Server);
        let task = Arc::new(Task::default());
        block(&mut websocket, &task);
        read_nothing(&mut websocket, &task);
        assert_eq!(task.woken(), 0);
    }

    /// The reader answers a ping, and so takes the only place for a waker: the writer must hear of it.
    #[tokio::test]
    async fn a_writer_is_not_forgotten_when_the_reader_writes() {
        let (mut peer, stream) = duplex(64);
        let mut websocket = WebSocket::over(stream, Role::Server);
        let (writer, reader) = (Arc::new(Task::default()), Arc::new(Task::default()));
        block(&mut websocket, &writer);
        peer.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
        read_nothing(&mut websocket, &reader);
        assert_eq!(writer.woken(), 1);
    }

    #[tokio::test]
    async fn a_farewell_that_the_network_does_not_take_at_once_is_sent_later() {
        let (mut peer, stream) = duplex(64);
        let mut websocket = WebSocket::over(stream, Role::Server);
        block(&mut websocket, &Arc::default());
        let mut received = Vec::new();
        let read_all = async {
            // Until the close frame, which says 1000.
            while !received.ends_with(&[0x88, 2, 3, 232]) {
                received.push(peer.read_u8().await.unwrap());
            }
            peer.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        };
        let (ended, ()) = tokio::join!(websocket.shutdown(), read_all);
        ended.unwrap();
    }
}
