//! What can go wrong while credentials are made, read and checked.

/// Why credentials could not be made, read or checked. A wrong password is not an error but an answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The kernel gave no random bytes.
    #[error("the system gave no random bytes")]
    Randomness,
    /// A password cost outside of what is sensible.
    #[error("a password hash may take 8 to 1,048,576 KiB and 1 to 64 passes, not {memory_kib} KiB and {passes}")]
    PasswordCost {
        /// As asked for.
        memory_kib: u32,
        /// As asked for.
        passes: u32,
    },
    /// A stored hash that is none, or one of a kind that this program does not make.
    #[error("a stored password hash is not one of argon2id")]
    StoredHash,
    /// The hash function refused, which it does for a password of more than 4 GiB.
    #[error("the password could not be hashed")]
    Hash(#[source] argon2::Error),
}
