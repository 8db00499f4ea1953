//! Topic names, topic filters, and which name a filter matches.

use super::text::{InvalidText, Text};
use std::fmt;

/// What a message is published to: not empty, without wildcards.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Text);

/// What is subscribed with: not empty, `+` and `#` only as whole levels, `#` only last. A `$share` prefix is
/// not part of it: that is a [`SharedFilter`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Text);

/// The name of a group of clients that share a subscription: not empty, without `/`, `+` and `#`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareName(Text);

/// A topic filter as SUBSCRIBE and UNSUBSCRIBE carry it: with the share name where it begins with `$share/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedFilter {
    /// The group, if it is a shared subscription.
    pub share: Option<ShareName>,
    /// The filter without the `$share/<name>/` prefix.
    pub filter: TopicFilter,
}

/// Why a string is no topic name or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Not an MQTT string.
    #[error("{0}")]
    Text(#[from] InvalidText),
    /// A topic has at least one character. [v5:MQTT-4.7.3-1]
    #[error("is empty")]
    Empty,
    /// A topic name holds `+` or `#`. [v5:MQTT-3.3.2-2]
    #[error("holds a wildcard, which only a filter may")]
    WildcardInName,
    /// `#` not alone in the last level. [v5:MQTT-4.7.1-1]
    #[error("has '#' elsewhere than alone in its last level")]
    MisplacedMultiLevel,
    /// `+` not alone in its level. [v5:MQTT-4.7.1-2]
    #[error("has '+' beside other characters in a level")]
    MisplacedSingleLevel,
    /// `$share/` without a usable share name or filter. [v5:MQTT-4.8.2-1] [v5:MQTT-4.8.2-2]
    #[error("is not of the form $share/NAME/FILTER")]
    BadShare,
    /// More levels than the broker walks.
    #[error("has more than {} levels", TopicName::MAX_LEVELS)]
    TooDeep,
}

impl TopicName {
    /// The most levels of a name or filter: deeper ones are an attack on the memory of a tree, not a use.
    pub const MAX_LEVELS: usize = 128;

    /// Takes a string that may be published to.
    pub fn new(text: Text) -> Result<Self, InvalidTopic> {
        if text.is_empty() {
            return Err(InvalidTopic::Empty);
        }
        if text.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#')) {
            return Err(InvalidTopic::WildcardInName);
        }
        bounded_depth(&text)?;
        Ok(Self(text))
    }

    /// The levels between the slashes; empty ones count.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.as_str().split('/')
    }

    /// Whether it begins with `$`, so that no leading wildcard matches it. [v5:MQTT-4.7.2-1]
    pub fn is_reserved(&self) -> bool {
        self.0.as_bytes().first() == Some(&b'$')
    }

    /// The name as text.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes of the name. To look at these costs nothing; [`TopicName::as_str`] proves anew that they are a string.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A copy that keeps no read buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(self.0.compact())
    }
}

impl TopicFilter {
    /// Takes a string that may be subscribed with.
    pub fn new(text: Text) -> Result<Self, InvalidTopic> {
        if text.is_empty() {
            return Err(InvalidTopic::Empty);
        }
        bounded_depth(&text)?;
        let mut levels = text.as_str().split('/').peekable();
        while let Some(level) = levels.next() {
            if level.contains('#') && (level.len() > 1 || levels.peek().is_some()) {
                return Err(InvalidTopic::MisplacedMultiLevel);
            }
            if level.contains('+') && level.len() > 1 {
                return Err(InvalidTopic::MisplacedSingleLevel);
            }
        }
        Ok(Self(text))
    }

    /// The levels between the slashes; empty ones count.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.as_str().split('/')
    }

    /// Whether a message published to `name` is one of those subscribed with this filter.
    pub fn matches(&self, name: &TopicName) -> bool {
        if name.is_reserved() && self.begins_with_wildcard() {
            return false;
        }
        let mut names = levels(name.as_bytes());
        for level in levels(self.as_bytes()) {
            match (level, names.next()) {
                (b"#", _) => return true,
                (b"+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                (_, _) => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether every topic that `other` matches is matched by this filter too.
    pub fn covers(&self, other: &Self) -> bool {
        if other.is_reserved() && self.begins_with_wildcard() {
            return false;
        }
        let mut theirs = other.spelled_out();
        for ours in self.levels() {
            match (ours, theirs.next()) {
                ("#", _) => return true,
                (_, Some("#")) => return false,
                ("+", Some(_)) => {}
                (ours, Some(level)) if ours == level => {}
                (_, _) => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some topic is matched by both filters.
    pub fn intersects(&self, other: &Self) -> bool {
        if (self.is_reserved() && other.begins_with_wildcard()) || (other.is_reserved() && self.begins_with_wildcard())
        {
            return false;
        }
        let mut ours = self.spelled_out();
        let mut theirs = other.spelled_out();
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(a), Some(b)) => {
                    if a != "+" && b != "+" && a != b {
                        return false;
                    }
                }
            }
        }
    }

    /// The levels, with one more where `#` cannot mean the level above it: that would be the empty topic, which does
    /// not exist. So `#` says `+/#`, and `/#` says `/+/#`.
    fn spelled_out(&self) -> impl Iterator<Item = &str> {
        let text = match self.as_str() {
            "#" => "+/#",
            "/#" => "/+/#",
            text => text,
        };
        text.split('/')
    }

    /// Whether it begins with `$`.
    pub fn is_reserved(&self) -> bool {
        self.0.as_bytes().first() == Some(&b'$')
    }

    /// Whether it holds a wildcard at all.
    pub fn has_wildcard(&self) -> bool {
        self.0.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#'))
    }

    fn begins_with_wildcard(&self) -> bool {
        matches!(self.0.as_bytes().first(), Some(b'+' | b'#'))
    }

    /// The filter as text.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// The bytes of the filter.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The filter as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A copy that keeps no read buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(self.0.compact())
    }
}

impl ShareName {
    /// The name as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A copy that keeps no read buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(self.0.compact())
    }
}

impl SharedFilter {
    const PREFIX: &'static str = "$share/";

    /// Takes `FILTER` or `$share/NAME/FILTER`. The share name is not empty and holds no wildcard.
    /// [v5:MQTT-4.8.2-1] [v5:MQTT-4.8.2-2]
    pub fn new(text: &Text) -> Result<Self, InvalidTopic> {
        let Some(rest) = text.as_str().strip_prefix(Self::PREFIX) else {
            return Ok(Self { share: None, filter: TopicFilter::new(text.clone())? });
        };
        let (name, filter) = rest.split_once('/').ok_or(InvalidTopic::BadShare)?;
        if name.is_empty() || filter.is_empty() || name.contains(['+', '#']) {
            return Err(InvalidTopic::BadShare);
        }
        Ok(Self { share: Some(ShareName(Text::try_from(name)?)), filter: TopicFilter::new(Text::try_from(filter)?)? })
    }

    /// Whether it begins as a shared subscription does, well formed or not.
    pub fn claims_to_be_shared(text: &Text) -> bool {
        text.as_bytes().starts_with(Self::PREFIX.as_bytes())
    }

    /// A copy that keeps no read buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self { share: self.share.as_ref().map(ShareName::compact), filter: self.filter.compact() }
    }
}

/// The levels of a name or filter as bytes: a slash is never a part of another character.
fn levels(topic: &[u8]) -> impl Iterator<Item = &[u8]> {
    topic.split(|byte| *byte == b'/')
}

fn bounded_depth(text: &Text) -> Result<(), InvalidTopic> {
    let slashes = text.as_bytes().iter().filter(|&&byte| byte == b'/').count();
    if slashes < TopicName::MAX_LEVELS { Ok(()) } else { Err(InvalidTopic::TooDeep) }
}

impl TryFrom<&str> for TopicName {
    type Error = InvalidTopic;

    fn try_from(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(Text::try_from(text)?)
    }
}

impl TryFrom<&str> for TopicFilter {
    type Error = InvalidTopic;

    fn try_from(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(Text::try_from(text)?)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SharedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(share) = &self.share {
            write!(f, "{}{share}/", Self::PREFIX)?;
        }
        self.filter.fmt(f)
    }
}

#[cfg(test)]
mod tests;
