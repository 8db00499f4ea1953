//! Every packet that can be made comes back from its bytes, in every version; no bytes make the decoder panic.

use super::*;
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];

fn text() -> impl Strategy<Value = Text> {
    let texts = ["", "a", "a/b", "$share/g/x", "über", "\u{FEFF}bom", "\u{10FFFF}", &"x".repeat(300)];
    select(texts.map(|text| Text::try_from(text).unwrap()).to_vec())
}

fn topic() -> impl Strategy<Value = Text> {
    let topics = ["a", "/", "a/b/c", "$SYS/x", "ünter/ /wegs"];
    select(topics.map(|topic| Text::try_from(topic).unwrap()).to_vec())
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn pairs() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|number| PacketId::new(number).unwrap())
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    (1..=268_435_455_u32).prop_map(|number| SubscriptionId::new(number).unwrap())
}

fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    select(ReasonCode::ALL.iter().copied().filter(|reason| reason.may_come_in(packet)).collect::<Vec<_>>())
}

/// Properties of 5.0, and none before.
fn only_in_5<T: std::fmt::Debug + Default + Clone + 'static>(
    version: ProtocolVersion,
    properties: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    if version.has_properties() { properties.boxed() } else { Just(T::default()).boxed() }
}

fn connect(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    (any::<bool>(), any::<u16>(), text(), of(will(version)), credentials(version), connect_properties(version))
        .prop_map(move |(clean_start, keep_alive, client_id, will, credentials, mut properties)| {
            if !version.has_properties() {
                properties.session_expiry_interval = Some(if clean_start { 0 } else { u32::MAX });
            }
            let connect = Connect { version, clean_start, keep_alive, client_id, will, credentials, properties };
            Packet::Connect(Box::new(connect))
        })
        .boxed()
}

fn credentials(version: ProtocolVersion) -> impl Strategy<Value = Credentials> {
    (of(text()), of(binary())).prop_map(move |(user_name, password)| {
        let may_have_password = user_name.is_some() || version.lets_password_stand_alone();
        Credentials { user_name, password: password.filter(|_| may_have_password) }
    })
}

fn connect_properties(version: ProtocolVersion) -> BoxedStrategy<ConnectProperties> {
    let numbers = (of(any::<u32>()), of(1..=u16::MAX), of(1..=u32::MAX), of(any::<u16>()));
    let rest = (of(any::<bool>()), of(any::<bool>()), pairs(), of((text(), of(binary()))));
    let properties = (numbers, rest).prop_map(|(numbers, rest)| {
        let (authentication_method, authentication_data) = rest.3.unzip();
        ConnectProperties {
            session_expiry_interval: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_size: numbers.2,
            topic_alias_maximum: numbers.3,
            request_response_information: rest.0,
            request_problem_information: rest.1,
            user_properties: rest.2,
            authentication_method,
            authentication_data: authentication_data.flatten(),
        }
    });
    only_in_5(version, properties)
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = LastWill> {
    let numbers = (of(any::<u32>()), of(any::<bool>()), of(any::<u32>()));
    let properties = (numbers, of(text()), of(topic()), of(binary()), pairs()).prop_map(
        |(numbers, content_type, response_topic, correlation_data, user_properties)| WillProperties {
            will_delay_interval: numbers.0,
            payload_is_utf8: numbers.1,
            message_expiry_interval: numbers.2,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        },
    );
    (topic(), binary(), qos(), any::<bool>(), only_in_5(version, properties))
        .prop_map(|(topic, payload, qos, retain, properties)| LastWill { topic, payload, qos, retain, properties })
}

fn connack(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let numbers = (of(any::<u32>()), of(1..=u16::MAX), of(1..=u32::MAX), of(any::<u16>()), of(any::<u16>()));
    let maximum_qos = of(select(&[QoS::AtMostOnce, QoS::AtLeastOnce][..]));
    let available = (of(any::<bool>()), of(any::<bool>()), of(any::<bool>()), of(any::<bool>()), maximum_qos);
    let texts = (of(text()), of(text()), pairs(), of(text()), of(text()), of((text(), of(binary()))));
    let properties = (numbers, available, texts).prop_map(|(numbers, available, texts)| {
        let (authentication_method, authentication_data) = texts.5.unzip();
        ConnAckProperties {
            session_expiry_interval: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_size: numbers.2,
            topic_alias_maximum: numbers.3,
            server_keep_alive: numbers.4,
            retain_available: available.0,
            wildcard_subscription_available: available.1,
            subscription_ids_available: available.2,
            shared_subscription_available: available.3,
            maximum_qos: available.4,
            assigned_client_id: texts.0,
            reason_string: texts.1,
            user_properties: texts.2,
            response_information: texts.3,
            server_reference: texts.4,
            authentication_method,
            authentication_data: authentication_data.flatten(),
        }
    });
    let reason = if version.has_properties() {
        reason(PacketType::ConnAck).boxed()
    } else {
        (0..=5_u8).prop_map(|code| ReasonCode::from_connack_return_code(code).unwrap()).boxed()
    };
    (any::<bool>(), reason, only_in_5(version, properties))
        .prop_map(move |(session_present, reason, properties)| {
            let session_present = session_present && version.has_session_present() && !reason.is_error();
            Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties }))
        })
        .boxed()
}

fn publish(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let numbers = (of(any::<bool>()), of(any::<u32>()), of(1..=u16::MAX));
    let texts = (of(topic()), of(binary()), pairs(), vec(subscription_id(), 0..3), of(text()));
    let properties = (numbers, texts).prop_map(|(numbers, texts)| PublishProperties {
        payload_is_utf8: numbers.0,
        message_expiry_interval: numbers.1,
        topic_alias: numbers.2,
        response_topic: texts.0,
        correlation_data: texts.1,
        user_properties: texts.2,
        subscription_ids: texts.3,
        content_type: texts.4,
    });
    (any::<bool>(), qos(), any::<bool>(), topic(), packet_id(), only_in_5(version, properties), binary())
        .prop_map(|(dup, qos, retain, topic, packet_id, properties, payload)| {
            let is_acknowledged = qos > QoS::AtMostOnce;
            let topic =
                if properties.topic_alias.is_some_and(|alias| alias % 2 == 0) { Text::default() } else { topic };
            Packet::Publish(Publish {
                dup: dup && is_acknowledged,
                qos,
                retain,
                topic,
                packet_id: Some(packet_id).filter(|_| is_acknowledged),
                properties: properties.into(),
                payload,
            })
        })
        .boxed()
}

fn explanation(version: ProtocolVersion) -> BoxedStrategy<PubAckProperties> {
    let properties = (of(text()), pairs())
        .prop_map(|(reason_string, user_properties)| PubAckProperties { reason_string, user_properties });
    only_in_5(version, properties)
}

fn puback(packet: PacketType, wrap: fn(PubAck) -> Packet, version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let reason = if version.has_properties() { reason(packet).boxed() } else { Just(ReasonCode::Success).boxed() };
    (packet_id(), reason, explanation(version))
        .prop_map(move |(packet_id, reason, properties)| {
            wrap(PubAck { packet_id, reason, properties: properties.into() })
        })
        .boxed()
}

fn subscribe(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let handling = select(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend][..]);
    let request = (text(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            if !version.has_properties() {
                return SubscribeRequest::new(filter, qos);
            }
            let no_local = no_local && !SharedFilter::claims_to_be_shared(&filter);
            SubscribeRequest { filter, qos, no_local, retain_as_published, retain_handling }
        },
    );
    let properties = only_in_5(version, (of(subscription_id()), pairs()));
    (packet_id(), properties, vec(request, 1..4))
        .prop_map(|(packet_id, (subscription_id, user_properties), requests)| {
            Packet::Subscribe(Subscribe { packet_id, subscription_id, user_properties, requests })
        })
        .boxed()
}

fn suback(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let reason = if version.has_properties() {
        reason(PacketType::SubAck).boxed()
    } else {
        select(&[0, 1, 2, 0x80_u8][..]).prop_map(|code| ReasonCode::from_suback_return_code(code).unwrap()).boxed()
    };
    (packet_id(), explanation(version), vec(reason, 0..4))
        .prop_map(|(packet_id, properties, reasons)| Packet::SubAck(SubAck { packet_id, properties, reasons }))
        .boxed()
}

fn unsubscribe(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    (packet_id(), only_in_5(version, pairs()), vec(text(), 1..4))
        .prop_map(|(packet_id, user_properties, filters)| {
            Packet::Unsubscribe(Unsubscribe { packet_id, user_properties, filters })
        })
        .boxed()
}

fn unsuback(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    (packet_id(), explanation(version), only_in_5(version, vec(reason(PacketType::UnsubAck), 0..4)))
        .prop_map(|(packet_id, properties, reasons)| Packet::UnsubAck(UnsubAck { packet_id, properties, reasons }))
        .boxed()
}

fn disconnect(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let properties = (of(any::<u32>()), of(text()), pairs(), of(text())).prop_map(
        |(session_expiry_interval, reason_string, user_properties, server_reference)| DisconnectProperties {
            session_expiry_interval,
            reason_string,
            user_properties,
            server_reference,
        },
    );
    let reason = match version.has_properties() {
        true => reason(PacketType::Disconnect).boxed(),
        false => Just(ReasonCode::Success).boxed(),
    };
    (reason, only_in_5(version, properties))
        .prop_map(|(reason, properties)| Packet::Disconnect(Box::new(Disconnect { reason, properties })))
        .boxed()
}

fn auth() -> BoxedStrategy<Packet> {
    (reason(PacketType::Auth), text(), of(binary()), of(text()), pairs())
        .prop_map(|(reason, method, authentication_data, reason_string, user_properties)| {
            let authentication_method = Some(method);
            let properties =
                AuthProperties { authentication_method, authentication_data, reason_string, user_properties };
            Packet::Auth(Box::new(Auth { reason, properties }))
        })
        .boxed()
}

/// A packet other than CONNECT, as a version has it.
fn packet_of(version: ProtocolVersion) -> BoxedStrategy<Packet> {
    let common = prop_oneof![
        connack(version),
        publish(version),
        puback(PacketType::PubAck, Packet::PubAck, version),
        puback(PacketType::PubRec, Packet::PubRec, version),
        puback(PacketType::PubRel, Packet::PubRel, version),
        puback(PacketType::PubComp, Packet::PubComp, version),
        subscribe(version),
        suback(version),
        unsubscribe(version),
        unsuback(version),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version),
    ];
    if version.has_properties() { prop_oneof![13 => common, 1 => auth()].boxed() } else { common.boxed() }
}

fn versioned<T: std::fmt::Debug + 'static>(
    strategy: impl Fn(ProtocolVersion) -> BoxedStrategy<T> + 'static,
) -> impl Strategy<Value = (ProtocolVersion, T)> {
    select(&VERSIONS[..]).prop_flat_map(move |version| (Just(version), strategy(version)))
}

/// All packets of a buffer up to the first that is incomplete or wrong.
fn decode_all(source: &mut Bytes, version: Option<ProtocolVersion>) -> Result<Vec<Packet>, Violation> {
    let mut packets = Vec::new();
    while let Some(packet) = decode(source, version, u32::MAX)? {
        packets.push(packet);
    }
    Ok(packets)
}

proptest! {
    #[test]
    fn a_packet_comes_back_from_its_bytes((version, packet) in versioned(packet_of)) {
        let mut out = BytesMut::new();
        packet.encode(version, u32::MAX, &mut out).unwrap();
        prop_assert_eq!(frame_len(&out, u32::MAX), Ok(Some(out.len())));
        prop_assert_eq!(decode(&mut out.freeze(), Some(version), u32::MAX), Ok(Some(packet)));
    }

    #[test]
    fn a_connect_comes_back_from_its_bytes((version, packet) in versioned(connect)) {
        let mut out = BytesMut::new();
        packet.encode(version, u32::MAX, &mut out).unwrap();
        prop_assert_eq!(version_to_answer_in(&out), Some(version));
        prop_assert_eq!(decode(&mut out.freeze(), None, u32::MAX), Ok(Some(packet)));
    }

    #[test]
    fn packets_are_the_same_wherever_their_stream_is_cut(
        (version, packets) in versioned(|version| vec(packet_of(version), 1..6).boxed()),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut stream = BytesMut::new();
        for packet in &packets {
            packet.encode(version, u32::MAX, &mut stream).unwrap();
        }
        let cut = cut.index(stream.len());
        let mut buffer = Bytes::copy_from_slice(&stream[..cut]);
        let mut received = decode_all(&mut buffer, Some(version)).unwrap();
        let mut buffer = Bytes::from([&buffer[..], &stream[cut..]].concat());
        received.extend(decode_all(&mut buffer, Some(version)).unwrap());
        prop_assert_eq!(received, packets);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(version in of(select(&VERSIONS[..])), bytes in vec(any::<u8>(), 0..64)) {
        let _ = decode_all(&mut Bytes::from(bytes.clone()), version);
        let _ = version_to_answer_in(&bytes);
        let _ = guess_protocol(&bytes);
    }

    /// A packet with one byte changed reaches deeper than noise does. What is accepted can be written, and means the
    /// same when read again.
    #[test]
    fn a_damaged_packet_is_refused_or_means_something(
        (version, packet) in versioned(|version| prop_oneof![packet_of(version), connect(version)].boxed()),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BytesMut::new();
        packet.encode(version, u32::MAX, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let version = if matches!(packet, Packet::Connect(_)) { None } else { Some(version) };
        if let Ok(Some(packet)) = decode(&mut bytes.freeze(), version, u32::MAX) {
            let mut again = BytesMut::new();
            packet.encode(version.unwrap_or(ProtocolVersion::V5), u32::MAX, &mut again).unwrap();
            prop_assert_eq!(decode(&mut again.freeze(), version, u32::MAX), Ok(Some(packet)));
        }
    }
}
