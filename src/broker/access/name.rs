//! The names of users, roles and classes.

use crate::protocol::{InvalidText, Text};
use std::fmt;

/// The name of a user: 1 to 128 bytes, without `/ + # %`, control characters and white space at its ends, so that it can
/// stand in a topic pattern without changing its meaning.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Text);

/// Why a string is no name of a user, role or class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not an MQTT string.
    #[error("the name {0}")]
    Text(#[from] InvalidText),
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`UserName::MAX_LEN`] bytes.
    #[error("the name is longer than {} bytes", UserName::MAX_LEN)]
    TooLong,
    /// A character with a meaning in topics, or a control character.
    #[error("the name holds {0:?}; '/', '+', '#', '%' and control characters are not allowed in names")]
    Character(char),
    /// White space at the beginning or end.
    #[error("the name begins or ends with white space")]
    Space,
    /// A class whose topics would be reserved ones.
    #[error("the name of a class does not begin with '$'")]
    Reserved,
}

impl UserName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// A name that is safe in topics, logs and terminals.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        name_is_plain(name)?;
        Ok(Self(Text::try_from(name)?))
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn name_is_plain(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > UserName::MAX_LEN {
        return Err(InvalidName::TooLong);
    }
    if name.trim() != name {
        return Err(InvalidName::Space);
    }
    match name.chars().find(|&c| matches!(c, '/' | '+' | '#' | '%') || c.is_control() || is_bidi_control(c)) {
        Some(character) => Err(InvalidName::Character(character)),
        None => Ok(()),
    }
}

/// Characters that reorder what a terminal shows.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

/// The name of a role. `Admin`, `Teacher` and `Student` are built in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Text);

impl RoleName {
    /// The roles that every store has from the start, with what they are for.
    pub const BUILT_IN: [&'static str; 3] = ["Admin", "Teacher", "Student"];

    /// A name under the same rules as a user's.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        name_is_plain(name)?;
        Ok(Self(Text::try_from(name)?))
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The name of a class: under the same rules as a user's, and without `$` in front, so that it can be any level of a
/// topic, the first included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassName(Text);

impl ClassName {
    /// A name that is safe in topics, logs and terminals.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        name_is_plain(name)?;
        if name.starts_with('$') {
            return Err(InvalidName::Reserved);
        }
        Ok(Self(Text::try_from(name)?))
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_nothing_that_means_something_in_a_topic_or_on_a_terminal() {
        for name in ["ann", "Ann Lee", "ann@school.example", "CN=ann, O=x", "лена", &"x".repeat(UserName::MAX_LEN)]
        {
            assert_eq!(UserName::new(name).unwrap().as_str(), name);
        }
        for character in ['/', '+', '#', '%', '\n', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}'] {
            assert_eq!(UserName::new(&format!("a{character}b")), Err(InvalidName::Character(character)));
            assert_eq!(RoleName::new(&format!("a{character}b")), Err(InvalidName::Character(character)));
            assert_eq!(ClassName::new(&format!("a{character}b")), Err(InvalidName::Character(character)));
        }
        assert_eq!(UserName::new(""), Err(InvalidName::Empty));
        assert_eq!(UserName::new(" ann"), Err(InvalidName::Space));
        assert_eq!(UserName::new("ann\u{a0}"), Err(InvalidName::Space));
        assert_eq!(UserName::new(&"x".repeat(UserName::MAX_LEN + 1)), Err(InvalidName::TooLong));
        assert!(UserName::new("a\0b").is_err());
        assert_eq!(ClassName::new("$SYS"), Err(InvalidName::Reserved));
        assert_eq!(ClassName::new("7b").unwrap().as_str(), "7b");
    }

    #[test]
    fn names_are_compared_byte_by_byte() {
        let name = |text| UserName::new(text).unwrap();
        assert_ne!(name("Ann"), name("ann"));
        assert_ne!(name("caf\u{e9}"), name("cafe\u{301}"));
    }
}
