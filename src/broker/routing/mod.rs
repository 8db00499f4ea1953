//! From a topic to those who want its messages.

mod trie;
mod shared;
mod retained;

pub use retained::Retained;
pub use shared::{Group, Member, MemberAt};
pub use trie::Trie;
