//! Sealing: what is written to the disk shows nothing, and opens only in the place it was sealed for.
//!
//! A sealed value: format (1 byte), key id (4), nonce (24), ciphertext, tag (16). The associated data binds format, key,
//! table, column and row, so that a value moved to another place does not open.

use super::error::{RowLabel, SealError, StoreError};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::fmt;
use zeroize::Zeroizing;

/// Which key sealed a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyId(pub(super) u32);

/// Where a sealed value stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    pub(super) row: RowKey<'a>,
}

/// What tells one row of a table from the others.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowKey<'a> {
    Number(i64),
    Pair([i64; 2]),
    Triple([i64; 3]),
    Name(&'static str),
    Index(&'a BlindIndex),
}

/// Stands for a string where rows are looked up by it; tells nothing without the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BlindIndex([u8; BlindIndex::LEN]);

/// One key that seals and opens.
pub(super) struct SealKey {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl SealKey {
    pub(super) fn new(id: KeyId, key: &[u8; 32]) -> Self {
        Self { id, cipher: XChaCha20Poly1305::new(&Key::from(*key)) }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// Seals with a random nonce: never a counter, because a restored backup would repeat it.
    pub(super) fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Vec::with_capacity(HEADER_LEN + plaintext.len() + TAG_LEN);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.id.0.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let (_, message) = sealed.split_at_mut(HEADER_LEN);
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &associated_data(self.id, place), message.into())
            .map_err(|_| place.error())?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what this key sealed for this place.
    pub(super) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let parts = SealedParts::of(sealed).filter(|parts| parts.key == self.id).ok_or_else(|| place.error())?;
        let mut message = Zeroizing::new(parts.message.to_vec());
        self.cipher
            .decrypt_inout_detached(
                &XNonce::from(*parts.nonce),
                &associated_data(self.id, place),
                message.as_mut_slice().into(),
                &(*parts.tag).into(),
            )
            .map_err(|_| place.error())?;
        Ok(message)
    }
}

/// A sealed value taken apart.
struct SealedParts<'a> {
    key: KeyId,
    nonce: &'a [u8; NONCE_LEN],
    message: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> SealedParts<'a> {
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let (&[format], rest) = sealed.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (message, tag) = rest.split_last_chunk()?;
        (format == FORMAT).then_some(Self { key: KeyId(u32::from_be_bytes(*key)), nonce, message, tag })
    }
}

/// The key that a sealed value names, without trusting it.
pub(super) fn key_of(sealed: &[u8]) -> Option<KeyId> {
    SealedParts::of(sealed).map(|parts| parts.key)
}

/// Each part with its length, so that no two places give the same bytes.
fn associated_data(key: KeyId, place: &Place<'_>) -> Vec<u8> {
    let mut data = vec![FORMAT];
    data.extend_from_slice(&key.0.to_be_bytes());
    let numbers: Vec<u8>;
    let (kind, row): (u8, &[u8]) = match &place.row {
        RowKey::Number(number) => {
            numbers = number.to_be_bytes().to_vec();
            (0, &numbers)
        }
        RowKey::Name(name) => (1, name.as_bytes()),
        RowKey::Index(index) => (2, index.as_bytes()),
        RowKey::Pair(pair) => {
            numbers = pair.iter().flat_map(|number| number.to_be_bytes()).collect();
            (3, &numbers)
        }
        RowKey::Triple(triple) => {
            numbers = triple.iter().flat_map(|number| number.to_be_bytes()).collect();
            (4, &numbers)
        }
    };
    for part in [place.table.as_bytes(), place.column.as_bytes(), &[kind], row] {
        data.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

impl Place<'_> {
    pub(super) fn error(&self) -> SealError {
        SealError { table: self.table, row: self.row.label() }
    }
}

impl RowKey<'_> {
    pub(super) fn label(&self) -> RowLabel {
        match *self {
            Self::Number(number) => RowLabel::Number(number),
            Self::Pair(pair) => RowLabel::Pair(pair),
            Self::Triple(triple) => RowLabel::Triple(triple),
            Self::Name(name) => RowLabel::Name(name),
            Self::Index(index) => RowLabel::Index(index.first_bytes()),
        }
    }
}

impl BlindIndex {
    pub(super) const LEN: usize = 16;

    /// The index of `text` in `table`: the same text in two tables has two indexes.
    pub(super) fn new(key: &hmac::Key, table: &'static str, text: &[u8]) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(&u32::try_from(table.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.update(table.as_bytes());
        context.update(text);
        let tag = context.sign();
        let mut index = [0; Self::LEN];
        for (to, from) in index.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Self(index)
    }

    /// What a column holds; one of another length is the index of nothing.
    pub(super) fn of_column(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_default())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn first_bytes(&self) -> [u8; 8] {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXUPPER.encode(&self.0))
    }
}

/// Random bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StoreError::NoRandomness)?;
    Ok(bytes)
}

const FORMAT: u8 = 1;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + 4 + NONCE_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealKey {
        SealKey::new(KeyId(7), &[1; 32])
    }

    fn place(row: i64) -> Place<'static> {
        Place { table: "users", column: "sealed", row: RowKey::Number(row) }
    }

    #[test]
    fn a_sealed_value_opens_in_its_place() {
        for plaintext in [&b""[..], b"a", &[9; 1000]] {
            let sealed = key().seal(&place(17), plaintext).unwrap();
            assert_eq!(sealed.len(), plaintext.len() + 45);
            assert_eq!(key().open(&place(17), &sealed).unwrap().as_slice(), plaintext);
            assert_eq!(key_of(&sealed), Some(KeyId(7)));
        }
    }

    #[test]
    fn a_sealed_value_opens_nowhere_else() {
        let sealed = key().seal(&place(17), b"text").unwrap();
        let index = BlindIndex([0; BlindIndex::LEN]);
        for place in [
            place(18),
            Place { table: "rules", ..place(17) },
            Place { column: "other", ..place(17) },
            Place { row: RowKey::Pair([17, 0]), ..place(17) },
            Place { row: RowKey::Triple([17, 0, 0]), ..place(17) },
            Place { row: RowKey::Name("17"), ..place(17) },
            Place { row: RowKey::Index(&index), ..place(17) },
        ] {
            assert_eq!(key().open(&place, &sealed), Err(place.error()));
        }
    }

    #[test]
    fn every_number_of_a_row_counts() {
        for (row, others) in [
            (RowKey::Pair([1, 2]), vec![RowKey::Pair([2, 1]), RowKey::Pair([1, 3]), RowKey::Triple([1, 2, 0])]),
            (
                RowKey::Triple([1, 2, 3]),
                vec![RowKey::Triple([1, 2, 4]), RowKey::Triple([1, 3, 2]), RowKey::Pair([1, 2])],
            ),
        ] {
            let sealed = key().seal(&Place { row, ..place(0) }, b"text").unwrap();
            assert!(key().open(&Place { row, ..place(0) }, &sealed).is_ok());
            for row in others {
                assert!(key().open(&Place { row, ..place(0) }, &sealed).is_err(), "{row:?}");
            }
        }
    }

    #[test]
    fn lengths_keep_table_and_column_apart() {
        let sealed = key().seal(&Place { table: "ab", column: "c", row: RowKey::Number(1) }, b"text").unwrap();
        assert!(key().open(&Place { table: "a", column: "bc", row: RowKey::Number(1) }, &sealed).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = key().seal(&place(17), b"text").unwrap();
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut altered = sealed.clone();
                altered[position] ^= 1 << bit;
                assert!(key().open(&place(17), &altered).is_err(), "byte {position}, bit {bit}");
            }
            assert!(key().open(&place(17), &sealed[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn another_key_does_not_open_it_and_the_error_names_the_row() {
        let sealed = key().seal(&place(17), b"text").unwrap();
        let error = SealKey::new(KeyId(7), &[2; 32]).open(&place(17), &sealed).unwrap_err().to_string();
        assert!(error.starts_with("row 17 of table users does not open: it was altered"), "{error}");
    }

    #[test]
    fn the_same_text_is_never_sealed_to_the_same_bytes() {
        let (a, b) = (key().seal(&place(1), b"text").unwrap(), key().seal(&place(1), b"text").unwrap());
        assert_ne!(a, b);
    }

    #[test]
    fn a_blind_index_depends_on_key_table_and_text() {
        let key = |byte| hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]);
        let index = BlindIndex::new(&key(1), "users", b"alice");
        assert_eq!(index, BlindIndex::new(&key(1), "users", b"alice"));
        assert_ne!(index, BlindIndex::new(&key(2), "users", b"alice"));
        assert_ne!(index, BlindIndex::new(&key(1), "roles", b"alice"));
        assert_ne!(index, BlindIndex::new(&key(1), "users", b"alicf"));
    }
}
