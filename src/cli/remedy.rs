//! From what went wrong below to an exit code and what to do about it: the one place that says so.

use super::error::CliError;
use crate::admin::{AdminError, HostError};
use crate::auth::AuthError;
use crate::server::ServerError;
use crate::store::StoreError;

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UserUnknown(_) => Self::not_found(&error, "`securemq user list` shows all users"),
            StoreError::RoleUnknown { .. } => {
                Self::not_found(&error, "the built-in roles are Admin, Teacher and Student")
            }
            StoreError::RuleUnknown(_) => Self::not_found(&error, "`securemq acl list` shows all rules"),
            StoreError::UserExists(_) => {
                Self::failed(&error, "choose another name, or change this user with passwd, role, disable or enable")
            }
            _ => Self::failed(&error, "put this right and try again"),
        }
    }
}

impl From<AuthError> for CliError {
    fn from(error: AuthError) -> Self {
        match &error {
            AuthError::NoAuthority { .. } => Self::failed(
                &error,
                "bring the key back for this, or, if there is no authority yet: securemq cert init",
            ),
            AuthError::AuthorityExpired { .. } => Self::failed(
                &error,
                "move the folder away and make a new authority: securemq cert init; then give clients its certificate",
            ),
            AuthError::NotAPair { .. } => Self::failed(&error, "bring back the file that belongs to the other one"),
            AuthError::HostName(_) => {
                Self::usage(&error, "give names like broker.example.com or addresses like 192.0.2.7")
            }
            AuthError::Days { .. } => Self::usage(&error, "give another number with --days"),
            AuthError::Randomness
            | AuthError::PasswordCost { .. }
            | AuthError::StoredHash
            | AuthError::Hash(_)
            | AuthError::Thread(_)
            | AuthError::Unreadable { .. }
            | AuthError::Unwritable { .. }
            | AuthError::Key(_)
            | AuthError::NoCertificate { .. }
            | AuthError::NoKey { .. }
            | AuthError::Issue(_) => Self::failed(&error, "put this right and try again"),
        }
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        let remedy = match &error {
            ServerError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                "end the program that listens there, or choose another port with --listen"
            }
            ServerError::Bind { .. } => "choose another address or port with --listen, or in the configuration",
            ServerError::Worker(_) => "raise the limits of processes and open files (`ulimit -u`, `ulimit -n`)",
            ServerError::Locked { .. } => "stop the other broker, or name another folder with --data-dir",
            ServerError::Lock { .. } => "make the data folder writable for this user",
            ServerError::NoSuchRole(_) => "set auth.anonymous_role to one of the roles that `securemq user` knows",
            ServerError::Store(_) | ServerError::Auth(_) => "nothing was changed; put this right and start again",
            ServerError::Tls(_) => "put the files right, or take them out of the configuration to have them made",
        };
        Self::failed(&error, remedy)
    }
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => error.into(),
            AdminError::Auth(error) => error.into(),
            AdminError::NotInForce => {
                Self::failed(&error, "look at what the broker prints; restarting it puts every change into force")
            }
            error => Self::failed(&error, "put this right and try again"),
        }
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        let remedy = match &error {
            HostError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                "end the program that listens there, or choose another port with --port"
            }
            HostError::Bind { .. } => "choose another address with --listen, or another port with --port",
            HostError::Socket { .. } => {
                "make the data folder writable for this user, and its path shorter than 100 bytes"
            }
            HostError::PlainBeyondLoopback(_) => "leave web.plain out: the pages are then served over TLS",
        };
        Self::failed(&error, remedy)
    }
}
