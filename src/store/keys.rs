//! The master key, and the data keys that it wraps: the master key can change without sealing everything again.

use super::error::{SealError, StoreError};
use super::private_file::PrivateFile;
use super::seal::{BlindIndex, KeyId, Place, RowKey, SealKey, key_of, random};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{hkdf, hmac};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// The key to everything: 32 bytes that are kept outside the database.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; KEY_LEN]>,
    salt: Option<Salt>,
}

/// What a passphrase is mixed with; kept in the database, no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; Salt::LEN]);

impl Salt {
    /// Its length in bytes.
    pub const LEN: usize = 16;

    /// A new one.
    pub fn generate() -> Result<Self, StoreError> {
        random().map(Self)
    }

    pub(super) fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl MasterKey {
    /// A new random key, in memory only.
    pub fn generate() -> Result<Self, StoreError> {
        Ok(Self { bytes: Zeroizing::new(random()?), salt: None })
    }

    /// A new random key in a new file of mode 0600.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let key = Self::generate()?;
        PrivateFile::create(path, key.text().as_bytes())?;
        Ok(key)
    }

    /// What stands in its file.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(HEXLOWER.encode(self.bytes.as_slice()));
        text.push('\n');
        text
    }

    /// The key of a file. A file that is open to others, or that somebody else owns, is refused.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let text = match PrivateFile::read(path, KEY_FILE_LIMIT) {
            Err(StoreError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::NoKey { path: path.to_owned() });
            }
            text => text?,
        };
        let text = std::str::from_utf8(&text).ok();
        text.and_then(parse_key).ok_or_else(|| StoreError::KeyFileInvalid { path: path.to_owned() })
    }

    /// The key that a text spells: 64 hexadecimal digits, or base64 of 32 bytes. White space around it is ignored.
    pub fn parse(text: &SecretString) -> Result<Self, StoreError> {
        parse_key(text.expose_secret()).ok_or(StoreError::KeyTextInvalid)
    }

    /// The key that a passphrase makes: argon2id with 64 MiB and three passes, about 0.1 s.
    pub fn from_passphrase(passphrase: &SecretString, salt: Salt) -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        Params::new(64 * 1024, 3, 1, Some(KEY_LEN))
            .and_then(|params| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                    passphrase.expose_secret().as_bytes(),
                    salt.as_bytes(),
                    bytes.as_mut_slice(),
                )
            })
            .map_err(StoreError::Passphrase)?;
        Ok(Self { bytes, salt: Some(salt) })
    }

    /// The salt, for a key that a passphrase made.
    pub(super) fn salt(&self) -> Option<Salt> {
        self.salt
    }

    /// The key that wraps the data keys of one store.
    pub(super) fn wrapping_key(&self, store: &StoreId) -> Result<SealKey, StoreError> {
        Ok(SealKey::new(WRAPPING, &*derive(&store.0, self.bytes.as_slice(), "securemq wrapping key 1")?))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

fn parse_key(text: &str) -> Option<MasterKey> {
    let text = text.trim().as_bytes();
    let decoded = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text),
        _ => BASE64.decode(text),
    };
    let decoded = Zeroizing::new(decoded.ok()?);
    let bytes = <[u8; KEY_LEN]>::try_from(decoded.as_slice()).ok()?;
    Some(MasterKey { bytes: Zeroizing::new(bytes), salt: None })
}

/// Tells one store from another, so that the same master key wraps differently in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreId(pub(super) [u8; StoreId::LEN]);

impl StoreId {
    pub(super) const LEN: usize = 16;

    pub(super) fn generate() -> Result<Self, StoreError> {
        random().map(Self)
    }
}

/// A data key as it comes out of its wrapping.
pub(super) struct DataKey {
    pub(super) id: KeyId,
    bytes: Zeroizing<[u8; KEY_LEN]>,
}

impl DataKey {
    /// The first of a store.
    pub(super) fn first() -> Result<Self, StoreError> {
        Ok(Self { id: KeyId(1), bytes: Zeroizing::new(random()?) })
    }

    /// The one that takes the place of another.
    pub(super) fn after(id: KeyId) -> Result<Self, StoreError> {
        Ok(Self { id: KeyId(id.0.saturating_add(1)), bytes: Zeroizing::new(random()?) })
    }

    pub(super) fn wrap(&self, with: &SealKey) -> Result<Vec<u8>, StoreError> {
        with.seal(&Self::place(self.id), self.bytes.as_slice())
    }

    pub(super) fn unwrap(id: KeyId, wrapped: &[u8], with: &SealKey) -> Result<Self, SealError> {
        let place = Self::place(id);
        let opened = with.open(&place, wrapped)?;
        let bytes = <[u8; KEY_LEN]>::try_from(opened.as_slice()).map_err(|_| place.error())?;
        Ok(Self { id, bytes: Zeroizing::new(bytes) })
    }

    fn place(id: KeyId) -> Place<'static> {
        Place { table: "data_keys", column: "wrapped", row: RowKey::Number(i64::from(id.0)) }
    }
}

/// The keys of blind indexes and of the chain of events. They stay when the data keys change: with others, no row would
/// be found again. The first data key makes them; once that is to go they are stored on their own.
pub(super) struct LastingKeys {
    pub(super) index: Zeroizing<[u8; KEY_LEN]>,
    pub(super) chain: Zeroizing<[u8; KEY_LEN]>,
}

impl LastingKeys {
    pub(super) fn of(first: &DataKey) -> Result<Self, StoreError> {
        let made = |purpose| derive(&[], first.bytes.as_slice(), purpose);
        Ok(Self { index: made("securemq blind index 1")?, chain: made("securemq event chain 1")? })
    }

    /// A key as it stands in table meta.
    pub(super) fn unwrap(
        place: &Place<'_>,
        wrapped: &[u8],
        with: &SealKey,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, SealError> {
        let opened = with.open(place, wrapped)?;
        <[u8; KEY_LEN]>::try_from(opened.as_slice()).map(Zeroizing::new).map_err(|_| place.error())
    }
}

/// The keys that are in use: any of them opens, the latest seals. One more can be added at any time.
pub(super) struct Keyring {
    /// In ascending order of their id.
    seals: RwLock<Vec<Arc<SealKey>>>,
    index: hmac::Key,
    chain: hmac::Key,
}

impl Keyring {
    /// The keys that these data keys give, which are in ascending order of their id.
    pub(super) fn new(lasting: &LastingKeys, keys: &[DataKey]) -> Result<Self, StoreError> {
        let seals = keys.iter().map(Self::seal_key).collect::<Result<_, _>>()?;
        let mac = |key: &[u8; KEY_LEN]| hmac::Key::new(hmac::HMAC_SHA256, key);
        Ok(Self { seals: RwLock::new(seals), index: mac(&lasting.index), chain: mac(&lasting.chain) })
    }

    fn seal_key(key: &DataKey) -> Result<Arc<SealKey>, StoreError> {
        Ok(Arc::new(SealKey::new(key.id, &*derive(&[], key.bytes.as_slice(), "securemq seal 1")?)))
    }

    /// Adds those that are newer than all that it has: from now on the last of them seals.
    pub(super) fn learn(&self, keys: &[DataKey]) -> Result<(), StoreError> {
        let mut seals = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if seals.last().is_none_or(|last| last.id() < key.id) {
                seals.push(Self::seal_key(key)?);
            }
        }
        Ok(())
    }

    /// The one that seals.
    pub(super) fn latest(&self) -> KeyId {
        self.seals.read().unwrap_or_else(PoisonError::into_inner).last().map_or(KeyId(0), |key| key.id())
    }

    fn find(&self, matches: impl Fn(&SealKey) -> bool) -> Option<Arc<SealKey>> {
        let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
        seals.iter().rev().find(|key| matches(key)).cloned()
    }

    pub(super) fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.find(|_| true).ok_or_else(|| place.error())?.seal(place, plaintext)
    }

    pub(super) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = key_of(sealed);
        self.find(|key| Some(key.id()) == id).ok_or_else(|| place.error())?.open(place, sealed)
    }

    pub(super) fn index(&self, table: &'static str, text: &str) -> BlindIndex {
        BlindIndex::new(&self.index, table, text.as_bytes())
    }

    pub(super) fn chain(&self) -> &hmac::Key {
        &self.chain
    }
}

/// HKDF-SHA256.
fn derive(salt: &[u8], secret: &[u8], purpose: &'static str) -> Result<Zeroizing<[u8; KEY_LEN]>, StoreError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    extracted
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(key.as_mut_slice()))
        .map_err(|_| StoreError::KeyDerivation)?;
    Ok(key)
}

const KEY_LEN: usize = 32;
const KEY_FILE_LIMIT: u64 = 4096;
const WRAPPING: KeyId = KeyId(0);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_read_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = MasterKey::create(&path).unwrap();
        let loaded = MasterKey::load(&path).unwrap();
        assert_eq!(made.bytes, loaded.bytes);
        assert!(matches!(MasterKey::create(&path), Err(StoreError::AlreadyExists { .. })));
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKey::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = MasterKey::load(&path).unwrap_err().to_string();
        assert!(error.ends_with(&format!("run: chmod 600 {}", path.display())), "{error}");
    }

    #[test]
    fn a_missing_or_spoilt_key_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        assert!(matches!(MasterKey::load(&path), Err(StoreError::NoKey { .. })));
        PrivateFile::create(
            &path,
            b"not a key
",
        )
        .unwrap();
        let error = MasterKey::load(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && !error.contains("not a key"), "{error}");
    }

    #[test]
    fn a_key_is_spelt_in_hexadecimal_or_base64() {
        let parse = |text: String| MasterKey::parse(&text.into()).map(|key| *key.bytes);
        let bytes = [0xab; 32];
        assert_eq!(parse(HEXLOWER.encode(&bytes)).unwrap(), bytes);
        assert_eq!(parse(format!(" {}\n", HEXLOWER.encode(&bytes).to_uppercase())).unwrap(), bytes);
        assert_eq!(parse(BASE64.encode(&bytes)).unwrap(), bytes);
        for wrong in [String::new(), HEXLOWER.encode(&[1; 31]), BASE64.encode(&[1; 33]), "g".repeat(64)] {
            assert!(matches!(parse(wrong), Err(StoreError::KeyTextInvalid)));
        }
    }

    #[test]
    fn a_passphrase_makes_the_same_key_with_the_same_salt_only() {
        let passphrase = SecretString::from("correct horse");
        let key = |salt| MasterKey::from_passphrase(&passphrase, Salt::new(salt)).unwrap().bytes;
        assert_eq!(key([1; 16]), key([1; 16]));
        assert_ne!(key([1; 16]), key([2; 16]));
    }

    #[test]
    fn no_key_shows_in_debug_output() {
        let key = MasterKey::parse(&"ab".repeat(32).into()).unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey(hidden)");
    }

    #[test]
    fn a_data_key_opens_only_with_its_master_key_its_id_and_its_store() {
        let master = MasterKey::generate().unwrap();
        let store = StoreId([1; 16]);
        let wrapping = master.wrapping_key(&store).unwrap();
        let wrapped = DataKey::first().unwrap().wrap(&wrapping).unwrap();
        assert!(DataKey::unwrap(KeyId(1), &wrapped, &wrapping).is_ok());
        assert!(DataKey::unwrap(KeyId(2), &wrapped, &wrapping).is_err());
        let other_store = master.wrapping_key(&StoreId([2; 16])).unwrap();
        assert!(DataKey::unwrap(KeyId(1), &wrapped, &other_store).is_err());
        let other_key = MasterKey::generate().unwrap().wrapping_key(&store).unwrap();
        assert!(DataKey::unwrap(KeyId(1), &wrapped, &other_key).is_err());
    }

    #[test]
    fn old_values_open_after_a_new_data_key_and_new_ones_use_it() {
        let place = Place { table: "users", column: "sealed", row: RowKey::Number(1) };
        let first = DataKey::first().unwrap();
        let lasting = LastingKeys::of(&first).unwrap();
        let second = DataKey::after(first.id).unwrap();
        let keys = Keyring::new(&lasting, &[first]).unwrap();
        let (sealed, index) = (keys.seal(&place, b"text").unwrap(), keys.index("users", "alice"));
        keys.learn(std::slice::from_ref(&second)).unwrap();
        assert_eq!((key_of(&sealed), keys.latest()), (Some(KeyId(1)), KeyId(2)));
        assert_eq!(keys.open(&place, &sealed).unwrap().as_slice(), b"text");
        let again = keys.seal(&place, b"text").unwrap();
        assert_eq!(key_of(&again), Some(KeyId(2)));
        // Once nothing is sealed with the first, it can go.
        let without = Keyring::new(&lasting, &[second]).unwrap();
        assert_eq!(without.open(&place, &again).unwrap().as_slice(), b"text");
        assert!(without.open(&place, &sealed).is_err());
        assert_eq!(without.index("users", "alice"), index);
    }
}
