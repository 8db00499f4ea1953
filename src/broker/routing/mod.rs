//! From a topic to those who want its messages.

mod trie;
mod matches;
mod routes;
mod shared;
mod retained;

pub use matches::{Match, Matches};
pub use retained::Retained;
pub use routes::{Route, Routes};
pub use shared::{Group, Member, MemberAt};
pub use trie::Trie;
