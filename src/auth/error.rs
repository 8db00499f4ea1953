//! What can go wrong while credentials are made, read and checked.

use super::certificate::IdentityField;
use crate::broker::InvalidName;

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
    /// A hashing thread could not be started.
    #[error("a thread for password checks could not be started")]
    Thread(#[source] std::io::Error),
}

/// Why a certificate that TLS verified names no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// Not a certificate, or one with fields that are not what they should be.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// The field is missing.
    #[error("the certificate has no {}", .0.words())]
    NoName(IdentityField),
    /// The field is there more than once, so that it names nobody.
    #[error("the certificate has more than one {}", .0.words())]
    ManyNames(IdentityField),
    /// The field is not UTF-8 text.
    #[error("the {} of the certificate is not UTF-8 text", .0.words())]
    NotText(IdentityField),
    /// The URI is not one that names a user.
    #[error("the URI among the certificate's alternative names does not begin with {}", super::certificate::USER_URN)]
    ForeignUri,
    /// The value is no user name.
    #[error("the certificate's name is no user name: {0}")]
    Name(#[source] InvalidName),
}
