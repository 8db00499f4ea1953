//! The state of a client that outlives its connections.

mod aliases;
mod will;
mod inbound;
mod waiting;
mod outbound;
mod drops;
mod state;

pub use aliases::{InboundAliases, OutboundAliases};
pub use drops::{Drops, Unsaid};
pub use inbound::{HeldAck, Inbound, Settled};
pub use outbound::{Outbound, Queued, Sent, Stage};
pub use state::{Live, Session, Subscription};
pub use waiting::Waiting;
pub use will::Will;
