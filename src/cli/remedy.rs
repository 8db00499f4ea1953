//! From what went wrong below to an exit code and what to do about it: the one place that says so.

use super::error::CliError;
use crate::auth::AuthError;
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
