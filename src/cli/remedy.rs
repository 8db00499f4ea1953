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
        Self::failed(error, "put this right and try again")
    }
}
