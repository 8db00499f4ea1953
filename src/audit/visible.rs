//! Text from strangers made harmless on a terminal: whatever moves the cursor, reorders or hides is spelt out.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every control character, bidirectional control, invisible character and non-character spelt out
/// (`\n`, `\x1b`, `\u{202e}`), and `\` doubled, so that no two texts look alike and none is more than one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c == '\\' || is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_visible(&mut shown, c);
    }
    Cow::Owned(shown)
}

/// The text as a value in a line of fields: in quotes unless it is plain, so that it cannot pass for another field.
pub(super) fn field(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\' | '=') && !is_hidden(c);
    if !text.is_empty() && text.chars().all(plain) { Cow::Borrowed(text) } else { Cow::Owned(quoted(text)) }
}

/// The text in quotes, with those inside spelt out.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for c in text.chars() {
        if c == '"' {
            shown.push('\\');
        }
        push_visible(&mut shown, c);
    }
    shown.push('"');
    shown
}

fn push_visible(shown: &mut String, c: char) {
    // Writing to a string does not fail.
    let _ = match c {
        '\\' => write!(shown, "\\\\"),
        '\n' => write!(shown, "\\n"),
        '\r' => write!(shown, "\\r"),
        '\t' => write!(shown, "\\t"),
        c if is_hidden(c) && u32::from(c) < 0x80 => write!(shown, "\\x{:02x}", u32::from(c)),
        c if is_hidden(c) => write!(shown, "\\u{{{:x}}}", u32::from(c)),
        c => write!(shown, "{c}"),
    };
}

/// Whether a terminal would obey the character or not show it: control characters, bidirectional controls, invisible
/// characters and code points that are no characters.
pub fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || matches!(code,
            0x00ad // soft hyphen
            | 0x034f // grapheme joiner
            | 0x061c // Arabic letter mark
            | 0x115f..=0x1160 | 0x3164 | 0xffa0 // Hangul fillers
            | 0x17b4..=0x17b5 // Khmer inherent vowels
            | 0x180b..=0x180f // Mongolian selectors and separator
            | 0x200b..=0x200f // zero width space and joiners, direction marks
            | 0x2028..=0x202e // line and paragraph separators, embeddings and overrides
            | 0x2060..=0x206f // word joiner, invisible operators, isolates
            | 0xfe00..=0xfe0f // variation selectors
            | 0xfdd0..=0xfdef // non-characters
            | 0xfeff // byte order mark
            | 0xfff0..=0xfffb // unassigned and interlinear annotations
            | 0xe0000..=0xe0fff // tags, variation selectors
        )
        || code & 0xfffe == 0xfffe // the last two of every plane are non-characters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        for text in ["", "school/room 1/lamp", "Müller", "日本語", "a\"b", "🦀"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        let cases = [
            ("a\nb\rc\td", r"a\nb\rc\td"),
            ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
            ("\x1b]8;;http://evil\x1b\\", r"\x1b]8;;http://evil\x1b\\"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{85}\u{7f}\0", r"\u{85}\x7f\x00"),
            ("user\u{202e}nimda", r"user\u{202e}nimda"),
            ("\u{2066}\u{200b}\u{feff}", r"\u{2066}\u{200b}\u{feff}"),
            ("\u{fdd0}\u{ffff}\u{10ffff}", r"\u{fdd0}\u{ffff}\u{10ffff}"),
            ("\u{2028}\u{e0041}", r"\u{2028}\u{e0041}"),
            (r"\n", r"\\n"),
        ];
        for (text, shown) in cases {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn a_field_is_quoted_unless_it_is_plain() {
        let cases = [
            ("sensor-1", "sensor-1"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("x user=root", "\"x user=root\""),
            ("user=root", "\"user=root\""),
            ("a\"b", "\"a\\\"b\""),
            ("a\nb", "\"a\\nb\""),
            ("a\u{a0}b", "\"a\u{a0}b\""),
        ];
        for (text, shown) in cases {
            assert_eq!(field(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_no_two_texts_look_alike(a in any::<String>(), b in any::<String>()) {
            prop_assert!(!visible(&a).chars().any(is_hidden));
            prop_assert!(!field(&a).chars().any(is_hidden));
            prop_assert_eq!(visible(&a) == visible(&b), a == b);
            prop_assert_eq!(field(&a) == field(&b), a == b);
        }
    }
}
