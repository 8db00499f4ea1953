//! Real clients of four independent implementations: both versions, every QoS, password and certificate, over TLS.

use crate::support::broker::{Broker, Settings};
use crate::support::clients::{Implementation, Peer, Proof, Retain, Version};
use crate::support::wire::Connect;

const PASSWORD: &str = "correct horse battery staple";

/// A TLS broker with a teacher who may use `school/#`.
fn broker() -> Broker {
    let broker = Settings::secure().start();
    broker.add_user("teacher", "Teacher", PASSWORD);
    broker
}

fn password() -> Proof {
    Proof::Password { user: "teacher".into(), password: PASSWORD.into() }
}

fn certificate(broker: &Broker) -> Proof {
    let (certificate, key) = broker.issue_certificate("teacher");
    Proof::Certificate { certificate, key }
}

/// Payloads that every client can send, mosquitto_pub's lines included.
fn payloads() -> Vec<Vec<u8>> {
    let mut payloads: Vec<Vec<u8>> = (0..20).map(|number| format!("message {number}").into_bytes()).collect();
    payloads.push("Grüße, 日本, \u{1F980}, \\n \" ' $HOME %x".into());
    payloads.push(b" leading and trailing spaces ".to_vec());
    payloads.push(vec![b'x'; 20_000]);
    payloads
}

/// The same with bytes that are no text.
fn binary_payloads() -> Vec<Vec<u8>> {
    [payloads(), vec![vec![], vec![0], (0..=255).collect(), vec![0xFF; 70_000]]].concat()
}

/// What an implementation publishes at each level arrives at its own subscriber, exact and in order.
fn talks_to_itself(implementation: Implementation, version: Version, proof: &Proof, broker: &Broker) {
    let peer = Peer::new(implementation, version, broker, proof);
    let payloads = if implementation == Implementation::Mosquitto { payloads() } else { binary_payloads() };
    for qos in [0, 1, 2] {
        let topic = format!("school/{version:?}/{qos}");
        let subscriber = peer.clone().named("subscriber").subscribe(&topic, qos, payloads.len());
        peer.publish(&topic, qos, &payloads);
        let received = subscriber.payloads();
        assert!(received == payloads, "{implementation:?} {version:?} QoS {qos}: other payloads came");
    }
}

fn talks(implementation: Implementation, version: Version) {
    let broker = broker();
    talks_to_itself(implementation, version, &password(), &broker);
    talks_to_itself(implementation, version, &certificate(&broker), &broker);
}

#[test]
fn mosquitto_speaks_3_1_1() {
    talks(Implementation::Mosquitto, Version::V311);
}

#[test]
fn mosquitto_speaks_5() {
    talks(Implementation::Mosquitto, Version::V5);
}

#[test]
fn paho_speaks_3_1_1() {
    talks(Implementation::Paho, Version::V311);
}

#[test]
fn paho_speaks_5() {
    talks(Implementation::Paho, Version::V5);
}

#[test]
fn mqttjs_speaks_3_1_1() {
    talks(Implementation::MqttJs, Version::V311);
}

#[test]
fn mqttjs_speaks_5() {
    talks(Implementation::MqttJs, Version::V5);
}

#[test]
fn rumqttc_speaks_3_1_1() {
    talks(Implementation::Rumqttc, Version::V311);
}

#[test]
fn rumqttc_speaks_5() {
    talks(Implementation::Rumqttc, Version::V5);
}

/// Every implementation hears every other one, in both versions.
#[test]
fn every_client_understands_every_other() {
    let broker = broker();
    let peers: Vec<_> = Implementation::ALL
        .into_iter()
        .flat_map(|implementation| Version::ALL.map(|version| (implementation, version)))
        .map(|(implementation, version)| Peer::new(implementation, version, &broker, &password()))
        .collect();
    let subscribers: Vec<_> = peers
        .iter()
        .map(|peer| {
            let client_id = format!("subscriber {}", peer.client_id);
            peer.clone().named(&client_id).subscribe("school/babel", 2, peers.len() * 2)
        })
        .collect();
    let mut expected = Vec::new();
    for peer in &peers {
        let payloads = [1, 2].map(|number| format!("{number} from {}", peer.client_id).into_bytes());
        peer.publish("school/babel", 2, &payloads);
        expected.extend(payloads);
    }
    for (peer, subscriber) in peers.iter().zip(subscribers) {
        assert_eq!(subscriber.payloads(), expected, "at {}", peer.client_id);
    }
}

/// What one implementation has kept, all others find after the broker was started again.
#[test]
fn retained_messages_survive_a_restart_for_every_client() {
    let broker = broker();
    for implementation in Implementation::ALL {
        let payload = format!("kept by {implementation:?}").into_bytes();
        let topic = format!("school/kept/{implementation:?}");
        Peer::new(implementation, Version::V5, &broker, &password()).publish_with(&topic, 1, Retain::Yes, &[payload]);
    }
    let broker = broker.restart();
    for implementation in Implementation::ALL {
        let peer = Peer::new(implementation, Version::V311, &broker, &password());
        let mut kept = peer.subscribe("school/kept/+", 1, 4).payloads();
        kept.sort();
        let mut expected = Implementation::ALL.map(|implementation| format!("kept by {implementation:?}").into_bytes());
        expected.sort();
        assert_eq!(kept, expected, "at {implementation:?}");
    }
}

/// `kill -9` of a client in another process is what a will is for.
#[test]
fn the_will_of_a_killed_client_is_published() {
    let broker = broker();
    let mut watcher = broker.connect_securely(&Connect::v5("watcher").login("teacher", PASSWORD));
    watcher.subscribe("school/will/#", 2);
    for implementation in [Implementation::Mosquitto, Implementation::Paho, Implementation::MqttJs] {
        for (version, qos) in [(Version::V311, 1), (Version::V5, 2)] {
            let topic = format!("school/will/{implementation:?}/{version:?}");
            Peer::new(implementation, version, &broker, &password()).linger(&topic, qos).kill();
            let will = watcher.message();
            assert_eq!((will.topic.as_str(), will.text(), will.qos), (topic.as_str(), "gone", qos));
        }
    }
}

/// A wrong password and a certificate of somebody else get nobody in.
#[test]
fn a_client_without_the_right_proof_is_refused() {
    let (broker, other) = (broker(), broker_of_others());
    let wrong = Proof::Password { user: "teacher".into(), password: "wrong".into() };
    let foreign = certificate(&other);
    for proof in [wrong, foreign] {
        let peer = Peer::new(Implementation::Paho, Version::V5, &broker, &proof);
        let attempt = std::panic::catch_unwind(|| peer.publish("school/x", 1, &[b"x".to_vec()]));
        assert!(attempt.is_err(), "{proof:?} was accepted");
    }
}

fn broker_of_others() -> Broker {
    let other = Settings::secure().start();
    other.add_user("teacher", "Teacher", PASSWORD);
    other
}
