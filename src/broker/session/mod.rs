//! The state of a client that outlives its connections.

mod aliases;
mod will;
mod inbound;
mod outbound;
mod state;

pub use aliases::{InboundAliases, OutboundAliases};
pub use inbound::{HeldAck, Inbound, Settled};
pub use outbound::{Outbound, Queued, Sent, Stage};
pub use state::{Live, Session, Subscription};
pub use will::Will;
