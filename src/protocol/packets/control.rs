//! DISCONNECT and AUTH; PINGREQ and PINGRESP carry nothing.

use super::publish::UserProperties;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use bytes::Bytes;

/// A DISCONNECT packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; always normal before 5.0.
    pub reason: ReasonCode,
    /// The properties of 5.0.
    pub properties: DisconnectProperties,
}

/// The properties of DISCONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisconnectProperties {
    /// 0x11: a new expiry of the session; only a client sends it. [v5:MQTT-3.14.2-2]
    pub session_expiry_interval: Option<u32>,
    /// 0x1F.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x1C: another server to use.
    pub server_reference: Option<Text>,
}

/// An AUTH packet of 5.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or re-authenticate. [v5:MQTT-3.15.2-1]
    pub reason: ReasonCode,
    /// The properties.
    pub properties: AuthProperties,
}

/// The properties of AUTH.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthProperties {
    /// 0x15.
    pub authentication_method: Option<Text>,
    /// 0x16.
    pub authentication_data: Option<Bytes>,
    /// 0x1F.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
}
