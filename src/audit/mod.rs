//! What happened: recorded without slowing anybody, kept sealed, shown live, and written as lines that nobody can forge.

mod visible;
mod lines;
mod live;
mod journal;

pub use journal::{Journal, JournalHandle, JournalSettings};
pub use lines::{action_named, json, line, time};
pub use live::{LiveEvent, LiveEvents, LiveFeed};
pub use visible::{is_hidden, visible};
