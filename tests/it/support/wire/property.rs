//! The properties of 5.0, and the values that they and all packets are made of.

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

pub(super) fn put_properties(bytes: &mut Vec<u8>, version: ProtocolVersion, properties: &[Property]) {
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

/// Takes values off the front of a packet's body.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) version: ProtocolVersion,
}

impl Reader<'_> {
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        assert!(self.bytes.len() >= count, "the packet ends in the middle of a value: {:02x?}", self.bytes);
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub(super) fn two(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    pub(super) fn four(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    pub(super) fn varint(&mut self) -> u32 {
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

    pub(super) fn text(&mut self) -> String {
        let text = String::from_utf8(self.binary()).expect("text is UTF-8 [v5:MQTT-1.5.4-1]");
        assert!(!text.contains('\0'), "text holds NUL [v5:MQTT-1.5.4-2]");
        text
    }

    pub(super) fn binary(&mut self) -> Vec<u8> {
        let length = self.two().into();
        self.take(length).to_vec()
    }

    pub(super) fn properties(&mut self) -> Vec<Property> {
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
