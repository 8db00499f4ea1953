//! A colour as stylesheets write it.

use std::fmt;

/// A colour, `#0b5cc4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// Six hexadecimal digits behind a `#`; nothing for all else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
        let part = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        // A sign would be taken for a digit.
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_a_colour_and_nothing_else_is() {
        assert_eq!(Colour::parse("#0B5cc4").unwrap().to_string(), "#0b5cc4");
        for text in ["", "#", "0b5cc4", "#fff", "#0b5cc4ff", "#+b5cc4", "#0b5cg4", "red", "#0b5c;}", "#äöü"] {
            assert_eq!(Colour::parse(text), None, "{text}");
        }
    }
}
