//! Password hashes: argon2id as PHC strings, made and verified with memory that is reused.

use super::error::AuthError;
use argon2::password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

/// What a hash costs: memory and passes over it, always in one lane, because a login has one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    memory_kib: u32,
    passes: u32,
}

impl PasswordCost {
    /// For clients: 19 MiB and 2 passes, 15 ms. The first choice of OWASP's list for argon2id.
    pub const CLIENT: Self = Self { memory_kib: 19 * 1024, passes: 2 };

    /// For people with the keys of the house: 64 MiB and 3 passes, 90 ms.
    pub const ADMIN: Self = Self { memory_kib: 64 * 1024, passes: 3 };

    /// The least that argon2 can do. For tests, which hash much and guard nothing.
    pub const LEAST: Self = Self { memory_kib: Params::MIN_M_COST, passes: 1 };

    /// A cost within bounds: a stored hash must not be able to ask for all memory or for an hour.
    pub const fn new(memory_kib: u32, passes: u32) -> Result<Self, AuthError> {
        if memory_kib < Params::MIN_M_COST || memory_kib > 1024 * 1024 || passes < 1 || passes > 64 {
            return Err(AuthError::PasswordCost { memory_kib, passes });
        }
        Ok(Self { memory_kib, passes })
    }

    fn params(self, output_len: usize) -> Result<Params, AuthError> {
        Params::new(self.memory_kib, self.passes, 1, Some(output_len)).map_err(AuthError::Hash)
    }
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self::CLIENT
    }
}

/// The memory of one hashing thread. Kept from hash to hash, which makes a hash of 64 MiB cost 57 instead of 92 ms.
#[derive(Default)]
pub struct HashMemory {
    blocks: Vec<Block>,
}

impl HashMemory {
    /// No memory yet; it grows with the first hash.
    pub fn new() -> Self {
        Self::default()
    }

    fn hash(&mut self, password: &[u8], salt: &[u8], cost: PasswordCost, output: &mut [u8]) -> Result<(), AuthError> {
        let params = cost.params(output.len())?;
        if self.blocks.len() < params.block_count() {
            self.blocks.resize(params.block_count(), Block::new());
        }
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password, salt, output, &mut self.blocks)
            .map_err(AuthError::Hash)
    }

    /// Hashes a password with a new salt.
    pub fn hash_password(&mut self, password: &[u8], cost: PasswordCost) -> Result<String, AuthError> {
        let mut salt = [0; SALT_LEN];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| AuthError::Randomness)?;
        let mut output = [0; OUTPUT_LEN];
        self.hash(password, &salt, cost, &mut output)?;
        let hash = to_phc(cost, &salt, &output).map_err(|_| AuthError::StoredHash);
        output.zeroize();
        hash
    }
}

/// Hashes a password with a new salt, as the PHC string to store.
pub fn hash_password(password: &SecretString, cost: PasswordCost) -> Result<String, AuthError> {
    HashMemory::new().hash_password(password.expose_secret().as_bytes(), cost)
}

/// Whether this is the password that the hash was made of. Takes as long for a wrong one as for the right one.
pub fn verify_password(password: &[u8], stored: &str, memory: &mut HashMemory) -> Result<bool, AuthError> {
    let stored = StoredHash::parse(stored)?;
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..stored.output.len()).ok_or(AuthError::StoredHash)?;
    memory.hash(password, &stored.salt, stored.cost, output)?;
    let same = verify_slices_are_equal(output, stored.output.as_bytes()).is_ok();
    output.zeroize();
    Ok(same)
}

/// Whether the hash was made at another cost than today's, or is none that this program makes.
pub fn needs_rehash(stored: &str, cost: PasswordCost) -> bool {
    StoredHash::parse(stored).map_or(true, |stored| {
        stored.cost != cost || stored.output.len() != OUTPUT_LEN || stored.salt.len() != SALT_LEN
    })
}

impl PasswordCost {
    /// The cost of a stored hash.
    ///
    /// # Errors
    /// It is no hash that this program can verify a password with.
    pub fn of(stored: &str) -> Result<Self, AuthError> {
        Ok(StoredHash::parse(stored)?.cost)
    }
}

/// A password of 140 random bits in groups that can be read aloud: no letter is mistaken for a digit.
pub fn generate_password() -> Result<SecretString, AuthError> {
    let mut random = [0_u8; GENERATED_GROUPS * GENERATED_GROUP_LEN];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| AuthError::Randomness)?;
    let mut password = String::with_capacity(random.len() + GENERATED_GROUPS);
    for (position, byte) in random.iter().enumerate() {
        if position > 0 && position % GENERATED_GROUP_LEN == 0 {
            password.push('-');
        }
        password.push(char::from(READABLE[usize::from(byte % 32)]));
    }
    random.zeroize();
    Ok(SecretString::from(password))
}

/// A stored hash taken apart. Only what `hash_password` can have made, at whatever cost, is taken.
struct StoredHash {
    cost: PasswordCost,
    salt: Salt,
    output: Output,
}

impl StoredHash {
    fn parse(stored: &str) -> Result<Self, AuthError> {
        let parsed = PasswordHash::new(stored).map_err(|_| AuthError::StoredHash)?;
        let is_ours = parsed.algorithm == ARGON2ID_IDENT && parsed.version == Some(Version::V0x13.into());
        let params = Params::try_from(&parsed).map_err(|_| AuthError::StoredHash)?;
        if !is_ours || params.p_cost() != 1 || !params.keyid().is_empty() || !params.data().is_empty() {
            return Err(AuthError::StoredHash);
        }
        match (parsed.salt, parsed.hash) {
            (Some(salt), Some(output)) => {
                Ok(Self { cost: PasswordCost::new(params.m_cost(), params.t_cost())?, salt, output })
            }
            _ => Err(AuthError::StoredHash),
        }
    }
}

fn to_phc(cost: PasswordCost, salt: &[u8], output: &[u8]) -> argon2::password_hash::phc::Result<String> {
    let mut params = ParamsString::new();
    params.add_decimal(Ident::new("m")?, cost.memory_kib)?;
    params.add_decimal(Ident::new("t")?, cost.passes)?;
    params.add_decimal(Ident::new("p")?, 1)?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params,
        salt: Some(Salt::new(salt)?),
        hash: Some(Output::new(output)?),
    };
    Ok(hash.to_string())
}

const SALT_LEN: usize = 16;
const OUTPUT_LEN: usize = 32;

const GENERATED_GROUPS: usize = 7;
const GENERATED_GROUP_LEN: usize = 4;

/// Digits and letters without i, l, o and u. Thirty-two of them, so that a byte chooses evenly.
const READABLE: [u8; 32] = *b"0123456789abcdefghjkmnpqrstvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        hash_password(&SecretString::from(password), PasswordCost::LEAST).unwrap()
    }

    #[test]
    fn a_password_is_verified_by_its_hash_and_no_other_is() {
        let stored = hash("correct horse");
        let memory = &mut HashMemory::new();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert!(verify_password(b"correct horse", &stored, memory).unwrap());
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!verify_password(wrong.as_bytes(), &stored, memory).unwrap(), "{wrong:?}");
        }
    }

    #[test]
    fn the_same_password_hashes_differently_each_time() {
        assert_ne!(hash("twice"), hash("twice"));
    }

    #[test]
    fn memory_is_reused_over_hashes_of_different_cost() {
        let small = hash("small");
        let large = hash_password(&SecretString::from("large"), PasswordCost::new(64, 2).unwrap()).unwrap();
        let memory = &mut HashMemory::new();
        for _ in 0..2 {
            assert!(verify_password(b"small", &small, memory).unwrap());
            assert!(verify_password(b"large", &large, memory).unwrap());
            assert!(!verify_password(b"small", &large, memory).unwrap());
        }
    }

    /// The hash of the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1`, as in
    /// its test vectors.
    #[test]
    fn a_hash_of_the_reference_implementation_is_understood() {
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify_password(b"password", stored, &mut HashMemory::new()).unwrap());
        assert!(needs_rehash(stored, PasswordCost::CLIENT));
    }

    #[test]
    fn what_is_no_hash_of_ours_is_an_error_and_never_a_match() {
        let cases = [
            "",
            "secret",
            "$argon2id$",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=65536,t=4000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ];
        for stored in cases {
            assert!(verify_password(b"password", stored, &mut HashMemory::new()).is_err(), "{stored}");
            assert!(needs_rehash(stored, PasswordCost::CLIENT), "{stored}");
        }
    }

    #[test]
    fn a_hash_is_made_anew_when_the_cost_changed() {
        let stored = hash("password");
        assert!(!needs_rehash(&stored, PasswordCost::LEAST));
        assert!(needs_rehash(&stored, PasswordCost::CLIENT));
    }

    #[test]
    fn generated_passwords_are_readable_and_never_alike() {
        let first = generate_password().unwrap();
        let first = first.expose_secret();
        assert_eq!(first.split('-').map(str::len).collect::<Vec<_>>(), [4; 7]);
        assert!(first.bytes().all(|byte| byte == b'-' || READABLE.contains(&byte)));
        assert_ne!(first, generate_password().unwrap().expose_secret());
    }
}
