//! From a topic to those who want its messages.

mod trie;
mod matches;
mod routes;
mod recent;
mod shared;
mod retained;

pub use matches::{Match, Matches};
pub use recent::Recent;
pub use retained::Retained;
pub use routes::{Route, Routes};
pub use shared::{Group, Member, MemberAt};
#[cfg(test)]
pub use trie::Leaf;
pub use trie::Trie;
