//! What a fuzzer feeds with bytes. The same functions run over the committed corpus as an ordinary test, so that no
//! finding comes back unnoticed.

use bytes::{Bytes, BytesMut};
use securemq::protocol::{
    Packet, ProtocolVersion, SharedFilter, Text, TopicFilter, TopicName, decode, frame_len, guess_protocol,
    version_to_answer_in,
};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];

/// A connection that sends these bytes: first in no version, then in each.
pub fn codec(data: &[u8]) {
    let _ = guess_protocol(data);
    let _ = version_to_answer_in(data);
    connection(data, None);
    for version in VERSIONS {
        connection(data, Some(version));
    }
}

/// Reads packets until one is incomplete or wrong. Each must be as long as its header said, and mean the same when it
/// is written and read again.
fn connection(data: &[u8], version: Option<ProtocolVersion>) {
    let mut source = Bytes::copy_from_slice(data);
    loop {
        let before = source.clone();
        match decode(&mut source, version, u32::MAX) {
            Ok(Some(packet)) => {
                let taken = before.len() - source.len();
                assert_eq!(frame_len(&before, u32::MAX), Ok(Some(taken)));
                written_and_read(&packet, version);
            }
            Ok(None) | Err(_) => {
                assert_eq!(source, before, "nothing is taken that is not understood");
                return;
            }
        }
    }
}

fn written_and_read(packet: &Packet, version: Option<ProtocolVersion>) {
    let write_as = version.unwrap_or(ProtocolVersion::V5);
    let mut out = BytesMut::new();
    assert_eq!(packet.encode(write_as, u32::MAX, &mut out), Ok(()), "what was read can be written");
    if let Packet::Publish(publish) = packet {
        assert_eq!(publish.view().encoded_len(write_as), out.len());
    }
    assert_eq!(decode(&mut out.freeze(), version, u32::MAX).as_ref(), Ok(&Some(packet.clone())));
}

/// Lines of text: each as name and as filter, and every filter against every other line.
pub fn topic(data: &[u8]) {
    /// Enough for every pair to be tried.
    const LINES: usize = 8;
    let texts: Vec<Text> = data
        .split(|&byte| byte == b'\n')
        .take(LINES)
        .flat_map(|line| Text::new(Bytes::copy_from_slice(line)))
        .collect();
    for text in &texts {
        let name = TopicName::new(text.clone());
        let filter = TopicFilter::new(text.clone());
        assert_eq!(name.is_ok(), filter.as_ref().is_ok_and(|filter| !filter.has_wildcard()));
        if let Ok(shared) = SharedFilter::new(text) {
            assert_eq!(shared.to_string(), text.as_str());
        }
        if let Ok(filter) = filter {
            relations(&filter, &texts);
        }
    }
}

fn relations(filter: &TopicFilter, texts: &[Text]) {
    assert!(filter.covers(filter) && filter.intersects(filter));
    for other in texts.iter().flat_map(|text| TopicFilter::new(text.clone())) {
        assert_eq!(filter.intersects(&other), other.intersects(filter));
        assert!(filter.intersects(&other) || !filter.covers(&other));
        for name in texts.iter().flat_map(|text| TopicName::new(text.clone())) {
            let (ours, theirs) = (filter.matches(&name), other.matches(&name));
            assert!(ours || !(theirs && filter.covers(&other)), "{filter} covers {other} but not {name}");
            assert!(!(ours && theirs) || filter.intersects(&other), "{filter} and {other} both match {name}");
        }
    }
}
