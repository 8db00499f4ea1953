//! The name by which a session is found again.

use super::text::Text;
use std::fmt;

/// A client identifier, never empty: the server has assigned one where the client sent none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Text);

/// The empty string is not the identifier of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client identifier is not empty")]
pub struct InvalidClientId;

impl ClientId {
    /// Takes a string that is not empty.
    pub fn new(text: Text) -> Result<Self, InvalidClientId> {
        if text.is_empty() { Err(InvalidClientId) } else { Ok(Self(text)) }
    }

    /// The identifier as text.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// The identifier as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A copy that keeps no read buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(self.0.compact())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_string_is_no_identifier() {
        assert_eq!(ClientId::new(Text::default()), Err(InvalidClientId));
        assert_eq!(ClientId::new(Text::try_from("c").unwrap()).unwrap().to_string(), "c");
    }
}
