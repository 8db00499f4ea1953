//! A connection whose client is let in: bytes in, packets to the shard, and what the shard sends out again.

use super::outbox::Outbox;
use super::transport::Transport;
use super::world::World;
use crate::broker::{ConnectionId, Input, Reason};
use crate::protocol::{ProtocolVersion, decode, frame_len};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

/// How long a connection that ends may take to write what is left, so that a deaf peer holds nothing.
const LINGER: Duration = Duration::from_secs(5);

/// Chunks read in one go before others get their turn. One chunk is at most what one read returns, 64 KiB.
const CHUNKS_PER_TURN: usize = 4;

/// How long reading stops when another worker has fallen behind.
const PAUSE: Duration = Duration::from_millis(1);

/// A connection and its task's own state.
pub struct Connection {
    id: ConnectionId,
    version: ProtocolVersion,
    maximum: u32,
    transport: Transport,
    outbox: Rc<Outbox>,
    /// The beginning of a packet that is not complete.
    partial: BytesMut,
    /// Whether bytes were handed to the transport that it has not passed on.
    needs_flush: bool,
    world: Rc<World>,
}

impl Connection {
    /// A connection that is about to be served.
    pub fn new(
        id: ConnectionId,
        version: ProtocolVersion,
        transport: Transport,
        rest: BytesMut,
        outbox: Rc<Outbox>,
        world: Rc<World>,
    ) -> Self {
        let maximum = world.max_packet_size();
        // Empty, it would still hold the memory that CONNECT was read into.
        let rest = if rest.is_empty() { BytesMut::new() } else { rest };
        Self { id, version, maximum, transport, outbox, partial: rest, needs_flush: false, world }
    }

    /// Serves the connection until it ends. The shard is told of its end whatever happens, a panic included.
    ///
    /// What it waits for besides packets is on the heap: an idle connection must not keep room for it.
    pub async fn serve(&mut self) {
        let farewell = Farewell { id: self.id, world: Rc::clone(&self.world), reason: Cell::new(Reason::Internal) };
        // What came right behind CONNECT has waited until now.
        if !self.partial.is_empty() {
            self.take_packets();
            self.world.end_turn();
        }
        let ended = loop {
            match poll_fn(|context| self.poll_turn(context)).await {
                Turn::Ended(reason) => break reason,
                Turn::Paused => Box::pin(tokio::time::sleep(PAUSE)).await,
            }
        };
        farewell.reason.set(ended);
        drop(farewell);
        let _ = Box::pin(tokio::time::timeout(LINGER, poll_fn(|context| self.poll_linger(context)))).await;
    }

    /// Reads what is there, lets the shard act on it, and writes what there is to write.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        self.outbox.wake_nobody();
        let turn = self.poll_read_and_write(context);
        if turn.is_pending() {
            self.outbox.wake_later(context);
        }
        turn
    }

    fn poll_read_and_write(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        let mut chunks = 0;
        while !self.outbox.is_closing() {
            if self.world.is_backlogged() {
                return Poll::Ready(Turn::Paused);
            }
            match self.poll_read(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Turn::Ended(Reason::ConnectionLost)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Turn::Ended(Reason::ConnectionLost)),
                Poll::Pending => break,
            }
            chunks += 1;
            if chunks == CHUNKS_PER_TURN {
                context.waker().wake_by_ref();
                break;
            }
        }
        if chunks > 0 {
            self.world.end_turn();
        }
        loop {
            match self.poll_write(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(Turn::Ended(Reason::ConnectionLost)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Progress::Nothing)) => break,
                Poll::Ready(Ok(Progress::Written)) => {
                    self.world.input(Input::Written { connection: self.id });
                    self.world.end_turn();
                }
            }
        }
        if self.outbox.is_closing() {
            // The shard has forgotten the connection already; it is only closed here.
            return Poll::Ready(Turn::Ended(Reason::ClientDisconnected));
        }
        Poll::Pending
    }

    /// Reads once and hands every whole packet to the shard.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.partial.is_empty() {
            let mut chunk = self.world.read_buffer();
            let read = ready!(poll_read_buf(Pin::new(&mut self.transport), context, &mut *chunk))?;
            self.world.count_bytes(read, 0);
            let bytes = chunk.split().freeze();
            drop(chunk);
            let rest = self.take_from(bytes);
            self.partial.extend_from_slice(&rest);
            return Poll::Ready(Ok(read));
        }
        let missing = self.missing();
        self.partial.reserve(missing.min(World::CHUNK));
        let read = ready!(poll_read_buf(Pin::new(&mut self.transport), context, &mut self.partial))?;
        self.world.count_bytes(read, 0);
        if self.missing() == 0 {
            self.take_packets();
        }
        Poll::Ready(Ok(read))
    }

    /// Bytes that the incomplete packet lacks, as far as is known; 0 if it is complete or broken.
    fn missing(&self) -> usize {
        match frame_len(&self.partial, self.maximum) {
            Ok(Some(len)) => len.saturating_sub(self.partial.len()),
            Ok(None) => 1,
            Err(_) => 0,
        }
    }

    fn take_packets(&mut self) {
        let bytes = self.partial.split().freeze();
        let rest = self.take_from(bytes);
        self.partial = BytesMut::from(&*rest);
    }

    /// Hands every whole packet to the shard; what is left is the beginning of the next.
    fn take_from(&mut self, mut bytes: Bytes) -> Bytes {
        while bytes.has_remaining() && !self.outbox.is_closing() {
            match decode(&mut bytes, Some(self.version), self.maximum) {
                Ok(Some(packet)) => self.world.input(Input::Packet { connection: self.id, packet }),
                Ok(None) => return bytes,
                Err(violation) => {
                    self.world.input(Input::Violated { connection: self.id, violation });
                    return Bytes::new();
                }
            }
        }
        Bytes::new()
    }

    /// Writes what is in the outbox, all of it if the peer takes it.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        let mut progress = Progress::Nothing;
        loop {
            let mut buffer = self.outbox.buffer();
            if buffer.is_empty() {
                break;
            }
            self.needs_flush = true;
            let written = ready!(Pin::new(&mut self.transport).poll_write(context, &buffer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.world.count_bytes(0, written);
            buffer.advance(written);
            if buffer.is_empty() {
                self.world.give_back(std::mem::take(&mut *buffer));
            }
        }
        if self.needs_flush {
            ready!(Pin::new(&mut self.transport).poll_flush(context))?;
            self.needs_flush = false;
            progress = Progress::Written;
        }
        Poll::Ready(Ok(progress))
    }

    /// Writes the rest and closes. What still arrives is thrown away, so that the peer gets to read the last packet
    /// instead of a reset.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if ready!(self.poll_write(context)).is_err()
            || ready!(Pin::new(&mut self.transport).poll_shutdown(context)).is_err()
        {
            return Poll::Ready(());
        }
        loop {
            let mut chunk = self.world.read_buffer();
            let read = ready!(poll_read_buf(Pin::new(&mut self.transport), context, &mut *chunk));
            chunk.clear();
            if !matches!(read, Ok(more) if more > 0) {
                return Poll::Ready(());
            }
        }
    }
}

enum Turn {
    /// The connection is over.
    Ended(Reason),
    /// Another worker must catch up first.
    Paused,
}

enum Progress {
    Nothing,
    Written,
}

/// Tells the shard that the connection is gone when it is dropped; a shard that knows already does not mind.
pub struct Farewell {
    /// Which.
    pub id: ConnectionId,
    /// Where.
    pub world: Rc<World>,
    /// Why it ended.
    pub reason: Cell<Reason>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.world.forget(self.id);
        self.world.input(Input::Lost { connection: self.id, reason: self.reason.get() });
        self.world.end_turn();
    }
}
