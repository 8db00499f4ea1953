//! MQTT bytes, written and read for the tests alone, straight from the specifications.
//!
//! Not the broker's codec on purpose: a mistake there can't hide behind the same mistake here. Reading is strict,
//! so that every packet that any test receives is also a test of its form.

use securemq::protocol::ProtocolVersion;

/// Declares the properties of 5.0: identifier, name and type of value.
macro_rules! properties {
    ($($id:literal $name:ident($($kind:ident),+);)*) => {
        /// A property of 5.0 with its value.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Property {
            $($name($(properties!(@type $kind)),+),)*
        }

        impl Property {
            fn encode(&self, bytes: &mut Vec<u8>) {
                match self {
                    $(properties!(@bind $name one two $($kind)+) => {
                        bytes.push($id);
                        properties!(@put bytes one two $($kind)+);
                    })*
                }
            }

            fn decode(reader: &mut Reader<'_>) -> Self {
                match reader.byte() {
                    $($id => Self::$name($(reader.$kind()),+),)*
                    other => panic!("property {other:#04x} does not exist"),
                }
            }
        }
    };
    (@type byte) => { u8 };
    (@type two) => { u16 };
    (@type four) => { u32 };
    (@type varint) => { u32 };
    (@type text) => { String };
    (@type binary) => { Vec<u8> };
    (@bind $name:ident $one:ident $two:ident text text) => { Self::$name($one, $two) };
    (@bind $name:ident $one:ident $two:ident $kind:ident) => { Self::$name($one) };
    (@put $bytes:ident $one:ident $two:ident text text) => { put_text($bytes, $one); put_text($bytes, $two) };
    (@put $bytes:ident $one:ident $two:ident byte) => { $bytes.push(*$one) };
    (@put $bytes:ident $one:ident $two:ident two) => { $bytes.extend($one.to_be_bytes()) };
    (@put $bytes:ident $one:ident $two:ident four) => { $bytes.extend($one.to_be_bytes()) };
    (@put $bytes:ident $one:ident $two:ident varint) => { put_varint($bytes, *$one) };
    (@put $bytes:ident $one:ident $two:ident text) => { put_text($bytes, $one) };
    (@put $bytes:ident $one:ident $two:ident binary) => { put_binary($bytes, $one) };
}

properties! {
    0x01 PayloadFormat(byte);
    0x02 MessageExpiry(four);
    0x03 ContentType(text);
    0x08 ResponseTopic(text);
    0x09 CorrelationData(binary);
    0x0B SubscriptionId(varint);
    0x11 SessionExpiry(four);
    0x12 AssignedClientId(text);
    0x13 ServerKeepAlive(two);
    0x15 AuthenticationMethod(text);
    0x16 AuthenticationData(binary);
    0x17 RequestProblemInformation(byte);
    0x18 WillDelay(four);
    0x19 RequestResponseInformation(byte);
    0x1A ResponseInformation(text);
    0x1C ServerReference(text);
    0x1F ReasonString(text);
    0x21 ReceiveMaximum(two);
    0x22 TopicAliasMaximum(two);
    0x23 TopicAlias(two);
    0x24 MaximumQoS(byte);
    0x25 RetainAvailable(byte);
    0x26 User(text, text);
    0x27 MaximumPacketSize(four);
    0x28 WildcardAvailable(byte);
    0x29 SubscriptionIdsAvailable(byte);
    0x2A SharedAvailable(byte);
}

/// A CONNECT packet to be sent.
#[derive(Debug, Clone)]
pub struct Connect {
    pub version: ProtocolVersion,
    pub client_id: String,
    /// Clean Start, or Clean Session before 5.0.
    pub clean: bool,
    pub keep_alive: u16,
    pub will: Option<Will>,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    pub properties: Vec<Property>,
}

impl Connect {
    /// A clean session without keep alive.
    pub fn new(version: ProtocolVersion, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean: true,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
            properties: Vec::new(),
        }
    }

    pub fn v5(client_id: &str) -> Self {
        Self::new(ProtocolVersion::V5, client_id)
    }

    pub fn v311(client_id: &str) -> Self {
        Self::new(ProtocolVersion::V3_1_1, client_id)
    }

    pub fn v31(client_id: &str) -> Self {
        Self::new(ProtocolVersion::V3_1, client_id)
    }

    /// Goes on with a session if there is one, and leaves one behind that lasts.
    pub fn lasting(mut self) -> Self {
        self.clean = false;
        match self.version {
            ProtocolVersion::V5 => self.with(Property::SessionExpiry(3600)),
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => self,
        }
    }

    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.user = Some(user.into());
        self.password = Some(password.into());
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_text(&mut body, self.version.protocol_name());
        body.push(self.version.level());
        let will = self.will.as_ref().map_or(0, |will| 4 | will.qos << 3 | u8::from(will.retain) << 5);
        let user = u8::from(self.user.is_some()) << 7;
        let password = u8::from(self.password.is_some()) << 6;
        body.push(u8::from(self.clean) << 1 | will | user | password);
        body.extend(self.keep_alive.to_be_bytes());
        put_properties(&mut body, self.version, &self.properties);
        put_text(&mut body, &self.client_id);
        if let Some(will) = &self.will {
            put_properties(&mut body, self.version, &will.properties);
            put_text(&mut body, &will.topic);
            put_binary(&mut body, &will.payload);
        }
        if let Some(user) = &self.user {
            put_text(&mut body, user);
        }
        if let Some(password) = &self.password {
            put_binary(&mut body, password);
        }
        packet(0x10, &body)
    }
}

/// What CONNECT asks to be published when the client vanishes.
#[derive(Debug, Clone)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub properties: Vec<Property>,
}

impl Will {
    pub fn new(topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), qos: 0, retain: false, properties: Vec::new() }
    }

    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }
}

/// A PUBLISH packet, sent or received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub topic: String,
    /// Zero means: chosen when it is sent. Absent on the wire for QoS 0.
    pub packet_id: u16,
    pub properties: Vec<Property>,
    pub payload: Vec<u8>,
}

impl Publish {
    pub fn new(topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            dup: false,
            qos: 0,
            retain: false,
            topic: topic.into(),
            packet_id: 0,
            properties: Vec::new(),
            payload: payload.into(),
        }
    }

    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    pub fn id(mut self, packet_id: u16) -> Self {
        self.packet_id = packet_id;
        self
    }

    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    /// The payload, which a test made of text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    pub fn encode(&self, version: ProtocolVersion) -> Vec<u8> {
        let mut body = Vec::new();
        put_text(&mut body, &self.topic);
        if self.qos > 0 {
            body.extend(self.packet_id.to_be_bytes());
        }
        put_properties(&mut body, version, &self.properties);
        body.extend(&self.payload);
        packet(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain), &body)
    }
}

/// One request of a SUBSCRIBE packet: the filter and the byte of options.
#[derive(Debug, Clone)]
pub struct Request {
    pub filter: String,
    pub options: u8,
}

impl Request {
    pub fn new(filter: &str, qos: u8) -> Self {
        Self { filter: filter.into(), options: qos }
    }

    pub fn no_local(mut self) -> Self {
        self.options |= 0b100;
        self
    }

    pub fn retain_as_published(mut self) -> Self {
        self.options |= 0b1000;
        self
    }

    pub fn retain_handling(mut self, handling: u8) -> Self {
        self.options |= handling << 4;
        self
    }
}

/// The bytes of a SUBSCRIBE packet.
pub fn subscribe(version: ProtocolVersion, packet_id: u16, requests: &[Request], properties: &[Property]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    put_properties(&mut body, version, properties);
    for request in requests {
        put_text(&mut body, &request.filter);
        body.push(request.options);
    }
    packet(0x82, &body)
}

/// The bytes of an UNSUBSCRIBE packet.
pub fn unsubscribe(version: ProtocolVersion, packet_id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    put_properties(&mut body, version, &[]);
    for filter in filters {
        put_text(&mut body, filter);
    }
    packet(0xA2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP by its first byte, in the short form that every version knows.
pub fn acknowledgement(first_byte: u8, packet_id: u16) -> Vec<u8> {
    packet(first_byte, &packet_id.to_be_bytes())
}

/// The same with a reason code and properties. [v5:MQTT-3.4.2-1]
pub fn acknowledgement_with(first_byte: u8, packet_id: u16, code: u8, properties: &[Property]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    body.push(code);
    put_properties(&mut body, ProtocolVersion::V5, properties);
    packet(first_byte, &body)
}

/// A DISCONNECT or AUTH packet of 5.0 with its code and properties.
pub fn farewell(first_byte: u8, code: u8, properties: &[Property]) -> Vec<u8> {
    let mut body = vec![code];
    put_properties(&mut body, ProtocolVersion::V5, properties);
    packet(first_byte, &body)
}

pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const DISCONNECT: u8 = 0xE0;
pub const AUTH: u8 = 0xF0;
/// A whole PINGREQ packet.
pub const PINGREQ: [u8; 2] = [0xC0, 0];

/// A packet of any kind: first byte, remaining length, body.
pub fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    put_varint(&mut bytes, body.len().try_into().unwrap());
    bytes.extend(body);
    bytes
}

pub fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_binary(bytes, text.as_bytes());
}

pub fn put_binary(bytes: &mut Vec<u8>, binary: &[u8]) {
    bytes.extend(u16::try_from(binary.len()).unwrap().to_be_bytes());
    bytes.extend(binary);
}

pub fn put_varint(bytes: &mut Vec<u8>, mut number: u32) {
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        bytes.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return;
        }
    }
}

fn put_properties(bytes: &mut Vec<u8>, version: ProtocolVersion, properties: &[Property]) {
    if !version.has_properties() {
        assert!(properties.is_empty(), "only 5.0 has properties");
        return;
    }
    let mut encoded = Vec::new();
    for property in properties {
        property.encode(&mut encoded);
    }
    put_varint(bytes, encoded.len().try_into().unwrap());
    bytes.extend(encoded);
}

/// A packet from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    SubAck(Codes),
    UnsubAck(Codes),
    PingResp,
    Disconnect(Farewell),
    Auth(Farewell),
}

/// CONNACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    pub session_present: bool,
    /// Reason code, or return code before 5.0.
    pub code: u8,
    pub properties: Vec<Property>,
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub packet_id: u16,
    pub code: u8,
    pub properties: Vec<Property>,
}

/// SUBACK, UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    pub packet_id: u16,
    pub properties: Vec<Property>,
    pub codes: Vec<u8>,
}

/// DISCONNECT, AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    pub code: u8,
    pub properties: Vec<Property>,
}

impl Packet {
    /// The first packet of the bytes and its length, if it is there as a whole.
    pub fn decode(version: ProtocolVersion, bytes: &[u8]) -> Option<(Self, usize)> {
        let (&first_byte, rest) = bytes.split_first()?;
        let mut length = 0;
        let mut digits = 0;
        loop {
            assert!(digits < 4, "remaining length takes more than four bytes: {bytes:02x?}");
            let digit = usize::from(*rest.get(digits)?);
            length |= (digit & 0x7F) << (7 * digits);
            digits += 1;
            if digit < 0x80 {
                break;
            }
        }
        let body = rest.get(digits..digits + length)?;
        let mut reader = Reader { bytes: body, version };
        let packet = Self::body(first_byte, &mut reader);
        assert!(reader.bytes.is_empty(), "bytes are left over in {packet:?}: {:02x?}", reader.bytes);
        for property in packet.properties() {
            assert!(packet.may_carry(property), "{property:?} is not of this packet: {packet:?}");
        }
        Some((packet, 1 + digits + length))
    }

    fn properties(&self) -> &[Property] {
        match self {
            Self::ConnAck(ConnAck { properties, .. })
            | Self::Publish(Publish { properties, .. })
            | Self::PubAck(Ack { properties, .. })
            | Self::PubRec(Ack { properties, .. })
            | Self::PubRel(Ack { properties, .. })
            | Self::PubComp(Ack { properties, .. })
            | Self::SubAck(Codes { properties, .. })
            | Self::UnsubAck(Codes { properties, .. })
            | Self::Disconnect(Farewell { properties, .. })
            | Self::Auth(Farewell { properties, .. }) => properties,
            Self::PingResp => &[],
        }
    }

    /// Table 2-4 of 5.0 as far as a broker sends: [v5:MQTT-3.14.2-2] and its like.
    fn may_carry(&self, property: &Property) -> bool {
        use Property as P;
        match property {
            P::User(..) => true,
            P::ReasonString(_) => !matches!(self, Self::Publish(_)),
            P::PayloadFormat(_)
            | P::MessageExpiry(_)
            | P::ContentType(_)
            | P::ResponseTopic(_)
            | P::CorrelationData(_)
            | P::SubscriptionId(_)
            | P::TopicAlias(_) => matches!(self, Self::Publish(_)),
            P::ServerReference(_) => matches!(self, Self::ConnAck(_) | Self::Disconnect(_)),
            P::AuthenticationMethod(_) | P::AuthenticationData(_) => matches!(self, Self::ConnAck(_) | Self::Auth(_)),
            P::SessionExpiry(_)
            | P::AssignedClientId(_)
            | P::ServerKeepAlive(_)
            | P::ResponseInformation(_)
            | P::ReceiveMaximum(_)
            | P::TopicAliasMaximum(_)
            | P::MaximumQoS(_)
            | P::RetainAvailable(_)
            | P::MaximumPacketSize(_)
            | P::WildcardAvailable(_)
            | P::SubscriptionIdsAvailable(_)
            | P::SharedAvailable(_) => matches!(self, Self::ConnAck(_)),
            P::RequestProblemInformation(_) | P::WillDelay(_) | P::RequestResponseInformation(_) => false,
        }
    }

    fn body(first_byte: u8, reader: &mut Reader<'_>) -> Self {
        let v5 = reader.version.has_properties();
        match first_byte {
            0x20 => {
                let flags = reader.byte();
                assert!(flags <= 1, "CONNACK flags {flags:#04x} [v5:MQTT-3.2.2-1]");
                let code = reader.byte();
                let properties = reader.properties();
                assert!(code == 0 || flags == 0, "session present in a refusal [v5:MQTT-3.2.2-6]");
                Self::ConnAck(ConnAck { session_present: flags == 1, code, properties })
            }
            0x30..=0x3F => Self::Publish(reader.publish(first_byte)),
            PUBACK => Self::PubAck(reader.ack()),
            PUBREC => Self::PubRec(reader.ack()),
            PUBREL => Self::PubRel(reader.ack()),
            PUBCOMP => Self::PubComp(reader.ack()),
            0x90 => Self::SubAck(reader.codes()),
            0xB0 if v5 => Self::UnsubAck(reader.codes()),
            0xB0 => {
                let packet_id = reader.two();
                Self::UnsubAck(Codes { packet_id, properties: Vec::new(), codes: Vec::new() })
            }
            0xD0 => Self::PingResp,
            DISCONNECT if v5 => Self::Disconnect(reader.farewell()),
            AUTH if v5 => Self::Auth(reader.farewell()),
            other => panic!("the broker sent a packet that begins with {other:#04x}"),
        }
    }
}

/// Takes values off the front of a packet's body.
pub struct Reader<'a> {
    bytes: &'a [u8],
    version: ProtocolVersion,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        assert!(self.bytes.len() >= count, "the packet ends in the middle of a value: {:02x?}", self.bytes);
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn four(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn varint(&mut self) -> u32 {
        let mut number = 0;
        for shift in [0, 7, 14, 21] {
            let digit = self.byte();
            number |= u32::from(digit & 0x7F) << shift;
            if digit < 0x80 {
                assert!(shift == 0 || digit != 0, "a variable byte integer longer than needed [v5:MQTT-1.5.5-1]");
                return number;
            }
        }
        panic!("a variable byte integer of more than four bytes");
    }

    fn text(&mut self) -> String {
        let text = String::from_utf8(self.binary()).expect("text is UTF-8 [v5:MQTT-1.5.4-1]");
        assert!(!text.contains('\0'), "text holds NUL [v5:MQTT-1.5.4-2]");
        text
    }

    fn binary(&mut self) -> Vec<u8> {
        let length = self.two().into();
        self.take(length).to_vec()
    }

    fn properties(&mut self) -> Vec<Property> {
        if !self.version.has_properties() {
            return Vec::new();
        }
        let length = self.varint() as usize;
        let version = self.version;
        let mut inner = Reader { bytes: self.take(length), version };
        let mut properties = Vec::<Property>::new();
        while !inner.bytes.is_empty() {
            let property = Property::decode(&mut inner);
            let may_repeat = matches!(property, Property::User(..) | Property::SubscriptionId(_));
            let repeats =
                properties.iter().any(|known| std::mem::discriminant(known) == std::mem::discriminant(&property));
            assert!(may_repeat || !repeats, "{property:?} comes twice");
            properties.push(property);
        }
        properties
    }

    fn publish(&mut self, first_byte: u8) -> Publish {
        let qos = first_byte >> 1 & 3;
        assert!(qos < 3, "PUBLISH with QoS 3 [v5:MQTT-3.3.1-4]");
        let dup = first_byte & 8 != 0;
        assert!(qos > 0 || !dup, "PUBLISH with QoS 0 and DUP [v5:MQTT-3.3.1-2]");
        let topic = self.text();
        assert!(!topic.contains(['+', '#']), "PUBLISH to a topic with wildcards [v5:MQTT-3.3.2-2]");
        let packet_id = if qos > 0 { self.two() } else { 0 };
        assert!(qos == 0 || packet_id > 0, "packet identifier zero [v5:MQTT-2.2.1-4]");
        let properties = self.properties();
        let payload = std::mem::take(&mut self.bytes).to_vec();
        Publish { dup, qos, retain: first_byte & 1 != 0, topic, packet_id, properties, payload }
    }

    fn ack(&mut self) -> Ack {
        let packet_id = self.two();
        let (code, properties) = self.code_and_properties();
        Ack { packet_id, code, properties }
    }

    fn farewell(&mut self) -> Farewell {
        let (code, properties) = self.code_and_properties();
        Farewell { code, properties }
    }

    /// Both may be left out at the end of a packet of 5.0.
    fn code_and_properties(&mut self) -> (u8, Vec<Property>) {
        if !self.version.has_properties() || self.bytes.is_empty() {
            return (0, Vec::new());
        }
        let code = self.byte();
        let properties = if self.bytes.is_empty() { Vec::new() } else { self.properties() };
        (code, properties)
    }

    fn codes(&mut self) -> Codes {
        let packet_id = self.two();
        let properties = self.properties();
        Codes { packet_id, properties, codes: std::mem::take(&mut self.bytes).to_vec() }
    }
}

/// The value of the only property of its kind: `property!(list, Property::ReceiveMaximum)`.
macro_rules! property {
    ($properties:expr, $kind:path) => {
        $properties.iter().find_map(|property| match property {
            $kind(value) => Some(value.clone()),
            _ => None,
        })
    };
}

/// The user properties in their order.
pub fn user_properties(properties: &[Property]) -> Vec<(&str, &str)> {
    fn pair(property: &Property) -> Option<(&str, &str)> {
        match property {
            Property::User(name, value) => Some((name, value)),
            _ => None,
        }
    }
    properties.iter().filter_map(pair).collect()
}
