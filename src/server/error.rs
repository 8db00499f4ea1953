//! Why the broker does not start.

use super::transport::TlsSettingsError;
use crate::auth::AuthError;
use crate::broker::RoleName;
use crate::store::{StoreError, StoreFailure};
use std::io;
use std::net::SocketAddr;

/// Why the broker does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened to.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread or its runtime could not be made.
    #[error("a worker could not be started: {0}")]
    Worker(#[source] io::Error),
    /// Another broker uses the data folder.
    #[error("another broker runs on the data folder {}", .folder.display())]
    Locked {
        /// Which.
        folder: std::path::PathBuf,
    },
    /// The lock file of the data folder cannot be used.
    #[error("cannot lock {}: {source}", .file.display())]
    Lock {
        /// Which.
        file: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configured role does not exist.
    #[error("auth.anonymous_role is {0}, and there is no such role")]
    NoSuchRole(RoleName),
    /// The store does not take anything.
    #[error("the store cannot be written: {0}")]
    Begin(#[source] StoreFailure),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The login checks.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsSettingsError),
}
