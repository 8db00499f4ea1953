//! Why the broker refused, dropped or ended something: one list for decisions, logs, metrics and people.

use crate::protocol::{ReasonCode, Violation};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:ident, $text:literal;)*) => {
        /// Why something was refused, dropped or ended. The numbers are stored and never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason, in ascending order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The reason with this number.
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its number.
            pub fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// What 5.0 tells the peer.
            pub fn code(self) -> ReasonCode {
                match self {
                    $(Self::$name => ReasonCode::$code,)*
                }
            }

            /// The reason in words: lower case, no full stop.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// The client said DISCONNECT.
    ClientDisconnected = 1, Success, "the client disconnected";
    /// The client said DISCONNECT and asked for its will.
    ClientDisconnectedWithWill = 2, DisconnectWithWill, "the client disconnected and asked for its will";
    /// The network connection ended without DISCONNECT.
    ConnectionLost = 3, UnspecifiedError, "the connection was lost";
    /// Nothing came for 1.5 times the keep alive.
    KeepAliveTimeout = 4, KeepAliveTimeout, "nothing came for one and a half times the keep alive";
    /// The same client connected again.
    TakenOver = 5, SessionTakenOver, "the same client connected again";
    /// The broker is stopping.
    ShuttingDown = 6, ServerShuttingDown, "the broker is stopping";
    /// No CONNECT in time.
    ConnectTimeout = 7, MaximumConnectTime, "no CONNECT arrived in time";
    /// The TLS handshake failed.
    TlsFailed = 8, UnspecifiedError, "the TLS handshake failed";
    /// The peer speaks something else than MQTT.
    ForeignProtocol = 9, ProtocolError, "the peer speaks another protocol";
    /// Bytes that are no packet.
    Malformed = 10, MalformedPacket, "malformed packet";
    /// A packet that may not come now.
    ProtocolError = 11, ProtocolError, "protocol error";
    /// Larger than allowed.
    PacketTooLarge = 12, PacketTooLarge, "packet too large";
    /// A protocol version that is not spoken.
    UnsupportedVersion = 13, UnsupportedProtocolVersion, "unsupported protocol version";
    /// An empty client id where it is not allowed.
    ClientIdInvalid = 14, ClientIdentifierNotValid, "client identifier not valid";
    /// More unacknowledged messages than allowed.
    ReceiveMaximumExceeded = 15, ReceiveMaximumExceeded, "receive maximum exceeded";
    /// A topic alias out of range or unknown.
    TopicAliasInvalid = 16, TopicAliasInvalid, "topic alias invalid";
    /// Not a topic name.
    TopicNameInvalid = 17, TopicNameInvalid, "topic name invalid";
    /// Not a topic filter.
    TopicFilterInvalid = 18, TopicFilterInvalid, "topic filter invalid";
    /// Extended authentication with a method that is not spoken.
    BadAuthenticationMethod = 19, BadAuthenticationMethod, "authentication method not supported";
    /// Unknown user or wrong password: never said which.
    BadUserNameOrPassword = 20, BadUserNameOrPassword, "bad user name or password";
    /// No credentials, and anonymous access is off.
    AnonymousRefused = 21, NotAuthorized, "no credentials, and anonymous access is off";
    /// The account is disabled.
    UserDisabled = 22, NotAuthorized, "the user is disabled";
    /// The account no longer exists.
    UserRemoved = 23, AdministrativeAction, "the user was removed";
    /// The certificate names no user.
    CertificateUnknown = 24, NotAuthorized, "the certificate names no user of this broker";
    /// The listener demands a client certificate.
    CertificateMissing = 25, NotAuthorized, "the listener demands a client certificate";
    /// The user name of CONNECT is not the certificate's.
    CertificateUserMismatch = 26, NotAuthorized, "the user name is not the certificate's";
    /// Too many failed logins lately.
    LoginThrottled = 27, QuotaExceeded, "too many failed logins, wait a while";
    /// Too many logins waiting to be checked.
    LoginBusy = 28, ServerBusy, "too many logins at once, try again";
    /// No rule allows it.
    NotAllowed = 30, NotAuthorized, "no rule allows it";
    /// A rule denies it.
    Denied = 31, NotAuthorized, "a rule denies it";
    /// `$SYS` and other reserved topics are not published to by clients.
    ReservedTopic = 32, NotAuthorized, "topics that begin with $ are written by the broker alone";
    /// The will may not be published.
    WillNotAllowed = 33, NotAuthorized, "no rule allows the will's topic";
    /// An administrator ended it.
    Administrative = 34, AdministrativeAction, "an administrator ended it";
    /// The role, rules or password of the user changed.
    RightsChanged = 35, NotAuthorized, "the rights changed";
    /// A class of the user is paused.
    ClassPaused = 36, NotAuthorized, "the class is paused";
    /// The session's queue is full.
    QueueFull = 40, QuotaExceeded, "the session's queue is full";
    /// The peer reads more slowly than messages of QoS 0 come.
    SlowReceiver = 41, QuotaExceeded, "the receiver reads too slowly";
    /// The message expired.
    Expired = 42, Success, "the message expired";
    /// Larger than the receiver takes.
    TooLargeForReceiver = 43, PacketTooLarge, "larger than the receiver takes";
    /// The session ended with its expiry.
    SessionExpired = 44, Success, "the session expired";
    /// Too many subscriptions in one session.
    TooManySubscriptions = 45, QuotaExceeded, "too many subscriptions";
    /// Too many connections.
    TooManyConnections = 46, QuotaExceeded, "too many connections";
    /// Too many sessions.
    TooManySessions = 47, QuotaExceeded, "too many sessions";
    /// Too many retained messages.
    TooManyRetained = 48, QuotaExceeded, "too many retained messages";
    /// The session was ended by a clean start.
    CleanStart = 49, Success, "the client started clean";
    /// The store could not take it.
    StoreFailed = 50, QuotaExceeded, "the store could not take it";
    /// More user properties than allowed.
    TooManyUserProperties = 52, QuotaExceeded, "too many user properties";
    /// The queues of all sessions together are full.
    BrokerFull = 53, QuotaExceeded, "the queues of the broker are full";
    /// What left the memory cannot be read back.
    Unreadable = 54, UnspecifiedError, "the store cannot read it back";
    /// An invariant of the broker does not hold; one connection ends for it.
    Internal = 51, ImplementationSpecificError, "the broker found a fault in itself";
}

impl Reason {
    /// The reason that stands for a violation of the protocol.
    pub fn of(violation: &Violation) -> Self {
        match violation.reason() {
            ReasonCode::PacketTooLarge => Self::PacketTooLarge,
            ReasonCode::UnsupportedProtocolVersion => Self::UnsupportedVersion,
            ReasonCode::ClientIdentifierNotValid => Self::ClientIdInvalid,
            ReasonCode::ReceiveMaximumExceeded => Self::ReceiveMaximumExceeded,
            ReasonCode::TopicAliasInvalid => Self::TopicAliasInvalid,
            ReasonCode::TopicNameInvalid => Self::TopicNameInvalid,
            ReasonCode::TopicFilterInvalid => Self::TopicFilterInvalid,
            ReasonCode::BadAuthenticationMethod => Self::BadAuthenticationMethod,
            ReasonCode::MalformedPacket => Self::Malformed,
            _ => Self::ProtocolError,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}
