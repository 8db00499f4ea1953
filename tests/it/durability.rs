//! `kill -9` under load, again and again: what was acknowledged arrives, QoS 2 once, in order.
//!
//! `SECUREMQ_KILLS` sets the number of rounds, `SECUREMQ_KILL_SEED` the moments.

use crate::support::broker::{Broker, Settings};
use crate::support::{PATIENCE, setting};
use bytes::{Buf, Bytes, BytesMut};
use securemq::bridge::{Client, ClientSettings, Event};
use securemq::protocol::{
    Packet, ProtocolVersion, Publish, QoS, Rare, ReasonCode, SubscribeRequest, Text, decode, frame_len,
};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// What all clients share: where the broker is at the moment, and whether it is over.
#[derive(Clone)]
struct Scene {
    address: Arc<Mutex<SocketAddr>>,
    is_over: Arc<AtomicBool>,
    /// How many messages were acknowledged, once that is known.
    total: Arc<OnceLock<usize>>,
    begin: Instant,
}

/// A client that connects again whenever its connection ends, and forgets nothing.
struct Device {
    client: Client,
    scene: Scene,
    socket: Option<TcpStream>,
    input: BytesMut,
}

/// Messages that a publisher has under way.
const WINDOW: usize = 32;

/// [v5:MQTT-4.3.2-1] [v5:MQTT-4.3.3-1] [v5:MQTT-4.4.0-1]: every promise made before a crash holds after it.
#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_killing_the_broker() {
    keep_promises(setting("SECUREMQ_KILLS", 20), |broker, _| broker.crash());
}

/// SIGTERM under load: a stop is no crash, and leaves the database whole in one file.
#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_stopping_the_broker() {
    keep_promises(4, |broker, _| {
        broker.restart_and(|data| {
            let log = data.join("securemq.db-wal");
            assert!(!log.exists(), "a clean stop leaves {}", log.display());
        })
    });
}

/// The starts after a crash are killed as well, while they bring everything back; and each time there are other workers.
#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_killing_the_broker_while_it_recovers() {
    let mut killed = 0;
    keep_promises(3, |broker, round| {
        let workers = if round.is_multiple_of(2) { 4 } else { 2 };
        broker.then_with("WORKERS", workers).crash_and(|data| {
            killed += Broker::start_and_kill(data, if round == 1 { 3 } else { workers }, [1, 2, 3, 5, 8, 13]);
        })
    });
    assert!(killed >= 9, "only {killed} starts were killed before they were ready");
}

/// Goes down so many times under load from clients of both versions, that are there and that are not.
fn keep_promises(rounds: u32, mut go_down: impl FnMut(Broker, u32) -> Broker) {
    let mut random = setting("SECUREMQ_KILL_SEED", 1_u64);
    let mut broker = Settings::open().workers(2).start();
    let scene = Scene {
        address: Arc::new(Mutex::new(broker.address())),
        is_over: Arc::default(),
        total: Arc::default(),
        begin: Instant::now(),
    };
    let versions = [ProtocolVersion::V3_1_1, ProtocolVersion::V5];
    let mut absent: Vec<_> = versions.map(|version| Device::new("absent", version, &scene)).into();
    for device in &mut absent {
        device.subscribe();
        device.vanish();
    }
    let live = versions.map(|version| {
        let mut device = Device::new("live", version, &scene);
        device.subscribe();
        thread::spawn(move || device.collect())
    });
    let publishers = versions.map(|version| {
        let scene = scene.clone();
        thread::spawn(move || Device::new("publisher", version, &scene).publish_until_over())
    });
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_millis(random >> 33 & 0xff));
        broker = go_down(broker, round);
        *scene.address.lock().unwrap() = broker.address();
    }
    scene.is_over.store(true, Ordering::Relaxed);
    let published = publishers.map(|publisher| publisher.join().unwrap());
    let total: usize = published.iter().map(Vec::len).sum();
    scene.total.set(total).unwrap();
    let lived = live.map(|live| live.join().unwrap());
    let waited = absent.into_iter().map(|mut device| device.collect());
    for (reader, received) in lived.into_iter().chain(waited).enumerate() {
        for (version, published) in versions.iter().zip(&published) {
            check(&format!("reader {reader}, publisher of {version}"), published, received.get(&version.level()));
        }
    }
    eprintln!("{rounds} times down, {total} messages acknowledged");
}

/// Every message that was acknowledged is there, QoS 2 once; of each level, the first copies are in order.
fn check(who: &str, published: &[u32], received: Option<&Vec<(u32, QoS)>>) {
    let received = received.map(Vec::as_slice).unwrap_or_default();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let numbers: Vec<u32> = received.iter().filter(|(_, of)| *of == qos).map(|(number, _)| *number).collect();
        let mut firsts = Vec::new();
        for number in &numbers {
            if firsts.last().is_none_or(|last| last < number) {
                firsts.push(*number);
            } else {
                assert!(qos == QoS::AtLeastOnce, "{who}: {number} of QoS 2 comes twice or too late");
                assert!(firsts.binary_search(number).is_ok(), "{who}: {number} comes too late");
            }
        }
        let missing: Vec<_> = published
            .iter()
            .filter(|number| qos_of(**number) == qos && firsts.binary_search(number).is_err())
            .collect();
        assert!(missing.is_empty(), "{who}: {} of {qos} are lost: {missing:?}", missing.len());
    }
}

fn qos_of(number: u32) -> QoS {
    if number.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce }
}

impl Device {
    fn new(name: &str, version: ProtocolVersion, scene: &Scene) -> Self {
        let client_id = Text::try_from(format!("{name}-{}", version.level()).as_str()).unwrap();
        let mut settings = ClientSettings::new(version, client_id);
        settings.clean_start = false;
        settings.session_expiry_interval = 3600;
        Self { client: Client::new(settings), scene: scene.clone(), socket: None, input: BytesMut::new() }
    }

    /// One round of work: connects if need be, writes what is to be written, reads what is there.
    fn turn(&mut self) -> Vec<Event> {
        let now = self.scene.begin.elapsed();
        let mut events = Vec::new();
        if self.socket.is_none() {
            let address = *self.scene.address.lock().unwrap();
            let Ok(socket) = TcpStream::connect(address) else {
                thread::sleep(Duration::from_millis(5));
                return events;
            };
            socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            self.socket = Some(socket);
            self.input.clear();
            self.client.connect(now);
        }
        if self.exchange(now, &mut events).is_err() {
            self.vanish();
        }
        events
    }

    fn exchange(&mut self, now: Duration, events: &mut Vec<Event>) -> Result<(), ErrorKind> {
        let version = self.client.settings().version;
        let socket = self.socket.as_mut().unwrap();
        let mut output = BytesMut::new();
        for packet in self.client.take_outgoing(now) {
            packet.encode(version, u32::MAX, &mut output).unwrap();
        }
        socket.write_all(&output).map_err(|error| error.kind())?;
        let mut bytes = [0; 4096];
        match socket.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof),
            Ok(count) => self.input.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.kind()),
        }
        while let Some(len) = frame_len(&self.input, u32::MAX).unwrap().filter(|len| *len <= self.input.remaining()) {
            let mut frame: Bytes = self.input.split_to(len).freeze();
            let packet: Packet = decode(&mut frame, Some(version), u32::MAX).unwrap().unwrap();
            self.client.receive(now, packet, events).unwrap();
        }
        Ok(())
    }

    /// The connection ends without a word.
    fn vanish(&mut self) {
        self.socket = None;
        self.client.close();
    }

    fn subscribe(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.client.is_open() {
            self.turn();
            assert!(Instant::now() < deadline, "the broker does not let a subscriber in");
        }
        let filter = Text::try_from("load/#").unwrap();
        self.client.subscribe(vec![SubscribeRequest::new(filter, QoS::ExactlyOnce)], None).unwrap();
        while !self.turn().iter().any(|event| matches!(event, Event::Subscribed { .. })) {
            assert!(Instant::now() < deadline, "the broker does not answer SUBSCRIBE");
        }
    }

    /// Publishes numbers until it is over and all of them are acknowledged; those.
    fn publish_until_over(mut self) -> Vec<u32> {
        let topic = Text::try_from(format!("load/{}", self.client.settings().version.level()).as_str()).unwrap();
        let mut acknowledged = Vec::new();
        let mut under_way = BTreeMap::new();
        let mut next = 0_u32;
        let mut deadline = None;
        loop {
            let is_over = self.scene.is_over.load(Ordering::Relaxed);
            while !is_over && self.client.unfinished() < WINDOW {
                let publish = Publish {
                    dup: false,
                    qos: qos_of(next),
                    retain: false,
                    topic: topic.clone(),
                    packet_id: None,
                    properties: Rare::NOTHING,
                    payload: Bytes::from(next.to_string()),
                };
                let packet_id = self.client.publish(publish).unwrap().unwrap();
                under_way.insert(packet_id, next);
                next += 1;
            }
            for event in self.turn() {
                match event {
                    Event::Published { packet_id, reason } => {
                        let number = under_way.remove(&packet_id).unwrap();
                        // A PUBREL that is sent again may find that it was taken the first time. [v5:MQTT-4.3.3-11]
                        let is_taken = !reason.is_error() || reason == ReasonCode::PacketIdentifierNotFound;
                        assert!(is_taken, "message {number} is refused: {reason}");
                        acknowledged.push(number);
                    }
                    Event::Unconfirmed { .. } => panic!("the broker lost the session of a publisher"),
                    _ => {}
                }
            }
            if is_over && under_way.is_empty() {
                return acknowledged;
            }
            if is_over {
                let deadline = *deadline.get_or_insert(Instant::now() + PATIENCE);
                assert!(Instant::now() < deadline, "{} messages are never acknowledged", under_way.len());
            }
        }
    }

    /// Receives until all that were acknowledged are there and nothing more comes, or nothing comes for long; by publisher.
    fn collect(&mut self) -> BTreeMap<u8, Vec<(u32, QoS)>> {
        let mut received: BTreeMap<u8, Vec<(u32, QoS)>> = BTreeMap::new();
        let mut count = 0;
        let mut last = Instant::now();
        loop {
            for event in self.turn() {
                let Event::Message(publish) = event else { continue };
                let level = publish.topic.as_str().rsplit('/').next().unwrap().parse().unwrap();
                let number = std::str::from_utf8(&publish.payload).unwrap().parse().unwrap();
                received.entry(level).or_default().push((number, publish.qos));
                count += 1;
                last = Instant::now();
            }
            match self.scene.total.get() {
                // As long as it goes up and down, silence means nothing.
                None => last = Instant::now(),
                Some(total) if count >= *total && last.elapsed() > QUIET => return received,
                Some(_) if last.elapsed() > PATIENCE => return received,
                Some(_) => {}
            }
        }
    }
}

/// Nothing more comes to a reader that has as many as it waits for.
const QUIET: Duration = Duration::from_millis(500);
