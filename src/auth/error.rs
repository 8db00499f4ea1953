//! What can go wrong while credentials are made, read and checked.

use super::identity::{IdentityField, USER_URN};
use crate::broker::InvalidName;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

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
    Thread(#[source] io::Error),
    /// A file of keys or certificates that is not there or not to be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder that cannot be made.
    #[error("{path} cannot be written: {source}")]
    Unwritable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key's file that is missing, or open to others, or somebody else's.
    #[error(transparent)]
    Key(#[from] StoreError),
    /// A file that should hold a certificate.
    #[error("{path} holds no certificate in PEM")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// A file that should hold a key.
    #[error("{path} holds no private key in PEM that certificates can be made with")]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The CA's key is kept elsewhere, or was lost.
    #[error("{path} is missing, and without the CA's key no certificate can be issued")]
    NoAuthority {
        /// Where it should be.
        path: PathBuf,
    },
    /// The CA's certificate and key are not a pair.
    #[error("the CA's certificate {certificate} and key {key} do not belong together")]
    NotAPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The CA has ended.
    #[error("the CA in {path} has expired")]
    AuthorityExpired {
        /// Its certificate.
        path: PathBuf,
    },
    /// A name that no certificate can carry.
    #[error("{0:?} is no host name and no address")]
    HostName(String),
    /// A number of days that makes no sense.
    #[error("a certificate is valid for 1 to {most} days, not {days}")]
    Days {
        /// As asked for.
        days: u32,
        /// The most that is allowed.
        most: u32,
    },
    /// The certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Issue(#[from] rcgen::Error),
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
    #[error("the URI among the certificate's alternative names does not begin with {}", USER_URN)]
    ForeignUri,
    /// The value is no user name.
    #[error("the certificate's name is no user name: {0}")]
    Name(#[source] InvalidName),
}
