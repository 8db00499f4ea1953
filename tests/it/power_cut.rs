//! The power goes at any moment: what was said before is there afterwards.
//!
//! A real broker works under strace; from the recording the folder is rebuilt as a disk could have it at a seeded
//! moment, and a broker starts on it. `SECUREMQ_POWER_CUTS` sets how often, `SECUREMQ_POWER_SEED` the first seed.

use crate::support::broker::{Broker, Settings};
use crate::support::power::{Chance, Disk};
use crate::support::raw::Client;
use crate::support::setting;
use crate::support::strace::{Call, What, read_recording, recording};
use crate::support::wire::{self, Connect, Packet, Publish};
use securemq::protocol::ProtocolVersion;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tempfile::TempDir;

/// What a broker did from its first start on until it had stopped, and in which folder, which was empty.
struct Recording {
    root: PathBuf,
    calls: Vec<Call>,
}

impl Recording {
    fn of(settings: Settings, strace: &[&str], scene: impl FnOnce(&Broker)) -> Self {
        let (folder, notes) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (root, to) = (folder.path().to_owned(), notes.path().join("calls"));
        let mut broker = settings.on(folder).run_by(recording(&to, strace)).start();
        scene(&broker);
        broker.stop();
        Self { root, calls: read_recording(&to) }
    }

    /// Cuts the power at seeded moments from the call on that `since` looks for; what is left, and until when.
    fn cuts(&self, since: impl Fn(&What) -> bool) -> impl Iterator<Item = (String, usize, TempDir)> {
        let first = self.calls.iter().position(|call| since(&call.what)).unwrap();
        // Threads wake each other by writing 8 bytes, which changes no file.
        let is_wake_up = |what: &What| matches!(what, What::Write { offset: None, bytes, .. } if bytes.len() == 8);
        let moments: Vec<_> =
            self.calls[first..].iter().filter(|call| !is_wake_up(&call.what)).map(|call| call.end + 1).collect();
        let (count, seed) = (setting("SECUREMQ_POWER_CUTS", 8_u64), setting("SECUREMQ_POWER_SEED", 1));
        (seed..seed + count).map(move |seed| {
            let mut chance = Chance::new(seed);
            let line = moments[chance.below(moments.len())];
            let folder = TempDir::new().unwrap();
            Disk::at(&self.root, &self.calls, line, &mut chance).write_remains(&mut chance, folder.path());
            (format!("SECUREMQ_POWER_SEED={seed}, line {line}"), line, folder)
        })
    }

    /// What was sent to a client before the power went.
    fn sent_to(&self, port: u16, line: usize) -> Vec<Packet> {
        let (mut fd_of_client, mut bytes) = (None, Vec::new());
        for call in self.calls.iter().filter(|call| call.begin < line) {
            match &call.what {
                What::Accept { fd, port: from } if *from == port => fd_of_client = Some(*fd),
                What::Accept { fd, .. } | What::Open { fd, .. } if Some(*fd) == fd_of_client => fd_of_client = None,
                What::Send { fd, bytes: sent } if Some(*fd) == fd_of_client => bytes.extend(sent),
                _ => {}
            }
        }
        let mut packets = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((packet, len)) = Packet::decode(ProtocolVersion::V5, rest) {
            packets.push(packet);
            rest = &rest[len..];
        }
        packets
    }

    /// What was printed before the power went.
    fn printed(&self, line: usize) -> String {
        let printed = self.calls.iter().filter(|call| call.begin < line).filter_map(|call| match &call.what {
            What::Write { fd: 1, bytes, .. } => Some(String::from_utf8_lossy(bytes)),
            _ => None,
        });
        printed.collect()
    }
}

/// Keys, certificates, database and the first account: whatever is left of them, the next start makes a whole of it, and
/// the password that was printed holds.
#[test]
fn a_first_start_that_loses_power_is_made_good_by_the_next() {
    let recording = Recording::of(Settings::secure(), &[], |broker| drop(broker.admin_password()));
    for (cut, line, folder) in recording.cuts(|what| matches!(what, What::MakeFolder(_))) {
        eprintln!("{cut}");
        let broker = Settings::secure().on(folder).start();
        let (before, after) = (recording.printed(line), broker.output());
        let password_in = |printed: &str| {
            let (_, rest) = printed.split_once("the user admin with the password ")?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        let password = password_in(&after).or_else(|| password_in(&before)).expect("a password was printed");
        broker.connect_securely(&Connect::v5("admin's device").login("admin", &password)).ping();
    }
}

/// [v5:MQTT-4.3.2-4] [v5:MQTT-4.3.3-8]: what was acknowledged, or taken over by PUBREC, is delivered after the power is
/// back, QoS 2 once, in order; the subscription and the retained message are those that were acknowledged.
#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_a_loss_of_power() {
    assert_eq!(load_and_cut(&[]), 0);
}

/// The same when syncs fail now and then. What such a sync was to write may be on the disk or not, and the next sync says
/// nothing of it: so it has to be written again before anything of it is acknowledged.
#[test]
fn what_a_failed_sync_leaves_open_is_written_again_before_it_is_acknowledged() {
    // Of each thread the twenty-fifth: the database is made with fewer, and each failure brings a new thread.
    let failed = load_and_cut(&["-e", "inject=fsync,fdatasync:error=EIO:when=25"]);
    assert!(failed >= 3, "{failed} syncs failed");
}

/// Publishes under this strace and cuts the power; how many syncs failed.
fn load_and_cut(strace: &[&str]) -> usize {
    let (mut absent, mut publishers) = (0, Vec::new());
    let recording = Recording::of(Settings::open().workers(2), strace, |broker| {
        let mut reader = broker.connect(&Connect::v5("absent").lasting());
        reader.subscribe("load/#", 2);
        absent = reader.port();
        reader.vanish();
        publishers = std::thread::scope(|scope| {
            let running = [1, 2].map(|qos| scope.spawn(move || (qos, Publisher::publish_all(broker, qos))));
            running.map(|publisher| publisher.join().unwrap()).into()
        });
    });
    for (cut, line, folder) in recording.cuts(|what| matches!(what, What::Accept { .. })) {
        let broker = Settings::open().workers(2).on(folder).start();
        let mut reader = broker.connect(&Connect::v5("absent").lasting());
        let is_subscribed = recording.sent_to(absent, line).iter().any(|packet| matches!(packet, Packet::SubAck(_)));
        assert!(reader.connack.session_present || !is_subscribed, "{cut}: the session of the reader is lost");
        let received = if is_subscribed { receive_all(&broker, &mut reader) } else { BTreeMap::new() };
        let retained = retained(&broker);
        for (qos, ports) in &publishers {
            let acknowledged: BTreeSet<_> =
                ports.iter().flat_map(|port| acknowledged(&recording.sent_to(*port, line), *qos)).collect();
            eprintln!("{cut}, QoS {qos}: {} of {MESSAGES} acknowledged", acknowledged.len());
            check(&cut, *qos, &acknowledged, received.get(qos).map_or(&[], Vec::as_slice));
            let last_retained = acknowledged.iter().rfind(|number| number.is_multiple_of(RETAINED_EACH));
            let kept = retained.get(qos).copied();
            assert!(kept >= last_retained.copied(), "{cut}, QoS {qos}: {kept:?} is retained, not {last_retained:?}");
        }
    }
    recording.calls.iter().filter(|call| matches!(call.what, What::FailedSync(_))).count()
}

/// A publisher with several messages under way; the number of a message is its packet identifier.
struct Publisher<'a> {
    broker: &'a Broker,
    client: Client,
    qos: u8,
    /// The ports of its connections.
    ports: Vec<u16>,
}

const MESSAGES: u16 = 400;
const WINDOW: u16 = 16;
/// One of so many messages is to be retained.
const RETAINED_EACH: u16 = 10;
/// Two messages to a page or more: the log of the database is brought into its file meanwhile.
const PADDING: usize = 3000;

impl<'a> Publisher<'a> {
    fn connect(broker: &'a Broker, qos: u8) -> Client {
        broker.connect(&Connect::v5(&format!("publisher {qos}")).lasting())
    }

    /// Publishes everything once, and returns the ports from which.
    fn publish_all(broker: &'a Broker, qos: u8) -> Vec<u16> {
        let client = Self::connect(broker, qos);
        let ports = vec![client.port()];
        let mut publisher = Self { broker, client, qos, ports };
        let (mut next, mut open) = (1, 0);
        while next <= MESSAGES || open > 0 {
            while next <= MESSAGES && open < WINDOW {
                publisher.send(next);
                next += 1;
                open += 1;
            }
            open = publisher.receive(open);
        }
        publisher.ports
    }

    fn send(&mut self, number: u16) {
        let payload = format!("{number} {}", "x".repeat(PADDING));
        let publish = Publish::new(&format!("load/{}", self.qos), payload).qos(self.qos).id(number);
        let is_retained = number.is_multiple_of(RETAINED_EACH);
        let publish = if is_retained { publish.retain() } else { publish };
        self.client.try_send(&publish.encode(ProtocolVersion::V5));
    }

    /// Takes the next packet; how many messages are under way then.
    fn receive(&mut self, open: u16) -> u16 {
        match self.client.receive_or_end() {
            Some(Packet::PubAck(_) | Packet::PubComp(_)) => open - 1,
            // Refused. [v5:MQTT-4.3.3-4]
            Some(Packet::PubRec(ack)) if ack.code >= 0x80 => open - 1,
            Some(Packet::PubRec(ack)) => {
                self.client.try_send(&wire::acknowledgement(wire::PUBREL, ack.packet_id));
                open
            }
            // There is no PUBCOMP that says no. What is under way stays unacknowledged.
            Some(Packet::Disconnect(_)) | None => {
                self.client = Self::connect(self.broker, self.qos);
                self.ports.push(self.client.port());
                0
            }
            Some(other) => panic!("{other:?}"),
        }
    }
}

/// The numbers of the messages that the broker has said it has.
fn acknowledged(packets: &[Packet], qos: u8) -> Vec<u16> {
    let number = |packet: &Packet| match packet {
        Packet::PubAck(ack) if qos == 1 && ack.code < 0x80 => Some(ack.packet_id),
        Packet::PubRec(ack) if qos == 2 && ack.code < 0x80 => Some(ack.packet_id),
        _ => None,
    };
    packets.iter().filter_map(number).collect()
}

/// Everything that waits for a reader, by QoS: up to a message that is published last.
fn receive_all(broker: &Broker, reader: &mut Client) -> BTreeMap<u8, Vec<u16>> {
    broker.client("last").publish(Publish::new("load/end", "0 end").qos(1));
    let mut received: BTreeMap<u8, Vec<u16>> = BTreeMap::new();
    loop {
        let publish = reader.message();
        if publish.topic == "load/end" {
            return received;
        }
        received.entry(publish.qos).or_default().push(number_of(&publish));
    }
}

/// The numbers of the retained messages, by QoS.
fn retained(broker: &Broker) -> BTreeMap<u8, u16> {
    let mut client = broker.client("curious");
    client.subscribe("load/+", 2);
    client.ping();
    let retained = std::iter::from_fn(|| client.waiting_message());
    retained.map(|publish| (publish.qos, number_of(&publish))).collect()
}

fn number_of(publish: &Publish) -> u16 {
    publish.text().split_once(' ').unwrap().0.parse().unwrap()
}

/// What was acknowledged is there, in order; QoS 2 once.
fn check(cut: &str, qos: u8, acknowledged: &BTreeSet<u16>, received: &[u16]) {
    let mut firsts = Vec::new();
    for number in received {
        if firsts.last() < Some(number) {
            firsts.push(*number);
        } else {
            assert!(qos == 1 && firsts.contains(number), "{cut}: {number} of QoS {qos} comes twice or too late");
        }
    }
    let missing: Vec<_> = acknowledged.iter().filter(|number| firsts.binary_search(number).is_err()).collect();
    assert!(missing.is_empty(), "{cut}: of QoS {qos} were acknowledged and are lost: {missing:?}");
}
