//! A client's connection to a server: drives [`Client`] with bytes and time.

use super::client::{Client, Event};
use super::client_settings::{ClientSettings, Unsendable};
use super::dial::{Stream, dial};
use super::error::{ForeignServer, LinkError};
use super::trust::Trust;
use crate::config::ServerUrl;
use crate::protocol::{
    Disconnect, Packet, PacketId, PacketTooLarge, Publish, ReasonCode, SubscribeRequest, decode, frame_len,
};
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{sleep_until, timeout};

/// A connection that the server has accepted.
pub struct Connection {
    client: Client,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    /// What has come and is no packet yet, or has not had its turn.
    received: BytesMut,
    unsent: BytesMut,
    /// Whether the layers below hold back bytes that were written.
    needs_flush: bool,
    was_accepted: bool,
    events: VecDeque<Event>,
    /// Times of the client count from here.
    began: Instant,
}

/// What moved on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The server did something.
    Event(Event),
    /// Bytes went out, so that there may be room for more.
    Sent,
}

impl Connection {
    /// Connects and logs in.
    pub async fn open(url: &ServerUrl, trust: Option<&Trust>, settings: ClientSettings) -> Result<Self, LinkError> {
        let stream = dial(url, trust, settings.patience).await?;
        let mut connection = Self::over(stream, settings);
        loop {
            match connection.step().await? {
                Step::Event(Event::Connected(_)) => return Ok(connection),
                Step::Event(_) | Step::Sent => {}
            }
        }
    }

    fn over(stream: Box<dyn Stream>, settings: ClientSettings) -> Self {
        let (reader, writer) = split(stream);
        let mut connection = Self {
            client: Client::new(settings),
            reader,
            writer,
            received: BytesMut::new(),
            unsent: BytesMut::new(),
            needs_flush: false,
            was_accepted: false,
            events: VecDeque::new(),
            began: Instant::now(),
        };
        connection.client.connect(Duration::ZERO);
        connection
    }

    /// Sends a message, or lets it wait for its turn.
    pub fn publish(&mut self, publish: Publish) -> Result<Option<PacketId>, Unsendable> {
        let packet_id = self.client.publish(publish)?;
        self.encode().map_err(|too_large| Unsendable::PacketTooLarge(too_large.maximum))?;
        Ok(packet_id)
    }

    /// Asks for messages. The answer is [`Event::Subscribed`].
    pub fn subscribe(&mut self, requests: Vec<SubscribeRequest>) -> Result<PacketId, Unsendable> {
        self.client.subscribe(requests, None)
    }

    /// How many bytes wait to be sent.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// How many messages are not finished: they wait, or are not fully acknowledged.
    pub fn unfinished(&self) -> usize {
        self.client.unfinished()
    }

    /// Whether everything was sent and acknowledged.
    pub fn is_idle(&self) -> bool {
        self.unfinished() == 0 && self.unsent.is_empty() && !self.needs_flush
    }

    /// Waits until something moves. Given up half way, it loses nothing. Packets have their turn one by one: what
    /// has arrived behind the one that is told is not acknowledged yet.
    pub async fn step(&mut self) -> Result<Step, LinkError> {
        loop {
            if let Some(event) = self.next_event()? {
                return match event {
                    Event::Refused(connack) => Err(LinkError::Refused(connack)),
                    Event::Disconnected(disconnect) => Err(LinkError::Disconnected(disconnect)),
                    event @ (Event::Connected(_)
                    | Event::Message(_)
                    | Event::Published { .. }
                    | Event::GivenUp { .. }
                    | Event::Unconfirmed { .. }
                    | Event::Subscribed { .. }
                    | Event::Unsubscribed { .. }) => Ok(Step::Event(event)),
                };
            }
            self.encode()?;
            if self.received.capacity() - self.received.len() < READ_CHUNK / 4 {
                self.received.reserve(READ_CHUNK);
            }
            let due = self.client.next_tick().map(|due| self.began + due);
            let writing = !self.unsent.is_empty() || self.needs_flush;
            tokio::select! {
                read = self.reader.read_buf(&mut self.received) => match read {
                    Ok(0) => return Err(self.ended()),
                    Ok(_) => {}
                    Err(error) => return Err(self.failed(error)),
                },
                written = write_some(&mut self.writer, &mut self.unsent, &mut self.needs_flush), if writing => {
                    written.map_err(|error| self.failed(error))?;
                    return Ok(Step::Sent);
                }
                () = at(due) => self.client.tick(self.began.elapsed()).map_err(|_| LinkError::Silent)?,
            }
        }
    }

    /// Says goodbye, after what was to be sent before, and closes, for at most that long. What still arrives is thrown
    /// away, because a socket that is closed with bytes unread resets the connection, and a reset can overtake our last
    /// packet.
    pub async fn close(mut self, grace: Duration) {
        self.client.disconnect(Disconnect::new(ReasonCode::Success));
        // Whatever goes wrong with a farewell, the connection is over.
        let _ = self.encode();
        let farewell = async {
            self.writer.write_all_buf(&mut self.unsent).await?;
            self.writer.flush().await?;
            self.writer.shutdown().await?;
            let mut bytes = [0; 1024];
            while self.reader.read(&mut bytes).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = timeout(grace, farewell).await;
    }

    /// The next event of the packets that are there.
    fn next_event(&mut self) -> Result<Option<Event>, LinkError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(packet) = self.next_packet()? else { return Ok(None) };
            let mut events = Vec::new();
            self.client.receive(self.began.elapsed(), packet, &mut events)?;
            self.events.extend(events);
            self.was_accepted = self.was_accepted || self.client.is_open();
        }
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, LinkError> {
        if !self.was_accepted
            && let Some(foreign) = ForeignServer::by(&self.received)
        {
            return Err(LinkError::Foreign(foreign));
        }
        let maximum = self.client.settings().maximum_packet_size;
        match frame_len(&self.received, maximum)? {
            Some(len) if len <= self.received.len() => {
                let mut bytes = self.received.split_to(len).freeze();
                Ok(decode(&mut bytes, Some(self.client.settings().version), maximum)?)
            }
            Some(_) | None => Ok(None),
        }
    }

    fn encode(&mut self) -> Result<(), PacketTooLarge> {
        let (version, maximum) = (self.client.settings().version, self.client.server().maximum_packet_size);
        for packet in self.client.take_outgoing(self.began.elapsed()) {
            packet.encode(version, maximum, &mut self.unsent)?;
        }
        Ok(())
    }

    fn ended(&self) -> LinkError {
        if self.was_accepted { LinkError::Closed } else { LinkError::NoAnswer }
    }

    fn failed(&self, error: io::Error) -> LinkError {
        let is_end = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        );
        // TLS without its farewell, and a server that hangs up on bytes that it did not read.
        if is_end { self.ended() } else { LinkError::of_network(error) }
    }
}

async fn write_some(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    unsent: &mut BytesMut,
    needs_flush: &mut bool,
) -> io::Result<()> {
    while unsent.has_remaining() {
        *needs_flush = true;
        if writer.write_buf(unsent).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await?;
    *needs_flush = false;
    Ok(())
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

/// How much is read at once. Larger packets are read in several turns.
const READ_CHUNK: usize = 64 * 1024;
