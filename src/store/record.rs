//! The bytes inside a seal: numbers as varints, strings with their length, a version byte in front.

use super::error::RecordError;
use crate::broker::{ClassName, Principal, RoleName, SessionKey, UserName};
use crate::protocol::{ClientId, InvalidText, Text, TopicName};
use bytes::Bytes;

/// Writes a record.
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// A record of that version; readers refuse versions that they do not know.
    pub(super) fn new(version: u8) -> Self {
        Self { bytes: vec![version] }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    /// Seven bits per byte, the lowest first; the high bit says that more follow.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    /// A number of either sign; those near zero are short.
    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    pub(super) fn data(&mut self, data: &[u8]) {
        self.number(u64::try_from(data.len()).unwrap_or(u64::MAX));
        self.bytes.extend_from_slice(data);
    }

    pub(super) fn string(&mut self, text: &str) {
        self.data(text.as_bytes());
    }

    /// What is not there is a zero byte; what is there follows a one.
    pub(super) fn option<T>(&mut self, value: Option<T>, encode: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            encode(self, value);
        }
    }

    /// As it is, without a length: the reader knows it.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn session_key(&mut self, key: &SessionKey) {
        match &key.principal {
            Principal::User(name) => {
                self.byte(PRINCIPAL_USER);
                self.string(name.as_str());
            }
            Principal::Anonymous(role) => {
                self.byte(PRINCIPAL_ANONYMOUS);
                self.string(role.as_str());
            }
        }
        self.string(key.client_id.as_str());
    }
}

/// Reads a record; no length in it is trusted, and no bytes make it panic.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Begins with a record of that version.
    pub(super) fn new(bytes: &'a [u8], version: u8) -> Result<Self, RecordError> {
        let mut decoder = Self { rest: bytes };
        match decoder.byte()? {
            found if found == version => Ok(decoder),
            found => Err(RecordError::UnknownKind(u64::from(found))),
        }
    }

    /// Makes sure that nothing is left.
    pub(super) fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Trailing) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.raw::<1>()?[0])
    }

    pub(super) fn flag(&mut self) -> Result<bool, RecordError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(RecordError::UnknownKind(u64::from(other))),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // Ten bytes hold 70 bits; the last six must be empty.
            if bits << shift >> shift != bits {
                return Err(RecordError::OutOfRange);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(RecordError::OutOfRange)
    }

    /// A number that fits a narrower type.
    pub(super) fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, RecordError> {
        T::try_from(self.number()?).map_err(|_| RecordError::OutOfRange)
    }

    pub(super) fn signed(&mut self) -> Result<i64, RecordError> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn data(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.narrow()?;
        let (data, rest) = self.rest.split_at_checked(length).ok_or(RecordError::CutOff)?;
        self.rest = rest;
        Ok(data)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, RecordError> {
        Ok(Bytes::copy_from_slice(self.data()?))
    }

    pub(super) fn text(&mut self) -> Result<Text, RecordError> {
        Ok(Text::new(self.bytes()?)?)
    }

    pub(super) fn string(&mut self) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.data()?).map_err(|_| RecordError::Text(InvalidText::NotUtf8))
    }

    pub(super) fn topic(&mut self) -> Result<TopicName, RecordError> {
        Ok(TopicName::new(self.text()?)?)
    }

    pub(super) fn user_name(&mut self) -> Result<UserName, RecordError> {
        Ok(UserName::new(self.string()?)?)
    }

    pub(super) fn role_name(&mut self) -> Result<RoleName, RecordError> {
        Ok(RoleName::new(self.string()?)?)
    }

    pub(super) fn class_name(&mut self) -> Result<ClassName, RecordError> {
        Ok(ClassName::new(self.string()?)?)
    }

    pub(super) fn option<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        if self.flag()? { decode(self).map(Some) } else { Ok(None) }
    }

    pub(super) fn raw<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(RecordError::CutOff)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn session_key(&mut self) -> Result<SessionKey, RecordError> {
        let principal = match self.byte()? {
            PRINCIPAL_USER => Principal::User(self.user_name()?),
            PRINCIPAL_ANONYMOUS => Principal::Anonymous(self.role_name()?),
            other => return Err(RecordError::UnknownKind(u64::from(other))),
        };
        Ok(SessionKey { principal, client_id: ClientId::new(self.text()?)? })
    }
}

const PRINCIPAL_USER: u8 = 0;
const PRINCIPAL_ANONYMOUS: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            number: u64, signed: i64, data: Vec<u8>, text in "[^\0]{0,20}", flag: bool, option: Option<u32>, raw: [u8; 5],
        ) {
            let mut encoder = Encoder::new(3);
            encoder.number(number);
            encoder.signed(signed);
            encoder.data(&data);
            encoder.string(&text);
            encoder.flag(flag);
            encoder.option(option, |encoder, value| encoder.number(u64::from(value)));
            encoder.raw(&raw);
            let record = encoder.finish();
            let mut decoder = Decoder::new(&record, 3).unwrap();
            prop_assert_eq!(decoder.number(), Ok(number));
            prop_assert_eq!(decoder.signed(), Ok(signed));
            prop_assert_eq!(decoder.data(), Ok(data.as_slice()));
            prop_assert_eq!(decoder.string(), Ok(text.as_str()));
            prop_assert_eq!(decoder.flag(), Ok(flag));
            prop_assert_eq!(decoder.option(Decoder::narrow), Ok(option));
            prop_assert_eq!(decoder.raw(), Ok(raw));
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, kinds: Vec<u8>) {
            let mut decoder = Decoder { rest: &bytes };
            for kind in kinds {
                let _ = match kind % 8 {
                    0 => decoder.number().map(drop),
                    1 => decoder.signed().map(drop),
                    2 => decoder.data().map(drop),
                    3 => decoder.text().map(drop),
                    4 => decoder.session_key().map(drop),
                    5 => decoder.option(Decoder::topic).map(drop),
                    6 => decoder.raw::<7>().map(drop),
                    _ => decoder.narrow::<u16>().map(drop),
                };
            }
        }
    }

    #[test]
    fn lengths_and_numbers_are_not_trusted() {
        let decode = |bytes: &'static [u8]| Decoder { rest: bytes };
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0x7f, 1]).data(), Err(RecordError::CutOff));
        assert_eq!(decode(&[0x80; 11]).number(), Err(RecordError::OutOfRange));
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).number(), Ok(u64::MAX));
        assert_eq!(
            decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(),
            Err(RecordError::OutOfRange)
        );
        assert_eq!(decode(&[0xff, 0xff, 4]).narrow::<u16>(), Err(RecordError::OutOfRange));
        assert_eq!(decode(&[1, 0]).finish(), Err(RecordError::Trailing));
        assert_eq!(Decoder::new(&[2], 1).err(), Some(RecordError::UnknownKind(2)));
    }
}
