//! Variable byte integers: seven bits a byte, the lowest first, at most four bytes.

use crate::protocol::error::Violation;

/// The largest number of four bytes.
pub const MAX: u32 = 268_435_455;

/// Reads a number from the front: with its length, or `None` if more bytes have to come.
///
/// The fourth byte is refused at once if it announces a fifth, and so is a number that ends in a zero byte: the
/// sender must use the fewest bytes. [v5:MQTT-1.5.5-1]
pub fn decode(bytes: &[u8]) -> Result<Option<(u32, usize)>, Violation> {
    let mut number = 0;
    for ((index, &byte), shift) in bytes.iter().enumerate().zip([0_u32, 7, 14, 21]) {
        number |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            let minimal = byte != 0 || index == 0;
            return if minimal {
                Ok(Some((number, index.saturating_add(1))))
            } else {
                Err(Violation::VarintNotMinimal)
            };
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Violation::VarintTooLong) }
}

/// How many bytes a number takes.
pub fn encoded_len(number: u32) -> usize {
    match number {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// The bytes of a number not above [`MAX`], of which the first [`encoded_len`] count.
pub fn encode(number: u32) -> [u8; 4] {
    let continued = |shift: u32| if number >> shift >= 0x80 { 0x80 } else { 0 };
    [0_u32, 7, 14, 21].map(|shift| {
        let [low, ..] = (number >> shift).to_le_bytes();
        (low & 0x7F) | continued(shift)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [v5:MQTT-1.5.5-1]
    #[test]
    fn a_number_takes_the_fewest_bytes() {
        for (number, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (MAX, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            assert_eq!(encoded_len(number), bytes.len());
            assert_eq!(&encode(number)[..bytes.len()], bytes);
            assert_eq!(decode(bytes), Ok(Some((number, bytes.len()))));
        }
    }

    #[test]
    fn what_is_incomplete_waits_and_what_is_wrong_does_not() {
        for (bytes, expected) in [
            (&[][..], Ok(None)),
            (&[0x80][..], Ok(None)),
            (&[0xFF, 0xFF, 0xFF], Ok(None)),
            (&[0xFF, 0xFF, 0xFF, 0xFF], Err(Violation::VarintTooLong)),
            (&[0x80, 0x80, 0x80, 0x80, 0x01], Err(Violation::VarintTooLong)),
            (&[0x80, 0x00], Err(Violation::VarintNotMinimal)),
            (&[0xFF, 0x80, 0x00], Err(Violation::VarintNotMinimal)),
            (&[0x80, 0x80, 0x80, 0x00], Err(Violation::VarintNotMinimal)),
            (&[0x05, 0xFF], Ok(Some((5, 1)))),
        ] {
            assert_eq!(decode(bytes), expected, "{bytes:02x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded(number in 0..=MAX) {
            let bytes = encode(number);
            proptest::prop_assert_eq!(decode(&bytes[..encoded_len(number)]), Ok(Some((number, encoded_len(number)))));
        }
    }
}
