//! What a client sends.

use super::property::{Property, put_binary, put_properties, put_text, put_varint};
use securemq::protocol::ProtocolVersion;

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
