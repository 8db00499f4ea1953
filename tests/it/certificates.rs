//! Client certificates: who shows one is the user that it names, and nobody else.

use crate::support::broker::{Broker, Settings};
use crate::support::raw::Client;
use crate::support::tls::Trust;
use crate::support::wire::{Connect, Publish, Request};
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

const PASSWORD: &str = "correct horse battery staple";

/// A TLS broker that takes passwords and certificates, with Alice the teacher and Bob the student.
fn school(settings: Settings) -> Broker {
    let broker = settings.start();
    broker.add_user("alice", "Teacher", PASSWORD);
    broker.add_user("bob", "Student", PASSWORD);
    broker
}

fn listener(authentication: &str) -> Settings {
    Settings::default().listen_with("mqtts://127.0.0.1:0", "authentication", authentication)
}

fn identity(broker: &Broker, user: &str) -> Trust {
    let (certificate, key) = broker.issue_certificate(user);
    Trust::with_certificate(&broker.ca(), &certificate, &key)
}

/// What the broker answers to a client that shows this.
fn answer(trust: &Trust, broker: &Broker, connect: &Connect) -> u8 {
    let mut client: Client = trust.open(broker.address());
    client.try_connect(connect).code
}

/// The common name is the user, with its rights.
#[test]
fn a_certificate_names_its_user() {
    let broker = school(Settings::secure());
    let bob = identity(&broker, "bob");
    for connect in [Connect::v5("bob's device"), Connect::v311("bob's device")] {
        let mut client = bob.open(broker.address()).connect(&connect);
        assert_eq!(client.subscribe_with(&[Request::new("students/bob/#", 1)], &[]), [1]);
        assert_ne!(client.subscribe_with(&[Request::new("students/alice/#", 1)], &[]), [1]);
        client.publish(Publish::new("students/bob/x", "mine").qos(1));
        assert_eq!(client.message().text(), "mine");
    }
}

/// Who shows Bob's certificate is Bob, whatever name CONNECT says; the same name does no harm.
#[test]
fn a_certificate_does_not_combine_with_another_name() {
    let broker = school(Settings::secure());
    let bob = identity(&broker, "bob");
    assert_eq!(answer(&bob, &broker, &Connect::v5("x").login("alice", PASSWORD)), 0x87);
    assert_eq!(answer(&bob, &broker, &Connect::v311("x").login("alice", PASSWORD)), 5);
    let mut same = Connect::v5("x");
    same.user = Some("bob".into());
    assert_eq!(answer(&bob, &broker, &same), 0);
}

/// A certificate lives no longer than its user.
#[test]
fn the_certificate_of_a_disabled_or_removed_user_is_worth_nothing() {
    let broker = school(Settings::secure());
    let (alice, bob) = (identity(&broker, "alice"), identity(&broker, "bob"));
    let mut connected = alice.open(broker.address()).connect(&Connect::v5("alice's device"));
    broker.run(&["user", "disable", "alice"]);
    broker.run(&["user", "remove", "bob"]);
    assert!(connected.read_to_end().len() <= 1);
    for trust in [&alice, &bob] {
        assert_eq!(answer(trust, &broker, &Connect::v5("x")), 0x87);
    }
    broker.run(&["user", "enable", "alice"]);
    assert_eq!(answer(&alice, &broker, &Connect::v5("x")), 0);
}

/// `tls.crl`: a revoked certificate is worth nothing, from the moment that the list is read again.
#[test]
fn a_revoked_certificate_is_worth_nothing() {
    let broker = school(Settings::secure());
    let (alice, bob) = (identity(&broker, "alice"), identity(&broker, "bob"));
    let list = broker.scratch().join("revoked.pem");
    write_revocations(&broker, &[], &list);
    let broker = broker.restart_with("TLS__CRL", list.display());
    let address = broker.address();
    let gets_in = |trust: &Trust| {
        // TLS 1.3 tells a client after its own part of the handshake is done.
        let Ok(mut stream) = trust.handshake(address) else { return false };
        let connect = Connect::v5("x").encode();
        let mut answer = [0; 4];
        stream.write_all(&connect).and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer[3] == 0
    };
    assert!(gets_in(&alice) && gets_in(&bob) && gets_in(&bob.afresh()));
    write_revocations(&broker, &["bob"], &list);
    broker.reload();
    let deadline = Instant::now() + crate::support::PATIENCE;
    while gets_in(&bob.afresh()) {
        assert!(Instant::now() < deadline, "the revoked certificate is still taken");
    }
    assert!(!gets_in(&bob), "a session resumed from before is still taken");
    assert!(gets_in(&alice));
}

/// A list, signed by the broker's authority, that revokes the certificates of these users.
fn write_revocations(broker: &Broker, users: &[&str], path: &Path) {
    let folder = broker.data().join("tls");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let authority = Issuer::from_ca_cert_pem(&read("ca.crt"), key).unwrap();
    let revoked = users.iter().map(|user| {
        let text = read(&format!("clients/{user}.crt"));
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
        let serial = pem.parse_x509().unwrap().raw_serial().to_vec();
        RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2126, 1, 1),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    std::fs::write(path, list.signed_by(&authority).unwrap().pem().unwrap()).unwrap();
}

/// The name in a certificate counts only with the signature of our authority.
#[test]
fn a_foreign_authority_vouches_for_nobody() {
    let (broker, other) = (school(Settings::secure()), school(Settings::secure()));
    let (certificate, key) = other.issue_certificate("alice");
    let foreign = Trust::with_certificate(&broker.ca(), &certificate, &key);
    let refused = foreign.handshake(broker.address()).is_err() || {
        // TLS 1.3 tells a client after its own part of the handshake is done.
        let mut client = foreign.open(broker.address());
        client.try_send(&Connect::v5("x").encode());
        client.read_bytes_to_end().is_empty()
    };
    assert!(refused);
}

/// `password-or-certificate` is what TLS listeners do unless they are told otherwise.
#[test]
fn either_is_enough_by_default() {
    let broker = school(Settings::secure());
    assert_eq!(answer(&broker.trust(), &broker, &Connect::v5("x").login("alice", PASSWORD)), 0);
    assert_eq!(answer(&identity(&broker, "alice"), &broker, &Connect::v5("x")), 0);
    assert_eq!(answer(&broker.trust(), &broker, &Connect::v5("x")), 0x87);
}

/// `certificate`: a password is not enough.
#[test]
fn a_listener_may_demand_a_certificate() {
    let broker = school(listener("certificate"));
    assert_eq!(answer(&identity(&broker, "alice"), &broker, &Connect::v5("x")), 0);
    let without = broker.trust();
    let refused = without.handshake(broker.address()).is_err() || {
        let mut client = without.open(broker.address());
        client.try_send(&Connect::v5("x").login("alice", PASSWORD).encode());
        let bytes = client.read_bytes_to_end();
        bytes.is_empty() || matches!(bytes.as_slice(), [0x20, _, 0, 0x87, ..])
    };
    assert!(refused);
}

/// `password-and-certificate`: one alone is not enough, and the password is that of the certificate's user.
#[test]
fn a_listener_may_demand_both() {
    let broker = school(listener("password-and-certificate"));
    let alice = identity(&broker, "alice");
    assert_eq!(answer(&alice, &broker, &Connect::v5("x").login("alice", PASSWORD)), 0);
    for connect in [Connect::v5("x"), Connect::v5("x").login("alice", "wrong"), Connect::v5("x").login("bob", PASSWORD)]
    {
        let code = answer(&alice, &broker, &connect);
        assert!([0x86, 0x87].contains(&code), "{code:#04x} for {connect:?}");
    }
}

/// `password`: a certificate is not asked for and does not count.
#[test]
fn a_listener_may_ask_for_passwords_only() {
    let broker = school(listener("password"));
    let alice = identity(&broker, "alice");
    assert_eq!(answer(&alice, &broker, &Connect::v5("x")), 0x87);
    assert_eq!(answer(&alice, &broker, &Connect::v5("x").login("bob", PASSWORD)), 0);
}

/// The same on secure WebSocket, where brokers have forgotten it before.
#[test]
fn certificates_count_on_secure_websocket() {
    let broker = school(Settings::default().listen("wss://127.0.0.1:0/mqtt"));
    let bob = identity(&broker, "bob");
    let mut client = bob.open_websocket(broker.address()).connect(&Connect::v5("x"));
    assert_eq!(client.subscribe_with(&[Request::new("students/bob/#", 1)], &[]), [1]);
    let mut nobody = broker.trust().open_websocket(broker.address());
    assert_eq!(nobody.try_connect(&Connect::v5("x")).code, 0x87);
}
