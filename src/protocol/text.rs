//! UTF-8 strings as MQTT defines them, borrowed from the buffer they arrived in.

use bytes::Bytes;
use std::fmt;

/// A UTF-8 encoded string: well formed, without U+0000, at most 65,535 bytes.
///
/// Cloning is cheap: the bytes are shared. A `Text` may keep the whole read buffer alive that it was
/// sliced from; [`Text::compact`] gives one that does not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

/// Why some bytes are not an MQTT string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Not well-formed UTF-8, surrogates included. [v5:MQTT-1.5.4-1]
    #[error("is not well-formed UTF-8")]
    NotUtf8,
    /// Holds U+0000. [v5:MQTT-1.5.4-2]
    #[error("holds the character U+0000")]
    Null,
    /// Longer than its two-byte length can say.
    #[error("is longer than 65,535 bytes")]
    TooLong,
}

impl Text {
    /// The longest string that fits its two-byte length prefix, in bytes.
    pub const MAX_LEN: usize = 65_535;

    /// Takes the bytes if they are an MQTT string.
    pub fn new(bytes: Bytes) -> Result<Self, InvalidText> {
        if bytes.len() > Self::MAX_LEN {
            return Err(InvalidText::TooLong);
        }
        if is_plain(&bytes) {
            return Ok(Self(bytes));
        }
        if std::str::from_utf8(&bytes).is_err() {
            return Err(InvalidText::NotUtf8);
        }
        if bytes.contains(&0) {
            return Err(InvalidText::Null);
        }
        Ok(Self(bytes))
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        // `new` is the only door, so the fallback is never taken; it stands here because pure code does not panic.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that owns its bytes alone and so keeps no larger buffer alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

/// Whether all characters are ASCII and none is U+0000, as in nearly all topics: seen in one go over all bytes, eight at a
/// time, where two searches took a fourteenth of all that a message of QoS 0 costs.
fn is_plain(bytes: &[u8]) -> bool {
    const LOWEST: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks();
    let begins_above = |seen: u64, word: u64| seen | word | word.wrapping_sub(LOWEST);
    let seen = words.iter().fold(0, |seen, word| begins_above(seen, u64::from_le_bytes(*word)));
    // The last bytes make a word with 1 in the places that are left, which says nothing.
    let last = rest.iter().fold(LOWEST, |word, byte| (word << 8) | u64::from(*byte));
    // Taking 1 from 0 sets the highest bit; all bytes beyond ASCII have it set. What is borrowed from the byte above sets
    // more only where a 0 is seen already.
    begins_above(seen, last) & (LOWEST << 7) == 0
}

impl TryFrom<&str> for Text {
    type Error = InvalidText;

    fn try_from(text: &str) -> Result<Self, InvalidText> {
        Self::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [v5:MQTT-1.5.4-1] [v5:MQTT-1.5.4-2] [v5:MQTT-1.5.4-3]
    #[test]
    fn a_string_is_utf_8_without_null_and_is_kept_as_it_came() {
        let longest = "x".repeat(Text::MAX_LEN);
        for good in ["", "a", "\u{FEFF}a", "\u{1}", "\u{FFFF}", "\u{10FFFF}", "e\u{301}", &longest] {
            let text = Text::try_from(good).unwrap();
            assert_eq!(text.as_str(), good);
            assert_eq!((text.len(), text.is_empty()), (good.len(), good.is_empty()));
            assert_eq!(text.compact(), text);
        }
        for (bad, expected) in [
            (&b"\xff"[..], InvalidText::NotUtf8),
            (b"\xed\xa0\x80", InvalidText::NotUtf8),     // U+D800
            (b"\xed\xbf\xbf", InvalidText::NotUtf8),     // U+DFFF
            (b"\xc0\x80", InvalidText::NotUtf8),         // U+0000 in two bytes
            (b"\xf4\x90\x80\x80", InvalidText::NotUtf8), // U+110000
            (b"a\xe2\x82", InvalidText::NotUtf8),        // the euro sign cut short
            (b"a\x80", InvalidText::NotUtf8),            // a continuation of nothing
            (b"a\0", InvalidText::Null),
            (&[b'x'; Text::MAX_LEN + 1], InvalidText::TooLong),
        ] {
            assert_eq!(Text::new(Bytes::copy_from_slice(bad)), Err(expected));
        }
    }
}
