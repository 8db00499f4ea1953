//! Handshakes that succeed, and the words for those that do not.

use super::house::{House, connect_tls, copy_of, meet, soon};
use crate::auth::{Fingerprint, IdentityField, Issued};
use crate::broker::Reason;
use crate::config::TlsVersion;
use crate::server::transport::*;
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ClientConfig, HandshakeKind, ProtocolVersion};

/// Both ends of a handshake. The client reads once, because in TLS 1.3 it learns only then whether it was accepted.
async fn shake(
    acceptor: &Acceptor,
    config: &Arc<ClientConfig>,
) -> (std::io::Result<TlsStream<TcpStream>>, Result<Transport, TransportError>) {
    let (client, server) = meet(acceptor).await;
    tokio::join!(
        async {
            let mut stream = connect_tls(client, config).await?;
            stream.read_exact(&mut [0; 2]).await?;
            Ok(stream)
        },
        async {
            let mut transport = server.await?;
            transport.write_all(b"ok").await.unwrap();
            transport.flush().await.unwrap();
            Ok(transport)
        }
    )
}

async fn refusal(acceptor: &Acceptor, config: ClientConfig) -> TransportError {
    let (client, server) = shake(acceptor, &Arc::new(config)).await;
    assert!(client.is_err());
    server.unwrap_err()
}

fn tls_problem(error: TransportError) -> TlsProblem {
    match error {
        TransportError::Tls(problem) => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn both_versions_are_spoken_and_agree_on_mqtt() {
    let house = House::new();
    let acceptor = house.acceptor(TransportKind::Tls);
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut config = house.client(&[version], None);
        config.alpn_protocols = vec![b"x".to_vec(), b"mqtt".to_vec()];
        let (client, server) = shake(&acceptor, &Arc::new(config)).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        assert_eq!(client.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(client.get_ref().1.alpn_protocol(), Some(b"mqtt".as_slice()));
        assert_eq!((server.kind(), server.kind().carrier().is_encrypted()), (TransportKind::Tls, true));
        assert_eq!(server.client_certificate(), Ok(None));
        assert_eq!(server.peer_address().to_string(), client.get_ref().0.local_addr().unwrap().to_string());
    }
}

#[tokio::test]
async fn a_listener_may_insist_on_tls_1_3() {
    let house = House::new();
    let options = house.options(ClientCertificates::NotAsked, Application::Mqtt);
    let options = TlsOptions { minimum_version: TlsVersion::V1_3, ..options };
    let acceptor = Acceptor::Tls(Arc::new(TlsSettings::load(options).unwrap()));
    let problem = tls_problem(refusal(&acceptor, house.client(&[&TLS12], None)).await);
    assert_eq!(problem, TlsProblem::NoCommonVersion);
    assert!(shake(&acceptor, &Arc::new(house.client(&[&TLS12, &TLS13], None))).await.0.is_ok());
}

#[tokio::test]
async fn the_key_exchange_withstands_quantum_computers_where_the_client_can() {
    let house = House::new();
    let config = Arc::new(house.client(&[&TLS13], None));
    let (client, _server) = shake(&house.acceptor(TransportKind::Tls), &config).await;
    let group = client.unwrap().get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn a_returning_client_resumes_with_its_certificate_until_the_files_are_read_again() {
    let house = House::new();
    let issued = house.issue("ann");
    for version in [&TLS12, &TLS13] {
        let tls = house.tls(ClientCertificates::Required);
        let acceptor = Acceptor::Tls(Arc::clone(&tls));
        let config = Arc::new(house.client(&[version], Some(&issued)));
        let mut kinds = Vec::new();
        for round in 0..3 {
            if round == 2 {
                tls.reload().unwrap();
            }
            let (client, server) = shake(&acceptor, &config).await;
            kinds.push(client.unwrap().get_ref().1.handshake_kind().unwrap());
            let certificate = server.unwrap().client_certificate().unwrap().unwrap();
            assert_eq!(certificate.user(IdentityField::CommonName).unwrap().as_str(), "ann");
        }
        assert!(
            matches!(kinds[..], [first, HandshakeKind::Resumed, last] if first != HandshakeKind::Resumed
            && last != HandshakeKind::Resumed),
            "{version:?} {kinds:?}"
        );
    }
}

#[tokio::test]
async fn client_certificates_are_taken_where_they_are_asked_for() {
    let house = House::new();
    let issued = house.issue("ann");
    for version in [&TLS12, &TLS13] {
        for (asked, sent, seen) in [
            (ClientCertificates::NotAsked, Some(&issued), None),
            (ClientCertificates::Optional, None, None),
            (ClientCertificates::Optional, Some(&issued), Some(issued.fingerprint)),
            (ClientCertificates::Required, Some(&issued), Some(issued.fingerprint)),
        ] {
            let config = Arc::new(house.client(&[version], sent));
            let (client, server) = shake(&Acceptor::Tls(house.tls(asked)), &config).await;
            assert!(client.is_ok(), "{asked:?}");
            let certificate = server.unwrap().client_certificate().unwrap();
            assert_eq!(certificate.map(|certificate| certificate.fingerprint()), seen, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_no_good_is_refused_with_the_reason() {
    let (house, stranger) = (House::new(), House::new());
    let foreign = stranger.issue("ann");
    let expired = house.issue_at("old", SystemTime::now() - Duration::from_secs(20 * 24 * 60 * 60));
    let server = Issued {
        certificate: house.folder.server_certificate(),
        key: house.folder.server_key(),
        ..house.issue("template")
    };
    for version in [&TLS12, &TLS13] {
        let acceptor = Acceptor::Tls(house.tls(ClientCertificates::Required));
        for (sent, expected) in [
            (None, TlsProblem::CertificateMissing),
            (Some(&foreign), TlsProblem::CertificateUntrusted),
            (Some(&expired), TlsProblem::CertificateExpired),
            (Some(&server), TlsProblem::CertificatePurpose),
        ] {
            let problem = tls_problem(refusal(&acceptor, house.client(&[version], sent)).await);
            assert_eq!(problem, expected);
        }
        let optional = Acceptor::Tls(house.tls(ClientCertificates::Optional));
        let problem = tls_problem(refusal(&optional, house.client(&[version], Some(&foreign))).await);
        assert_eq!(problem, TlsProblem::CertificateUntrusted, "a bad one is not as good as none");
    }
    let missing = TransportError::Tls(TlsProblem::CertificateMissing);
    assert_eq!(missing.reason(), Reason::CertificateMissing);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_cannot_resume_after_a_reload() {
    let house = House::new();
    let (ann, bob) = (house.issue("ann"), house.issue("bob"));
    let list = house.folder.path().join("revoked.crl");
    write_revocations(&house, &list, &[]);
    let mut options = house.options(ClientCertificates::Required, Application::Mqtt);
    options.files.revocations = vec![list.clone()];
    let tls = Arc::new(TlsSettings::load(options).unwrap());
    let acceptor = Acceptor::Tls(Arc::clone(&tls));
    let ann_config = Arc::new(house.client(&[&TLS13], Some(&ann)));
    assert!(shake(&acceptor, &ann_config).await.1.is_ok());

    write_revocations(&house, &list, &[&ann]);
    tls.reload().unwrap();
    let (client, server) = shake(&acceptor, &ann_config).await;
    assert!(client.is_err());
    assert_eq!(tls_problem(server.unwrap_err()), TlsProblem::CertificateRevoked);
    assert!(shake(&acceptor, &Arc::new(house.client(&[&TLS13], Some(&bob)))).await.1.is_ok());
}

/// An empty list in PEM, any other in DER: both are read.
fn write_revocations(house: &House, path: &std::path::Path, revoked: &[&Issued]) {
    let key = KeyPair::from_pem(&std::fs::read_to_string(house.folder.ca_key()).unwrap()).unwrap();
    let ca = CertificateDer::from_pem_file(house.folder.ca_certificate()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&ca, key).unwrap();
    let serial = |issued: &Issued| {
        let der = CertificateDer::from_pem_file(&issued.certificate).unwrap();
        let serial = crate::auth::ClientCertificate::from_der(&der).unwrap().serial();
        SerialNumber::from(data_encoding::HEXUPPER.decode(serial.replace(':', "").as_bytes()).unwrap())
    };
    let params = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2020, 1, 1),
        next_update: rcgen::date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|issued| RevokedCertParams {
                serial_number: serial(issued),
                revocation_time: rcgen::date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&issuer).unwrap();
    if revoked.is_empty() {
        std::fs::write(path, list.pem().unwrap()).unwrap();
    } else {
        std::fs::write(path, list.der()).unwrap();
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_broker_is_told_from_others() {
    let (house, stranger) = (House::new(), House::new());
    for version in [&TLS12, &TLS13] {
        let error = refusal(&house.acceptor(TransportKind::Tls), stranger.client(&[version], None)).await;
        assert!(error.to_string().contains("the peer does not trust this broker's certificate"), "{error}");
        assert_eq!(error.reason(), Reason::TlsFailed);
    }
}

#[tokio::test]
async fn another_application_protocol_is_refused() {
    let house = House::new();
    let mut config = house.client(&[&TLS13], None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let error = refusal(&house.acceptor(TransportKind::Tls), config).await;
    assert_eq!(tls_problem(error), TlsProblem::NoCommonApplication);
}

/// What arrives, and what is said about it.
#[tokio::test]
async fn a_peer_that_speaks_something_else_is_told_in_words() {
    let house = House::new();
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a".as_slice();
    let old_tls = [b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01".as_slice(), &[7; 32], b"\0\0\x02\xc0\x13\x01\0"];
    let old_tls = old_tls.concat();
    let cases: [(TransportKind, &[u8], &str); 9] = [
        (TransportKind::Tls, connect, "the peer speaks MQTT without TLS and WebSocket on a port for MQTT over TLS"),
        (TransportKind::Tls, b"GET / HTTP/1.1\r\n\r\n", "the peer speaks HTTP on a port for MQTT over TLS"),
        (TransportKind::Tls, b"\0\0\0\0", "the peer speaks an unknown protocol on a port for MQTT over TLS"),
        (TransportKind::Tls, &old_tls, "the TLS handshake failed: the peer speaks only TLS versions that are too old"),
        (TransportKind::Tcp, &old_tls, "the peer speaks TLS on a port for plain MQTT"),
        (TransportKind::Tcp, b"GET / HTTP/1.1\r\n\r\n", "the peer speaks HTTP on a port for plain MQTT"),
        (TransportKind::WebSocket, connect, "the peer speaks MQTT without TLS and WebSocket on a port for WebSocket"),
        (TransportKind::WebSocket, &old_tls, "the peer speaks TLS on a port for WebSocket"),
        (TransportKind::Tls, b"", "the peer closed the connection without a word"),
    ];
    for (kind, sent, words) in cases {
        let acceptor = house.acceptor(kind);
        let (mut client, server) = meet(&acceptor).await;
        client.write_all(sent).await.unwrap();
        if sent.is_empty() {
            client.shutdown().await.unwrap();
        }
        let error = server.await.unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[tokio::test]
async fn plain_mqtt_passes_with_its_first_byte() {
    let (mut client, server) = meet(&Acceptor::Tcp).await;
    client.write_all(b"\x10\x00").await.unwrap();
    let mut transport = server.await.unwrap();
    assert_eq!(transport.read_u16().await.unwrap(), 0x1000);
    assert!(!transport.kind().carrier().is_encrypted());
}

/// Bytes that nobody read would turn the farewell into a reset, which can overtake the packet that says why.
#[tokio::test]
async fn the_last_packet_arrives_though_the_peer_is_still_sending() {
    let house = House::new();
    for kind in [TransportKind::Tcp, TransportKind::Tls] {
        let acceptor = house.acceptor(kind);
        let (client, server) = meet(&acceptor).await;
        let talk = async |client: &mut (dyn Peer + Unpin)| {
            client.write_all(&[0x10; 50_000]).await.unwrap();
            client.flush().await.unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            assert_eq!(received, b"DISCONNECT");
            client.shutdown().await.unwrap();
        };
        let client = async {
            let mut client = client;
            if kind == TransportKind::Tcp {
                return talk(&mut client).await;
            }
            let config = Arc::new(house.client(&[&TLS13], None));
            talk(&mut connect_tls(client, &config).await.unwrap()).await;
        };
        let server = async {
            let mut transport = server.await.unwrap();
            transport.read_u8().await.unwrap();
            transport.write_all(b"DISCONNECT").await.unwrap();
            transport.close(Duration::from_secs(30)).await;
        };
        tokio::join!(client, server);
    }
}

trait Peer: tokio::io::AsyncRead + tokio::io::AsyncWrite {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite> Peer for S {}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let house = House::new();
    for sent in [b"".as_slice(), b"\x16\x03\x01"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(sent).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let socket = Socket::new(stream, peer).unwrap();
        let now = Instant::now();
        let error = accept(&house.acceptor(TransportKind::Tls), socket, now).await.unwrap_err();
        assert!(matches!(error, TransportError::TooSlow(TransportKind::Tls)), "{error}");
        assert_eq!(error.reason(), Reason::ConnectTimeout);
        assert!(now < soon());
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_after_a_reload_and_a_bad_one_is_not() {
    let house = House::new();
    let tls = house.tls(ClientCertificates::NotAsked);
    let acceptor = Acceptor::Tls(Arc::clone(&tls));
    let config = Arc::new(house.client(&[&TLS13], None));
    let served = async || {
        let (client, _server) = shake(&acceptor, &config).await;
        Fingerprint::of(&client.unwrap().get_ref().1.peer_certificates().unwrap()[0])
    };
    let first = served().await;
    let issued = house.authority().issue_server(&[], SystemTime::now()).unwrap();
    assert_eq!(served().await, first, "files are read when told to");
    tls.reload().unwrap();
    assert_eq!(served().await, issued.fingerprint);

    std::fs::write(house.folder.server_certificate(), "nonsense").unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("server.crt holds no certificate in PEM"), "{error}");
    assert_eq!(served().await, issued.fingerprint);
}

#[test]
fn settings_that_cannot_work_say_which_file_and_why() {
    let (house, stranger) = (House::new(), House::new());
    let good = house.options(ClientCertificates::Optional, Application::Mqtt);
    let folder = house.folder.path();
    let open_key = copy_of(&house.folder.server_key(), "open.key");
    std::fs::set_permissions(&open_key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let no_key = copy_of(&house.folder.server_key(), "no.key");
    std::fs::write(&no_key, "nonsense").unwrap();
    let cases: [(TlsFiles, &str); 6] = [
        (TlsFiles { certificate: folder.join("none.crt"), ..good.files.clone() }, "none.crt cannot be read"),
        (TlsFiles { key: folder.join("none.key"), ..good.files.clone() }, "none.key"),
        (TlsFiles { key: open_key, ..good.files.clone() }, "open to others (mode 0644); run: chmod 600"),
        (TlsFiles { key: no_key, ..good.files.clone() }, "no.key holds no private key in PEM"),
        (TlsFiles { key: stranger.folder.server_key(), ..good.files.clone() }, "cannot be used"),
        (TlsFiles { client_ca: None, ..good.files.clone() }, "set client_ca"),
    ];
    for (files, words) in cases {
        let error = TlsSettings::load(TlsOptions { files, ..good.clone() }).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
