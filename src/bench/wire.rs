//! One connection of the generator: whole packets out of large reads, many packets in one write, and no buffer of its
//! own while it is idle.

use super::error::BenchError;
use crate::bridge::{ClientSettings, LinkError, Stream, Trust, dial};
use crate::config::ServerUrl;
use crate::protocol::{
    ConnAck, Disconnect, Packet, PacketId, ProtocolVersion, QoS, ReasonCode, Subscribe, SubscribeRequest, Text, decode,
    frame_len,
};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Where the broker is, and how its clients log in.
#[derive(Clone)]
pub struct Target {
    /// The broker.
    pub url: ServerUrl,
    /// What vouches for it, where there is TLS.
    pub trust: Option<Trust>,
    /// Version, credentials, keep alive and patience; the rest is different for each client.
    pub settings: ClientSettings,
}

/// What becomes of a session when its connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionLife {
    /// It begins and ends with the connection.
    Connection,
    /// It goes on, and is there when the client comes again.
    Durable,
}

/// A connection that the broker has accepted.
pub struct Wire {
    stream: Box<dyn Stream>,
    version: ProtocolVersion,
    /// What has come and was not taken: nearly always the beginning of a packet.
    unread: Vec<u8>,
    /// What is to be sent. Whoever fills it looks at [`Wire::has_room`].
    pub outgoing: Vec<u8>,
    written: usize,
    needs_flush: bool,
}

/// Whether the next packet is wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Yes.
    More,
    /// Later.
    Enough,
}

impl Wire {
    /// Connects, and waits until the broker accepts.
    pub async fn open(target: &Target, client_id: &str, life: SessionLife) -> Result<(Self, ConnAck), BenchError> {
        let settings = settings_of(target, client_id, life);
        let stream = dial(&target.url, target.trust.as_ref(), settings.patience).await?;
        let version = settings.version;
        let mut wire =
            Self { stream, version, unread: Vec::new(), outgoing: Vec::new(), written: 0, needs_flush: false };
        wire.put(&Packet::Connect(Box::new(settings.connect(true))))?;
        match wire.answer(settings.patience).await? {
            Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => Ok((wire, *connack)),
            Packet::ConnAck(connack) => Err(LinkError::Refused(connack).into()),
            Packet::Disconnect(disconnect) => Err(LinkError::Disconnected(disconnect).into()),
            _ => Err(LinkError::NoAnswer.into()),
        }
    }

    /// Subscribes, and waits until everything is granted.
    pub async fn subscribe(&mut self, filters: &[Text], qos: QoS, patience: Duration) -> Result<(), BenchError> {
        for filters in filters.chunks(FILTERS_AT_ONCE) {
            let requests = filters.iter().map(|filter| SubscribeRequest::new(filter.clone(), qos)).collect();
            let (subscription_id, user_properties) = (None, Vec::new());
            let packet_id = PacketId::FIRST;
            self.put(&Packet::Subscribe(Subscribe { packet_id, subscription_id, user_properties, requests }))?;
            let suback = match self.answer(patience).await? {
                Packet::SubAck(suback) => suback,
                Packet::Disconnect(disconnect) => return Err(LinkError::Disconnected(disconnect).into()),
                _ => return Err(LinkError::NoAnswer.into()),
            };
            let refused = filters.iter().zip(&suback.reasons).find(|(_, reason)| reason.is_error());
            if let Some((filter, reason)) = refused {
                return Err(BenchError::SubscriptionRefused { filter: filter.to_string(), reason: *reason });
            }
        }
        Ok(())
    }

    /// Whether more may be written into [`Wire::outgoing`].
    #[inline]
    pub fn has_room(&self) -> bool {
        self.outgoing.len() < MOST_UNSENT
    }

    /// Sends what is to be sent and hands over the packets that come, until something has moved or `wake` is ready.
    /// What `take` writes is sent by the next turn, together with what its caller adds.
    pub async fn turn(
        &mut self,
        mut wake: Pin<&mut impl Future<Output = ()>>,
        mut take: impl FnMut(&[u8], &mut Vec<u8>) -> Result<Next, BenchError>,
    ) -> Result<(), BenchError> {
        poll_fn(|context| {
            let has_sent = self.poll_send(context)?;
            let has_read = self.poll_receive(context, &mut take)?.is_ready();
            match has_sent || has_read || wake.as_mut().poll(context).is_ready() {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Says goodbye and waits until the broker closes too: a socket that is closed with bytes unread resets the
    /// connection, and the reset can overtake the goodbye.
    pub async fn close(mut self, patience: Duration) {
        let farewell = async {
            self.put(&Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success))))?;
            let rest = self.outgoing.get(self.written..).unwrap_or_default();
            self.stream.write_all(rest).await.map_err(BenchError::of_network)?;
            self.stream.shutdown().await.map_err(BenchError::of_network)?;
            let mut bytes = vec![0; 4096];
            while self.stream.read(&mut bytes).await.map_err(BenchError::of_network)? > 0 {}
            Ok::<(), BenchError>(())
        };
        // The measurement is over: whatever goes wrong with a farewell changes no figure.
        let _ = timeout(patience, farewell).await;
    }

    /// Writes a packet into what is to be sent.
    pub fn put(&mut self, packet: &Packet) -> Result<(), BenchError> {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, u32::MAX, &mut bytes)?;
        self.outgoing.extend_from_slice(&bytes);
        Ok(())
    }

    /// The next packet. What comes behind it waits.
    async fn answer(&mut self, patience: Duration) -> Result<Packet, BenchError> {
        let version = self.version;
        let mut answer = None;
        let wait = async {
            while answer.is_none() {
                let take = |packet: &[u8], _: &mut Vec<u8>| {
                    answer = decode(&mut Bytes::copy_from_slice(packet), Some(version), u32::MAX)?;
                    Ok(Next::Enough)
                };
                self.turn(pin!(pending()), take).await?;
            }
            Ok::<(), BenchError>(())
        };
        timeout(patience, wait).await.map_err(|_| LinkError::Silent)??;
        answer.ok_or_else(|| LinkError::Silent.into())
    }

    /// Whether the last of it went out just now.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Result<bool, BenchError> {
        let mut has_moved = false;
        while let Some(rest) = self.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *self.stream).poll_write(context, rest).map_err(BenchError::of_network)? {
                Poll::Ready(count) => self.written += count,
                Poll::Pending => return Ok(false),
            }
            (self.needs_flush, has_moved) = (true, true);
        }
        self.outgoing.clear();
        self.written = 0;
        if self.needs_flush {
            let flushed = Pin::new(&mut *self.stream).poll_flush(context).map_err(BenchError::of_network)?;
            self.needs_flush = flushed.is_pending();
        }
        Ok(has_moved)
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        take: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<Next, BenchError>,
    ) -> Poll<Result<(), BenchError>> {
        if whole_packet(&self.unread)?.is_some() {
            let unread = mem::take(&mut self.unread);
            let rest = hand_over(&unread, &mut self.outgoing, take)?;
            self.unread.extend_from_slice(rest);
            return Poll::Ready(Ok(()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let kept = self.unread.len();
            if scratch.len() < kept + READ_CHUNK {
                scratch.resize(kept + READ_CHUNK, 0);
            }
            let (front, room) = scratch.split_at_mut(kept);
            front.copy_from_slice(&self.unread);
            let mut buffer = ReadBuf::new(room);
            ready!(Pin::new(&mut *self.stream).poll_read(context, &mut buffer)).map_err(BenchError::of_network)?;
            let count = buffer.filled().len();
            if count == 0 {
                return Poll::Ready(Err(LinkError::Closed.into()));
            }
            let bytes = scratch.get(..kept + count).unwrap_or_default();
            let rest = hand_over(bytes, &mut self.outgoing, take)?;
            self.unread.clear();
            self.unread.extend_from_slice(rest);
            Poll::Ready(Ok(()))
        })
    }
}

/// Hands over whole packets from the front of some bytes; returns the rest.
fn hand_over<'a>(
    mut bytes: &'a [u8],
    outgoing: &mut Vec<u8>,
    take: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<Next, BenchError>,
) -> Result<&'a [u8], BenchError> {
    while let Some(length) = whole_packet(bytes)? {
        let (packet, rest) = bytes.split_at(length);
        bytes = rest;
        if take(packet, outgoing)? == Next::Enough {
            break;
        }
    }
    Ok(bytes)
}

/// The length of the packet at the front of some bytes, if all of it is there.
#[inline]
fn whole_packet(bytes: &[u8]) -> Result<Option<usize>, BenchError> {
    Ok(frame_len(bytes, u32::MAX)?.filter(|length| *length <= bytes.len()))
}

fn settings_of(target: &Target, client_id: &str, life: SessionLife) -> ClientSettings {
    let mut settings = target.settings.clone();
    settings.client_id = Text::try_from(client_id).unwrap_or_default();
    settings.receive_maximum = u16::MAX;
    (settings.clean_start, settings.session_expiry_interval) = match life {
        SessionLife::Connection => (true, 0),
        SessionLife::Durable => (false, DURABLE_SECONDS),
    };
    settings
}

thread_local! {
    /// What all connections of a thread read into: a buffer for each would cost more than the connections.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What one read may take, in bytes.
const READ_CHUNK: usize = 256 << 10;

/// Bytes that wait to be sent on one connection before no more messages are made.
const MOST_UNSENT: usize = 256 << 10;

/// Filters of one SUBSCRIBE: its packet stays below the 64 KiB that brokers take from anybody.
const FILTERS_AT_ONCE: usize = 500;

/// How long a session is kept that a run has left behind.
const DURABLE_SECONDS: u32 = 3600;
