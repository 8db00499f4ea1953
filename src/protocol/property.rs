//! The properties of 5.0: their identifiers, names, and the two types that several packets share.

use super::text::Text;

/// Name and value pairs whose order is kept. [v5:MQTT-3.3.2-18]
pub type UserProperties = Vec<(Text, Text)>;

macro_rules! properties {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        /// The identifier of a property. Which packet may carry it is said where that packet is decoded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Property {
            $(#[doc = concat!(stringify!($value), ": ", $text, ".")] $name,)*
        }

        impl Property {
            /// Every property, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The property of an identifier, if the specification has one.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its identifier; all fit one byte of a variable byte integer.
            pub fn byte(self) -> u8 {
                match self {
                    $(Self::$name => $value,)*
                }
            }

            /// Its name in lower case, as shown in logs.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

properties! {
    PayloadFormatIndicator = 0x01, "payload format indicator";
    MessageExpiryInterval = 0x02, "message expiry interval";
    ContentType = 0x03, "content type";
    ResponseTopic = 0x08, "response topic";
    CorrelationData = 0x09, "correlation data";
    SubscriptionIdentifier = 0x0B, "subscription identifier";
    SessionExpiryInterval = 0x11, "session expiry interval";
    AssignedClientIdentifier = 0x12, "assigned client identifier";
    ServerKeepAlive = 0x13, "server keep alive";
    AuthenticationMethod = 0x15, "authentication method";
    AuthenticationData = 0x16, "authentication data";
    RequestProblemInformation = 0x17, "request problem information";
    WillDelayInterval = 0x18, "will delay interval";
    RequestResponseInformation = 0x19, "request response information";
    ResponseInformation = 0x1A, "response information";
    ServerReference = 0x1C, "server reference";
    ReasonString = 0x1F, "reason string";
    ReceiveMaximum = 0x21, "receive maximum";
    TopicAliasMaximum = 0x22, "topic alias maximum";
    TopicAlias = 0x23, "topic alias";
    MaximumQoS = 0x24, "maximum QoS";
    RetainAvailable = 0x25, "retain available";
    UserProperty = 0x26, "user property";
    MaximumPacketSize = 0x27, "maximum packet size";
    WildcardSubscriptionAvailable = 0x28, "wildcard subscription available";
    SubscriptionIdentifierAvailable = 0x29, "subscription identifiers available";
    SharedSubscriptionAvailable = 0x2A, "shared subscription available";
}

impl std::fmt::Display for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

/// A subscription identifier: 1 to 268,435,455.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u32);

impl SubscriptionId {
    /// An identifier, unless the number is zero or too large for a variable byte integer.
    pub fn new(number: u32) -> Option<Self> {
        (1..=268_435_455).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_27_properties_and_each_is_found_by_its_identifier() {
        assert_eq!(Property::ALL.len(), 27);
        for property in Property::ALL {
            assert_eq!(Property::from_number(property.byte().into()), Some(*property));
            assert!(property.byte() < 0x80);
        }
        assert_eq!(Property::from_number(0), None);
        assert_eq!(Property::from_number(0x123), None);
    }

    #[test]
    fn a_subscription_identifier_is_not_zero_and_fits_a_variable_byte_integer() {
        assert_eq!(SubscriptionId::new(0), None);
        assert_eq!(SubscriptionId::new(1).map(SubscriptionId::number), Some(1));
        assert_eq!(SubscriptionId::new(268_435_455).map(SubscriptionId::number), Some(268_435_455));
        assert_eq!(SubscriptionId::new(268_435_456), None);
    }
}
