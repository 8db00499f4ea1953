//! Events as bytes: a batch is one record, so that logging every publish stays cheap.

use super::error::RecordError;
use super::record::{Decoder, Encoder};
use super::wall_clock::UnixMillis;
use crate::broker::{Address, AuditEvent, Durability, EventKind, Reason, RuleId, Who};
use crate::protocol::{ProtocolVersion, QoS};
use std::net::{IpAddr, SocketAddr};

/// An event with the moment it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// When.
    pub at: UnixMillis,
    /// What happened, and to whom.
    pub event: AuditEvent,
}

/// Version, number of events, then each with its distance in time from the one before.
pub(super) fn encode(events: &[StoredEvent]) -> Vec<u8> {
    let mut encoder = Encoder::new(VERSION);
    encoder.number(u64::try_from(events.len()).unwrap_or(u64::MAX));
    let mut before = 0;
    for stored in events {
        let at = stored.at.as_millis().cast_signed();
        encoder.signed(at.wrapping_sub(before));
        before = at;
        encode_who(&mut encoder, &stored.event.who);
        encode_kind(&mut encoder, &stored.event.kind);
    }
    encoder.finish()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<StoredEvent>, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let count: usize = decoder.narrow()?;
    // No room is taken on the word of a number: an event has at least five bytes.
    let mut events = Vec::with_capacity(count.min(bytes.len() / 5));
    let mut at = 0_i64;
    for _ in 0..count {
        at = at.wrapping_add(decoder.signed()?);
        let who = decode_who(&mut decoder)?;
        let kind = decode_kind(&mut decoder)?;
        events.push(StoredEvent { at: UnixMillis::from_millis(at.cast_unsigned()), event: AuditEvent { who, kind } });
    }
    decoder.finish()?;
    Ok(events)
}

fn encode_who(encoder: &mut Encoder, who: &Who) {
    encoder.option(who.user.as_ref(), |encoder, name| encoder.string(name.as_str()));
    encoder.option(who.client_id.as_ref(), |encoder, name| encoder.string(name.as_str()));
    match who.address {
        None => encoder.byte(ADDRESS_NONE),
        Some(Address::Local) => encoder.byte(ADDRESS_LOCAL),
        Some(Address::Network(address)) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    encoder.byte(ADDRESS_V4);
                    encoder.raw(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    encoder.byte(ADDRESS_V6);
                    encoder.raw(&ip.octets());
                }
            }
            encoder.number(u64::from(address.port()));
        }
    }
}

fn decode_who(decoder: &mut Decoder<'_>) -> Result<Who, RecordError> {
    let user = decoder.option(Decoder::text)?;
    let client_id = decoder.option(Decoder::text)?;
    let network = |ip: IpAddr, decoder: &mut Decoder<'_>| -> Result<Option<Address>, RecordError> {
        Ok(Some(Address::Network(SocketAddr::new(ip, decoder.narrow()?))))
    };
    let address = match decoder.byte()? {
        ADDRESS_NONE => None,
        ADDRESS_LOCAL => Some(Address::Local),
        ADDRESS_V4 => network(IpAddr::from(decoder.raw::<4>()?), decoder)?,
        ADDRESS_V6 => network(IpAddr::from(decoder.raw::<16>()?), decoder)?,
        other => return Err(RecordError::UnknownKind(u64::from(other))),
    };
    Ok(Who { user, client_id, address })
}

fn encode_kind(encoder: &mut Encoder, kind: &EventKind) {
    encoder.byte(match kind {
        EventKind::Published { durability: Some(_), .. } => PUBLISHED_WITH_CLASS,
        _ => kind.number(),
    });
    match kind {
        EventKind::Connected { version, session_present, encrypted } => {
            encoder.byte(version.level());
            encoder.flag(*session_present);
            encoder.flag(*encrypted);
        }
        EventKind::ConnectRefused { reason, detail } | EventKind::Disconnected { reason, detail } => {
            encode_reason(encoder, *reason);
            encoder.option(detail.as_ref(), |encoder, detail| encoder.string(detail));
        }
        EventKind::Subscribed { filter, qos } => {
            encoder.string(filter.as_str());
            encoder.byte(qos.bits());
        }
        EventKind::SubscribeRefused { filter, reason, rule } => {
            encoder.string(filter.as_str());
            encode_reason(encoder, *reason);
            encode_rule(encoder, *rule);
        }
        EventKind::Unsubscribed { filter } => encoder.string(filter.as_str()),
        EventKind::Published { topic, size, qos, retain, delivered, durability } => {
            encoder.string(topic.as_str());
            encoder.number(u64::from(*size));
            encoder.byte(qos.bits());
            encoder.flag(*retain);
            encoder.number(u64::from(*delivered));
            if let Some(class) = durability {
                encoder.byte(encode_class(*class));
            }
        }
        EventKind::PublishRefused { topic, size, reason, rule } => {
            encoder.string(topic.as_str());
            encoder.number(u64::from(*size));
            encode_reason(encoder, *reason);
            encode_rule(encoder, *rule);
        }
        EventKind::Dropped { topic, reason, count } => {
            encoder.string(topic.as_str());
            encode_reason(encoder, *reason);
            encoder.number(u64::from(*count));
        }
        EventKind::SessionEnded { reason } => encode_reason(encoder, *reason),
        EventKind::Administered { action, target } => {
            encoder.string(action);
            encoder.string(target);
        }
        EventKind::Started { version } => encoder.string(version),
        EventKind::Stopped => {}
        EventKind::Notice { text } => encoder.string(text),
        EventKind::LeftOut { count } => encoder.number(*count),
    }
}

fn decode_kind(decoder: &mut Decoder<'_>) -> Result<EventKind, RecordError> {
    Ok(match decoder.byte()? {
        PUBLISHED_WITH_CLASS => decode_published(decoder, |decoder| decode_class(decoder).map(Some))?,
        1 => EventKind::Connected {
            version: decode_version(decoder)?,
            session_present: decoder.flag()?,
            encrypted: decoder.flag()?,
        },
        2 => EventKind::ConnectRefused { reason: decode_reason(decoder)?, detail: decode_detail(decoder)? },
        3 => EventKind::Disconnected { reason: decode_reason(decoder)?, detail: decode_detail(decoder)? },
        4 => EventKind::Subscribed { filter: decoder.text()?, qos: decode_qos(decoder)? },
        5 => EventKind::SubscribeRefused {
            filter: decoder.text()?,
            reason: decode_reason(decoder)?,
            rule: decode_rule(decoder)?,
        },
        6 => EventKind::Unsubscribed { filter: decoder.text()? },
        7 => decode_published(decoder, |_| Ok(None))?,
        8 => EventKind::PublishRefused {
            topic: decoder.text()?,
            size: decoder.narrow()?,
            reason: decode_reason(decoder)?,
            rule: decode_rule(decoder)?,
        },
        9 => EventKind::Dropped { topic: decoder.text()?, reason: decode_reason(decoder)?, count: decoder.narrow()? },
        10 => EventKind::SessionEnded { reason: decode_reason(decoder)? },
        20 => EventKind::Administered { action: decoder.string()?.to_owned(), target: decoder.string()?.to_owned() },
        30 => EventKind::Started { version: decoder.string()?.to_owned() },
        31 => EventKind::Stopped,
        32 => EventKind::Notice { text: decoder.string()?.to_owned() },
        33 => EventKind::LeftOut { count: decoder.number()? },
        other => return Err(RecordError::UnknownKind(u64::from(other))),
    })
}

fn decode_published(
    decoder: &mut Decoder<'_>,
    durability: impl FnOnce(&mut Decoder<'_>) -> Result<Option<Durability>, RecordError>,
) -> Result<EventKind, RecordError> {
    Ok(EventKind::Published {
        topic: decoder.text()?,
        size: decoder.narrow()?,
        qos: decode_qos(decoder)?,
        retain: decoder.flag()?,
        delivered: decoder.narrow()?,
        durability: durability(decoder)?,
    })
}

fn encode_class(class: Durability) -> u8 {
    match class {
        Durability::Memory => 0,
        Durability::Os => 1,
        Durability::Commit => 2,
    }
}

fn decode_class(decoder: &mut Decoder<'_>) -> Result<Durability, RecordError> {
    match decoder.byte()? {
        0 => Ok(Durability::Memory),
        1 => Ok(Durability::Os),
        2 => Ok(Durability::Commit),
        other => Err(RecordError::UnknownKind(u64::from(other))),
    }
}

fn encode_reason(encoder: &mut Encoder, reason: Reason) {
    encoder.number(u64::from(reason.number()));
}

fn decode_reason(decoder: &mut Decoder<'_>) -> Result<Reason, RecordError> {
    let number: u16 = decoder.narrow()?;
    Reason::from_number(number).ok_or(RecordError::UnknownKind(u64::from(number)))
}

fn encode_rule(encoder: &mut Encoder, rule: Option<RuleId>) {
    encoder.option(rule, |encoder, rule| encoder.signed(rule.0));
}

fn decode_rule(decoder: &mut Decoder<'_>) -> Result<Option<RuleId>, RecordError> {
    decoder.option(|decoder| decoder.signed().map(RuleId))
}

fn decode_detail(decoder: &mut Decoder<'_>) -> Result<Option<String>, RecordError> {
    decoder.option(|decoder| decoder.string().map(str::to_owned))
}

fn decode_qos(decoder: &mut Decoder<'_>) -> Result<QoS, RecordError> {
    let bits = decoder.byte()?;
    QoS::from_bits(bits).ok_or(RecordError::UnknownKind(u64::from(bits)))
}

fn decode_version(decoder: &mut Decoder<'_>) -> Result<ProtocolVersion, RecordError> {
    match decoder.byte()? {
        3 => Ok(ProtocolVersion::V3_1),
        4 => Ok(ProtocolVersion::V3_1_1),
        5 => Ok(ProtocolVersion::V5),
        other => Err(RecordError::UnknownKind(u64::from(other))),
    }
}

const VERSION: u8 = 1;
/// An event of kind 7 whose message had a class of its own, which comes last.
const PUBLISHED_WITH_CLASS: u8 = 107;
const ADDRESS_NONE: u8 = 0;
const ADDRESS_LOCAL: u8 = 1;
const ADDRESS_V4: u8 = 4;
const ADDRESS_V6: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Text;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Text> {
        "[^\0]{0,30}".prop_map(|text| Text::try_from(text.as_str()).unwrap())
    }

    fn reason() -> impl Strategy<Value = Reason> {
        prop::sample::select(Reason::ALL)
    }

    fn qos() -> impl Strategy<Value = QoS> {
        prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
    }

    fn class() -> impl Strategy<Value = Option<Durability>> {
        prop::option::of(prop::sample::select(Durability::ALL.to_vec()))
    }

    fn rule() -> impl Strategy<Value = Option<RuleId>> {
        prop::option::of(any::<i64>().prop_map(RuleId))
    }

    fn kind() -> impl Strategy<Value = EventKind> {
        let version = prop::sample::select(vec![ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5]);
        let detail = || prop::option::of(".{0,20}");
        prop_oneof![
            (version, any::<bool>(), any::<bool>()).prop_map(|(version, session_present, encrypted)| {
                EventKind::Connected { version, session_present, encrypted }
            }),
            (reason(), detail()).prop_map(|(reason, detail)| EventKind::ConnectRefused { reason, detail }),
            (reason(), detail()).prop_map(|(reason, detail)| EventKind::Disconnected { reason, detail }),
            (text(), qos()).prop_map(|(filter, qos)| EventKind::Subscribed { filter, qos }),
            (text(), reason(), rule()).prop_map(|(filter, reason, rule)| EventKind::SubscribeRefused {
                filter,
                reason,
                rule
            }),
            text().prop_map(|filter| EventKind::Unsubscribed { filter }),
            (text(), any::<u32>(), qos(), any::<bool>(), any::<u32>(), class()).prop_map(
                |(topic, size, qos, retain, delivered, durability)| EventKind::Published {
                    topic,
                    size,
                    qos,
                    retain,
                    delivered,
                    durability
                }
            ),
            (text(), any::<u32>(), reason(), rule())
                .prop_map(|(topic, size, reason, rule)| EventKind::PublishRefused { topic, size, reason, rule }),
            (text(), reason(), any::<u32>()).prop_map(|(topic, reason, count)| EventKind::Dropped {
                topic,
                reason,
                count
            }),
            reason().prop_map(|reason| EventKind::SessionEnded { reason }),
            (".{0,20}", ".{0,20}").prop_map(|(action, target)| EventKind::Administered { action, target }),
            ".{0,20}".prop_map(|version| EventKind::Started { version }),
            Just(EventKind::Stopped),
            ".{0,20}".prop_map(|text| EventKind::Notice { text }),
            any::<u64>().prop_map(|count| EventKind::LeftOut { count }),
        ]
    }

    fn address() -> impl Strategy<Value = Option<Address>> {
        prop_oneof![
            Just(None),
            Just(Some(Address::Local)),
            any::<([u8; 4], u16)>().prop_map(|(ip, port)| Some(Address::Network(SocketAddr::from((ip, port))))),
            any::<([u8; 16], u16)>().prop_map(|(ip, port)| Some(Address::Network(SocketAddr::from((ip, port))))),
        ]
    }

    fn event() -> impl Strategy<Value = StoredEvent> {
        let who = (prop::option::of(text()), prop::option::of(text()), address())
            .prop_map(|(user, client_id, address)| Who { user, client_id, address });
        (any::<u64>(), who, kind()).prop_map(|(at, who, kind)| StoredEvent {
            at: UnixMillis::from_millis(at),
            event: AuditEvent { who, kind },
        })
    }

    proptest! {
        #[test]
        fn every_batch_is_read_as_it_was_written(events in prop::collection::vec(event(), 0..12)) {
            prop_assert_eq!(decode(&encode(&events)), Ok(events));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = decode(&[&[VERSION], bytes.as_slice()].concat());
        }

        #[test]
        fn an_altered_batch_makes_no_panic(
            events in prop::collection::vec(event(), 1..4), position: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = encode(&events);
            let position = position.index(bytes.len());
            bytes[position] = byte;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..position]);
        }
    }

    #[test]
    fn a_publish_takes_few_bytes_beside_its_strings() {
        let text = |text| Text::try_from(text).unwrap();
        let event = StoredEvent {
            at: UnixMillis::from_millis(1_700_000_000_000),
            event: AuditEvent {
                who: Who { user: Some(text("u")), client_id: Some(text("c")), address: Some(Address::Local) },
                kind: EventKind::Published {
                    topic: text("t"),
                    size: 64,
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    delivered: 1,
                    durability: None,
                },
            },
        };
        assert!(encode(&vec![event; 1000]).len() < 16 * 1000);
    }
}
