//! Listeners, connections and workers: everything that touches the network. The only clock is here.
//!
//! A socket is accepted by whichever worker is idle. Its [`front`](self) does the handshakes, reads CONNECT and asks who
//! it is; then the connection moves to the worker that owns its session and lives there as one task. What the tasks of a
//! worker share is its world; what leaves a worker goes by mail.

pub mod transport;
mod error;
mod clock;
mod metrics;
mod history;
mod past;
mod admitted;
mod mailbox;
mod outbox;
mod post;
mod changes;
mod alarm;
mod world;
mod connection;
mod guest;
mod serve;
mod front;
mod listener;
mod worker;
mod handle;
mod watch;
mod lock;
mod heartbeat;
mod run;

pub use clock::Clock;
pub use error::ServerError;
pub use handle::{GuestClient, Handle, Report, Unanswered};
pub use history::{Chart, Step};
pub use lock::FolderLock;
pub use run::{Broker, OpenListener, WebTls, auth_settings, certificate_problems};
