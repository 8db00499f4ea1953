//! Records come back as they were written, on the reader's clock, and nothing else is taken for records.

use super::*;
use proptest::prelude::*;

const CLOCK: ClockReading = ClockReading { now: Timestamp::from_millis(1_000_000), wall_ms: 5_000_000 };

fn message(expires_at: Option<u64>) -> Arc<Message> {
    let text = |text| Text::try_from(text).unwrap();
    let key = SessionKey {
        principal: Principal::User(UserName::new("ann").unwrap()),
        client_id: ClientId::new(text("a")).unwrap(),
    };
    Arc::new(Message {
        topic: TopicName::try_from("t/1").unwrap(),
        payload: Bytes::from_static(b"payload"),
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at: expires_at.map(Timestamp::from_millis),
        origin: Origin::Client(Arc::new(key)),
        durability: crate::broker::Durability::Commit,
        properties: MessageProperties {
            payload_is_utf8: Some(true),
            content_type: Some(text("text/plain")),
            response_topic: Some(text("answer")),
            correlation_data: Some(Bytes::from_static(&[0, 1])),
            user_properties: vec![(text("a"), text("1")), (text("a"), text("2"))],
        }
        .into(),
    })
}

fn receiver(session: u64, packet_id: Option<u16>) -> Receiver {
    Receiver {
        session: DurableId(session),
        qos: QoS::AtLeastOnce,
        retain: true,
        is_retained: false,
        check_delivery: true,
        subscription_ids: vec![SubscriptionId::new(7).unwrap(), SubscriptionId::new(268_435_455).unwrap()],
        packet_id: packet_id.and_then(PacketId::new),
    }
}

fn one_of_each() -> Vec<Record> {
    let session = DurableId(u64::MAX);
    let packet_id = PacketId::new(65_535).unwrap();
    let once = Once { publisher: DurableId(33), packet_id };
    let filter = SharedFilter::new(&Text::try_from("$share/g/a/+/#").unwrap()).unwrap();
    let key = |principal| SessionKey { principal, client_id: ClientId::new(Text::try_from("c").unwrap()).unwrap() };
    vec![
        Record::Began { session, key: Arc::new(key(Principal::User(UserName::new("ann").unwrap()))) },
        Record::Began { session, key: Arc::new(key(Principal::Anonymous(RoleName::new("Student").unwrap()))) },
        Record::Changed { session, expiry: None, gone_since: None, will: None },
        Record::Changed {
            session,
            expiry: Some(Duration::from_secs(9)),
            gone_since: Some(Timestamp::from_millis(999_000)),
            will: Some(KeptWill { message: message(None), delay: Duration::from_secs(3), expiry_interval: Some(4) }),
        },
        Record::Subscribed {
            session,
            filter: filter.clone(),
            options: SubscriptionOptions {
                qos: QoS::ExactlyOnce,
                no_local: true,
                retain_as_published: false,
                id: SubscriptionId::new(1),
                check_delivery: true,
            },
        },
        Record::Unsubscribed { session, filter },
        Record::Queued {
            message: message(Some(1_060_000)),
            receivers: vec![receiver(1, None), receiver(2, Some(5))],
            once: Some(once),
        },
        Record::Sent { session, packet_id },
        Record::Dropped { session },
        Record::InFlight { receiver: receiver(3, Some(6)), message: message(None), stage: KeptStage::Comp },
        Record::Received { session, packet_id },
        Record::Finished { session, packet_id },
        Record::Taken { session, packet_id },
        Record::Released { session, packet_id },
        Record::Spilled { session },
        Record::Skipped { session },
        Record::Chunks { session, first: 300, sizes: vec![(1024, 1 << 40), (1, 1)] },
        Record::Once { session, once },
        Record::Forgotten { session, once },
        Record::Ended { session },
    ]
}

#[test]
fn records_come_back_as_they_were_written() {
    let records = one_of_each();
    let bytes = Record::encode_all(&records, CLOCK);
    assert_eq!(Record::decode_all(bytes, CLOCK), Ok(records));
}

#[test]
fn moments_are_counted_over_the_time_in_between() {
    let written = [Record::Queued { message: message(Some(1_060_000)), receivers: vec![], once: None }];
    let bytes = Record::encode_all(&written, CLOCK);
    // Forty seconds later on the wall, in a process whose clock began anew.
    let later = ClockReading { now: Timestamp::from_millis(100_000), wall_ms: 5_040_000 };
    let read = Record::decode_all(bytes.clone(), later).unwrap();
    let Record::Queued { message, .. } = &read[0] else { panic!("{read:?}") };
    assert_eq!(message.expires_at, Some(Timestamp::from_millis(120_000)));
    assert_eq!(Record::written_at(bytes, later), Ok(Timestamp::from_millis(60_000)));
}

#[test]
fn what_ends_in_the_middle_is_refused() {
    let bytes = Record::encode_all(&one_of_each(), CLOCK);
    let whole: Vec<usize> =
        (0..=one_of_each().len()).map(|count| Record::encode_all(&one_of_each()[..count], CLOCK).len()).collect();
    for len in 0..bytes.len() {
        let read = Record::decode_all(bytes.slice(..len), CLOCK);
        assert_eq!(read.is_ok(), whole.contains(&len), "{len} of {} bytes: {read:?}", bytes.len());
    }
    assert_eq!(Record::decode_all(Bytes::from_static(&[9, 0, 0]), CLOCK), Err(RecordProblem::Format(9)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode_all(Bytes::from(bytes.clone()), CLOCK);
        let framed = [&Record::encode_all(&[], CLOCK)[..], &bytes].concat();
        let _ = Record::decode_all(Bytes::from(framed), CLOCK);
    }
}
