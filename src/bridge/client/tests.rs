//! Stories of a client and a server that is played by the test.

use super::*;
use crate::protocol::{
    Auth, AuthProperties, ConnAckProperties, DisconnectProperties, ProtocolVersion, PubAckProperties,
    PublishProperties, Rare, SubAck, UnsubAck,
};
use bytes::Bytes;

const START: Duration = Duration::from_secs(1000);

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn settings(version: ProtocolVersion) -> ClientSettings {
    ClientSettings::new(version, text("c"))
}

/// Settings whose session outlives the connection.
fn lasting(version: ProtocolVersion) -> ClientSettings {
    ClientSettings { clean_start: false, session_expiry_interval: 3600, ..settings(version) }
}

fn message(topic: &str, qos: QoS) -> Publish {
    let payload = Bytes::from_static(b"x");
    let properties = Rare::NOTHING;
    Publish { dup: false, qos, retain: false, topic: text(topic), packet_id: None, properties, payload }
}

fn sent(topic: &str, qos: QoS, packet_id: u16) -> Packet {
    Packet::Publish(Publish { packet_id: PacketId::new(packet_id), ..message(topic, qos) })
}

fn resent(topic: &str, qos: QoS, packet_id: u16) -> Packet {
    Packet::Publish(Publish { dup: true, packet_id: PacketId::new(packet_id), ..message(topic, qos) })
}

fn ack(wrap: fn(PubAck) -> Packet, packet_id: u16) -> Packet {
    wrap(PubAck::new(id(packet_id), ReasonCode::Success))
}

fn published(packet_id: u16) -> Event {
    Event::Published { packet_id: id(packet_id), reason: ReasonCode::Success }
}

fn connack(session_present: bool, properties: ConnAckProperties) -> Packet {
    Packet::ConnAck(Box::new(ConnAck { session_present, reason: ReasonCode::Success, properties }))
}

fn outgoing(client: &mut Client) -> Vec<Packet> {
    client.take_outgoing(START).collect()
}

fn receive(client: &mut Client, packet: Packet) -> Vec<Event> {
    let mut events = Vec::new();
    client.receive(START, packet, &mut events).unwrap();
    events
}

fn violation(client: &mut Client, packet: Packet) -> Violation {
    client.receive(START, packet, &mut Vec::new()).unwrap_err()
}

fn connect(client: &mut Client, answer: Packet) -> Vec<Event> {
    client.connect(START);
    assert!(matches!(outgoing(client)[..], [Packet::Connect(_)]));
    let mut events = receive(client, answer);
    assert!(matches!(events.remove(0), Event::Connected(_)));
    assert!(client.is_open());
    events
}

fn connected(settings: ClientSettings) -> Client {
    let mut client = Client::new(settings);
    assert_eq!(connect(&mut client, connack(false, ConnAckProperties::default())), []);
    client
}

/// [v5:MQTT-3.1.0-1]
#[test]
fn a_connect_carries_the_settings_of_its_version() {
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let mut client = Client::new(lasting(version));
        client.connect(START);
        let [Packet::Connect(connect)] = &outgoing(&mut client)[..] else { panic!("no CONNECT") };
        assert_eq!((connect.version, connect.clean_start, connect.keep_alive), (version, false, 60));
        let expiry = version.has_properties().then_some(3600);
        assert_eq!(connect.properties.session_expiry_interval, expiry);
    }
}

#[test]
fn a_clean_start_is_for_the_first_connection_if_the_session_outlives_it() {
    for (session_expiry_interval, expected) in [(3600, false), (0, true)] {
        let mut client = connected(ClientSettings { session_expiry_interval, ..settings(ProtocolVersion::V5) });
        client.connect(START);
        let [Packet::Connect(connect)] = &outgoing(&mut client)[..] else { panic!("no CONNECT") };
        assert_eq!(connect.clean_start, expected);
    }
}

#[test]
fn a_refusal_ends_the_connection() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    client.connect(START);
    let refusal =
        ConnAck { session_present: false, reason: ReasonCode::NotAuthorized, properties: ConnAckProperties::default() };
    let events = receive(&mut client, Packet::ConnAck(Box::new(refusal.clone())));
    assert_eq!(events, [Event::Refused(Box::new(refusal))]);
    assert!(!client.is_open());
    assert_eq!(client.next_tick(), None);
}

/// [v5:MQTT-3.1.3-7] [v5:MQTT-3.2.2-16]
#[test]
fn an_assigned_client_identifier_is_kept() {
    let mut client = Client::new(ClientSettings { client_id: Text::default(), ..settings(ProtocolVersion::V5) });
    let assigned_client_id = Some(text("from-server"));
    connect(&mut client, connack(false, ConnAckProperties { assigned_client_id, ..Default::default() }));
    assert_eq!(client.settings().client_id.as_str(), "from-server");
}

#[test]
fn qos_0_is_sent_at_once_or_not_at_all() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    assert_eq!(client.publish(message("a", QoS::AtMostOnce)), Err(Unsendable::NotConnected));
    let mut client = connected(settings(ProtocolVersion::V5));
    assert_eq!(client.publish(message("a", QoS::AtMostOnce)), Ok(None));
    assert_eq!(outgoing(&mut client), [sent("a", QoS::AtMostOnce, 0)]);
    assert_eq!(client.unfinished(), 0);
}

/// [v5:MQTT-4.3.2-1]
#[test]
fn qos_1_ends_with_puback() {
    let mut client = connected(settings(ProtocolVersion::V3_1_1));
    assert_eq!(client.publish(message("a", QoS::AtLeastOnce)), Ok(Some(id(1))));
    assert_eq!(outgoing(&mut client), [sent("a", QoS::AtLeastOnce, 1)]);
    assert_eq!(client.unfinished(), 1);
    assert_eq!(receive(&mut client, ack(Packet::PubAck, 1)), [published(1)]);
    assert_eq!(client.unfinished(), 0);
}

/// [v5:MQTT-4.3.3-4]
#[test]
fn qos_2_ends_with_pubcomp() {
    let mut client = connected(settings(ProtocolVersion::V5));
    client.publish(message("a", QoS::ExactlyOnce)).unwrap();
    assert_eq!(outgoing(&mut client), [sent("a", QoS::ExactlyOnce, 1)]);
    assert_eq!(receive(&mut client, ack(Packet::PubRec, 1)), []);
    assert_eq!(outgoing(&mut client), [ack(Packet::PubRel, 1)]);
    assert_eq!(receive(&mut client, ack(Packet::PubComp, 1)), [published(1)]);
    assert_eq!(outgoing(&mut client), []);
}

/// [v5:MQTT-4.4.0-2]
#[test]
fn a_refused_qos_2_message_ends_with_pubrec() {
    let mut client = connected(settings(ProtocolVersion::V5));
    client.publish(message("a", QoS::ExactlyOnce)).unwrap();
    outgoing(&mut client);
    let reason = ReasonCode::NotAuthorized;
    let events = receive(&mut client, Packet::PubRec(PubAck::new(id(1), reason)));
    assert_eq!(events, [Event::Published { packet_id: id(1), reason }]);
    assert_eq!(outgoing(&mut client), []);
}

#[test]
fn an_unknown_pubrec_is_released_as_unknown_and_its_pubcomp_passed_over() {
    let mut client = connected(settings(ProtocolVersion::V5));
    assert_eq!(receive(&mut client, ack(Packet::PubRec, 9)), []);
    let unknown = PubAck::new(id(9), ReasonCode::PacketIdentifierNotFound);
    assert_eq!(outgoing(&mut client), [Packet::PubRel(unknown)]);
    assert_eq!(receive(&mut client, ack(Packet::PubComp, 9)), []);
}

/// [v5:MQTT-3.3.4-7] [v5:MQTT-3.3.4-8]
#[test]
fn the_receive_maximum_of_the_server_is_kept_and_holds_up_nothing_else() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    let properties = ConnAckProperties { receive_maximum: Some(2), ..Default::default() };
    connect(&mut client, connack(false, properties));
    for topic in ["a", "b", "c"] {
        client.publish(message(topic, QoS::AtLeastOnce)).unwrap();
    }
    client.publish(message("now", QoS::AtMostOnce)).unwrap();
    assert_eq!(
        outgoing(&mut client),
        [sent("a", QoS::AtLeastOnce, 1), sent("b", QoS::AtLeastOnce, 2), sent("now", QoS::AtMostOnce, 0)]
    );
    receive(&mut client, ack(Packet::PubAck, 2));
    assert_eq!(outgoing(&mut client), [sent("c", QoS::AtLeastOnce, 3)]);
    assert_eq!(client.unfinished(), 2);
}

#[test]
fn messages_wait_for_a_connection_up_to_the_limit() {
    let mut client = Client::new(ClientSettings { queue_limit: 2, ..settings(ProtocolVersion::V5) });
    client.publish(message("a", QoS::AtLeastOnce)).unwrap();
    client.publish(message("b", QoS::ExactlyOnce)).unwrap();
    assert_eq!(client.publish(message("c", QoS::AtLeastOnce)), Err(Unsendable::QueueFull(2)));
    connect(&mut client, connack(false, ConnAckProperties::default()));
    assert_eq!(outgoing(&mut client), [sent("a", QoS::AtLeastOnce, 1), sent("b", QoS::ExactlyOnce, 2)]);
}

/// [v5:MQTT-3.2.2-11] [v5:MQTT-3.2.2-14] [v5:MQTT-3.2.2-15]
#[test]
fn what_the_server_does_not_take_is_not_sent() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    client.publish(message("waited", QoS::ExactlyOnce)).unwrap();
    let properties = ConnAckProperties {
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        maximum_packet_size: Some(20),
        ..Default::default()
    };
    let why = Unsendable::QoSNotSupported(QoS::AtLeastOnce);
    let events = connect(&mut client, connack(false, properties));
    assert_eq!(events, [Event::GivenUp { packet_id: id(1), why }]);
    assert_eq!(client.publish(message("a", QoS::ExactlyOnce)), Err(why));
    let retained = Publish { retain: true, ..message("a", QoS::AtMostOnce) };
    assert_eq!(client.publish(retained), Err(Unsendable::RetainNotSupported));
    let large = Publish { payload: vec![0; 20].into(), ..message("a", QoS::AtLeastOnce) };
    assert_eq!(client.publish(large), Err(Unsendable::PacketTooLarge(20)));
    assert!(matches!(client.publish(message("a/#", QoS::AtMostOnce)), Err(Unsendable::BadTopic(_))));
    assert!(matches!(client.publish(message("", QoS::AtMostOnce)), Err(Unsendable::BadTopic(_))));
    assert_eq!(outgoing(&mut client), []);
    assert_eq!(client.unfinished(), 0);
}

/// [v5:MQTT-4.4.0-1] [v5:MQTT-4.6.0-1] [v5:MQTT-4.3.3-6] [v5:MQTT-3.3.1-1]
#[test]
fn a_session_goes_on_where_it_was_in_the_same_order() {
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let mut client = connected(lasting(version));
        client.publish(message("a", QoS::ExactlyOnce)).unwrap();
        client.publish(message("b", QoS::AtLeastOnce)).unwrap();
        client.publish(message("c", QoS::ExactlyOnce)).unwrap();
        client.publish(message("d", QoS::AtLeastOnce)).unwrap();
        receive(&mut client, ack(Packet::PubRec, 3));
        receive(&mut client, ack(Packet::PubAck, 2));
        client.close();
        client.publish(message("e", QoS::AtLeastOnce)).unwrap();
        // The first attempt is lost before anything of it is acknowledged.
        for _ in 0..2 {
            let events = connect(&mut client, connack(true, ConnAckProperties::default()));
            assert_eq!(events, []);
        }
        assert_eq!(
            outgoing(&mut client),
            [
                ack(Packet::PubRel, 3),
                resent("a", QoS::ExactlyOnce, 1),
                resent("d", QoS::AtLeastOnce, 4),
                resent("e", QoS::AtLeastOnce, 5),
            ]
        );
        receive(&mut client, ack(Packet::PubComp, 3));
        receive(&mut client, ack(Packet::PubRec, 1));
        assert_eq!(outgoing(&mut client), [ack(Packet::PubRel, 1)]);
    }
}

/// [v5:MQTT-3.3.4-7]
#[test]
fn a_resend_keeps_to_a_receive_maximum_that_has_shrunk() {
    let mut client = connected(lasting(ProtocolVersion::V5));
    for topic in ["a", "b", "c"] {
        client.publish(message(topic, QoS::AtLeastOnce)).unwrap();
    }
    let properties = ConnAckProperties { receive_maximum: Some(1), ..Default::default() };
    connect(&mut client, connack(true, properties));
    for (topic, number) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(outgoing(&mut client), [resent(topic, QoS::AtLeastOnce, number)]);
        assert_eq!(receive(&mut client, ack(Packet::PubAck, number)), [published(number)]);
    }
}

/// [v5:MQTT-3.2.2-5]
#[test]
fn a_lost_session_is_begun_anew_and_says_what_nobody_can_know() {
    let mut client = connected(lasting(ProtocolVersion::V5));
    client.publish(message("a", QoS::ExactlyOnce)).unwrap();
    client.publish(message("b", QoS::AtLeastOnce)).unwrap();
    client.publish(message("c", QoS::ExactlyOnce)).unwrap();
    receive(&mut client, ack(Packet::PubRec, 3));
    receive(&mut client, sent("in", QoS::ExactlyOnce, 7));
    client.close();
    client.publish(message("waits", QoS::ExactlyOnce)).unwrap();
    let events = connect(&mut client, connack(false, ConnAckProperties::default()));
    assert_eq!(events, [Event::Unconfirmed { packet_id: id(3) }, Event::Unconfirmed { packet_id: id(1) }]);
    assert_eq!(outgoing(&mut client), [sent("b", QoS::AtLeastOnce, 2), sent("waits", QoS::ExactlyOnce, 4)]);
    // The identifier means another message now.
    assert!(matches!(receive(&mut client, sent("in", QoS::ExactlyOnce, 7))[..], [Event::Message(_)]));
}

/// 3.1 does not say whether a session is present. [v31:3.2]
#[test]
fn in_3_1_a_session_goes_on_if_that_was_asked_for() {
    let mut client = connected(lasting(ProtocolVersion::V3_1));
    client.publish(message("a", QoS::AtLeastOnce)).unwrap();
    client.close();
    connect(&mut client, connack(false, ConnAckProperties::default()));
    assert_eq!(outgoing(&mut client), [resent("a", QoS::AtLeastOnce, 1)]);
}

/// [v5:MQTT-3.2.2-2]
#[test]
fn a_session_after_a_clean_start_is_a_violation() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    client.connect(START);
    let answer = connack(true, ConnAckProperties::default());
    assert_eq!(violation(&mut client, answer), Violation::SessionPresentAfterCleanStart);
    assert!(!client.is_open());
}

/// [v5:MQTT-3.3.4-1] [v5:MQTT-4.3.3-10]
#[test]
fn a_message_is_told_once_and_acknowledged_by_its_qos() {
    let mut client = connected(settings(ProtocolVersion::V5));
    for (qos, expected) in [
        (QoS::AtMostOnce, vec![]),
        (QoS::AtLeastOnce, vec![ack(Packet::PubAck, 5)]),
        (QoS::ExactlyOnce, vec![ack(Packet::PubRec, 5)]),
    ] {
        let packet = sent("in", qos, if qos == QoS::AtMostOnce { 0 } else { 5 });
        let events = receive(&mut client, packet.clone());
        assert_eq!(events.len(), 1);
        assert!(matches!(&events[0], Event::Message(publish) if Packet::Publish(publish.clone()) == packet));
        assert_eq!(outgoing(&mut client), expected);
    }
    assert_eq!(receive(&mut client, resent("in", QoS::ExactlyOnce, 5)), []);
    assert_eq!(outgoing(&mut client), [ack(Packet::PubRec, 5)]);
    receive(&mut client, ack(Packet::PubRel, 5));
    assert_eq!(outgoing(&mut client), [ack(Packet::PubComp, 5)]);
    receive(&mut client, ack(Packet::PubRel, 5));
    let unknown = PubAck::new(id(5), ReasonCode::PacketIdentifierNotFound);
    assert_eq!(outgoing(&mut client), [Packet::PubComp(unknown)]);
}

/// [v5:MQTT-3.3.4-9]
#[test]
fn more_messages_than_the_receive_maximum_are_a_violation() {
    let mut client = connected(ClientSettings { receive_maximum: 1, ..settings(ProtocolVersion::V5) });
    receive(&mut client, sent("in", QoS::ExactlyOnce, 1));
    outgoing(&mut client);
    let second = sent("in", QoS::ExactlyOnce, 2);
    assert_eq!(violation(&mut client, second), Violation::ReceiveMaximumExceeded(1));
    let told = Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::ReceiveMaximumExceeded)));
    assert_eq!(outgoing(&mut client), [told]);
}

fn aliased(topic: &str, alias: u16) -> Packet {
    let properties = PublishProperties { topic_alias: Some(alias), ..Default::default() }.into();
    Packet::Publish(Publish { properties, ..message(topic, QoS::AtMostOnce) })
}

/// [v5:MQTT-3.3.2-7] [v5:MQTT-3.3.2-10] [v5:MQTT-3.3.2-11]
#[test]
fn an_alias_stands_for_the_topic_it_came_with_last_on_this_connection() {
    let settings = ClientSettings { topic_alias_maximum: 2, ..settings(ProtocolVersion::V5) };
    let topic_of = |client: &mut Client, packet| match &receive(client, packet)[..] {
        [Event::Message(publish)] => publish.topic.to_string(),
        events => panic!("{events:?}"),
    };
    let mut client = connected(settings.clone());
    assert_eq!(topic_of(&mut client, aliased("a", 1)), "a");
    assert_eq!(topic_of(&mut client, aliased("b", 2)), "b");
    assert_eq!(topic_of(&mut client, aliased("", 1)), "a");
    assert_eq!(topic_of(&mut client, aliased("c", 1)), "c");
    assert_eq!(topic_of(&mut client, aliased("", 1)), "c");
    let above = Violation::TopicAliasAboveMaximum { alias: 3, maximum: 2 };
    assert_eq!(violation(&mut client, aliased("d", 3)), above);
    connect(&mut client, connack(false, ConnAckProperties::default()));
    assert_eq!(violation(&mut client, aliased("", 1)), Violation::TopicAliasUnknown(1));
}

#[test]
fn a_subscription_is_answered_with_a_code_for_each_filter() {
    let mut client = connected(settings(ProtocolVersion::V5));
    let requests =
        vec![SubscribeRequest::new(text("a"), QoS::AtLeastOnce), SubscribeRequest::new(text("b"), QoS::ExactlyOnce)];
    let packet_id = client.subscribe(requests.clone(), SubscriptionId::new(3)).unwrap();
    let [Packet::Subscribe(subscribe)] = &outgoing(&mut client)[..] else { panic!("no SUBSCRIBE") };
    assert_eq!((subscribe.packet_id, &subscribe.requests), (packet_id, &requests));
    let reasons = vec![ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized];
    let properties = PubAckProperties::default();
    let answer = SubAck { packet_id, properties: properties.clone(), reasons: reasons.clone() };
    let events = receive(&mut client, Packet::SubAck(answer));
    assert_eq!(events, [Event::Subscribed { packet_id, reasons }]);

    let packet_id = client.unsubscribe(vec![text("a"), text("b")]).unwrap();
    let short = UnsubAck { packet_id, properties, reasons: vec![ReasonCode::Success] };
    let expected = Violation::WrongReasonCount { packet: PacketType::UnsubAck, reasons: 1, filters: 2 };
    assert_eq!(violation(&mut client, Packet::UnsubAck(short)), expected);
}

#[test]
fn before_5_0_an_unsubscription_is_answered_without_codes() {
    let mut client = connected(settings(ProtocolVersion::V3_1_1));
    let packet_id = client.unsubscribe(vec![text("a"), text("b")]).unwrap();
    let answer = UnsubAck { packet_id, properties: PubAckProperties::default(), reasons: vec![] };
    let reasons = vec![ReasonCode::Success; 2];
    assert_eq!(receive(&mut client, Packet::UnsubAck(answer)), [Event::Unsubscribed { packet_id, reasons }]);
}

#[test]
fn a_question_ends_with_its_connection() {
    let mut client = connected(lasting(ProtocolVersion::V5));
    let packet_id = client.subscribe(vec![SubscribeRequest::new(text("a"), QoS::AtMostOnce)], None).unwrap();
    client.close();
    connect(&mut client, connack(true, ConnAckProperties::default()));
    assert_eq!(outgoing(&mut client), []);
    let late = SubAck { packet_id, properties: PubAckProperties::default(), reasons: vec![ReasonCode::Success] };
    let packet = PacketType::SubAck;
    assert_eq!(
        violation(&mut client, Packet::SubAck(late)),
        Violation::UnexpectedAcknowledgement { packet, packet_id }
    );
}

/// [v5:MQTT-2.2.1-3]
#[test]
fn identifiers_in_use_are_passed_over_until_none_is_left() {
    let settings =
        ClientSettings { receive_maximum: u16::MAX, queue_limit: usize::MAX, ..settings(ProtocolVersion::V5) };
    let mut client = connected(settings);
    let question = client.unsubscribe(vec![text("a")]).unwrap();
    for _ in 1..u16::MAX {
        client.publish(message("a", QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(client.publish(message("a", QoS::AtLeastOnce)), Err(Unsendable::NoPacketId));
    assert_eq!(client.unsubscribe(vec![text("a")]), Err(Unsendable::NoPacketId));
    receive(&mut client, ack(Packet::PubAck, 700));
    assert_eq!(client.publish(message("a", QoS::AtLeastOnce)), Ok(Some(id(700))));
    assert_eq!(question, id(1));
}

/// [v5:MQTT-3.1.2-20] [v5:MQTT-3.1.2-21]
#[test]
fn a_silent_connection_is_pinged_by_the_keep_alive_that_the_server_chose() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    let properties = ConnAckProperties { server_keep_alive: Some(10), ..Default::default() };
    connect(&mut client, connack(false, properties));
    let second = Duration::from_secs(1);
    assert_eq!(client.next_tick(), Some(START + 10 * second));
    client.publish(message("a", QoS::AtMostOnce)).unwrap();
    assert_eq!(client.take_outgoing(START + 4 * second).count(), 1);
    assert_eq!(client.next_tick(), Some(START + 14 * second));
    assert_eq!(client.tick(START + 13 * second), Ok(()));
    assert_eq!(client.take_outgoing(START + 13 * second).count(), 0);
    assert_eq!(client.tick(START + 14 * second), Ok(()));
    let pings: Vec<_> = client.take_outgoing(START + 14 * second).collect();
    assert_eq!(pings, [Packet::PingReq]);
    assert_eq!(client.next_tick(), Some(START + 24 * second));
    receive(&mut client, Packet::PingResp);
    assert_eq!(client.tick(START + 24 * second), Ok(()));
    assert_eq!(client.tick(START + 34 * second), Err(ServerSilent));
    assert!(!client.is_open());
}

#[test]
fn a_server_that_does_not_answer_connect_is_given_up() {
    let mut client = Client::new(settings(ProtocolVersion::V3_1_1));
    assert_eq!(client.next_tick(), None);
    client.connect(START);
    assert_eq!(client.next_tick(), Some(START + Duration::from_secs(10)));
    assert_eq!(client.tick(START + Duration::from_secs(10)), Err(ServerSilent));
    assert_eq!(client.next_tick(), None);
}

#[test]
fn no_keep_alive_never_pings() {
    let client = connected(ClientSettings { keep_alive: 0, ..settings(ProtocolVersion::V5) });
    assert_eq!(client.next_tick(), None);
}

/// [v5:MQTT-3.14.4-1]
#[test]
fn nothing_is_sent_after_disconnect() {
    let mut client = connected(settings(ProtocolVersion::V5));
    client.disconnect(Disconnect::new(ReasonCode::Success));
    assert_eq!(client.publish(message("a", QoS::AtMostOnce)), Err(Unsendable::NotConnected));
    client.publish(message("a", QoS::AtLeastOnce)).unwrap();
    assert_eq!(outgoing(&mut client), [Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success)))]);
    assert_eq!(receive(&mut client, sent("late", QoS::AtMostOnce, 0)), []);
}

#[test]
fn a_server_says_why_it_ends_the_connection() {
    let mut client = connected(settings(ProtocolVersion::V5));
    let goodbye = Box::new(Disconnect::new(ReasonCode::ServerShuttingDown));
    let events = receive(&mut client, Packet::Disconnect(goodbye.clone()));
    assert_eq!(events, [Event::Disconnected(goodbye)]);
    assert!(!client.is_open());
}

#[test]
fn packets_that_a_server_may_not_send_end_the_connection() {
    let auth = || {
        let properties = AuthProperties { authentication_method: Some(text("m")), ..Default::default() };
        Packet::Auth(Box::new(Auth { reason: ReasonCode::ContinueAuthentication, properties }))
    };
    let expiring = || {
        let properties = DisconnectProperties { session_expiry_interval: Some(1), ..Default::default() };
        Packet::Disconnect(Box::new(Disconnect { reason: ReasonCode::Success, properties }))
    };
    let (v311, v5) = (ProtocolVersion::V3_1_1, ProtocolVersion::V5);
    let unexpected = |packet| Violation::UnexpectedAcknowledgement { packet, packet_id: id(1) };
    for (version, packet, expected) in [
        (v5, Packet::PingReq, Violation::WrongDirection(PacketType::PingReq)),
        (
            v311,
            Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success))),
            Violation::WrongDirection(PacketType::Disconnect),
        ),
        (v5, connack(false, ConnAckProperties::default()), Violation::UnexpectedPacket(PacketType::ConnAck)),
        (v5, auth(), Violation::UnexpectedAuth),
        (v5, expiring(), Violation::SessionExpiryFromServer),
        (v5, ack(Packet::PubAck, 1), unexpected(PacketType::PubAck)),
        (v5, sent("a/+", QoS::AtMostOnce, 0), Violation::BadTopicName(crate::protocol::InvalidTopic::WildcardInName)),
    ] {
        let mut client = connected(settings(version));
        assert_eq!(violation(&mut client, packet), expected);
        assert!(!client.is_open());
        let told = outgoing(&mut client).len();
        assert_eq!(told, usize::from(version.has_properties()), "{expected}");
    }
}

#[test]
fn acknowledgements_of_another_qos_end_the_connection() {
    for (qos, wrap, packet) in [
        (QoS::AtLeastOnce, Packet::PubRec as fn(PubAck) -> Packet, PacketType::PubRec),
        (QoS::AtLeastOnce, Packet::PubComp, PacketType::PubComp),
        (QoS::ExactlyOnce, Packet::PubAck, PacketType::PubAck),
        (QoS::ExactlyOnce, Packet::PubComp, PacketType::PubComp),
    ] {
        let mut client = connected(settings(ProtocolVersion::V5));
        client.publish(message("a", qos)).unwrap();
        let expected = Violation::UnexpectedAcknowledgement { packet, packet_id: id(1) };
        assert_eq!(violation(&mut client, ack(wrap, 1)), expected);
    }
}

/// [v5:MQTT-3.2.0-1]
#[test]
fn nothing_but_connack_comes_first() {
    let mut client = Client::new(settings(ProtocolVersion::V5));
    client.connect(START);
    outgoing(&mut client);
    let early = sent("a", QoS::AtMostOnce, 0);
    assert_eq!(violation(&mut client, early), Violation::UnexpectedPacket(PacketType::Publish));
    assert_eq!(outgoing(&mut client), []);
}
