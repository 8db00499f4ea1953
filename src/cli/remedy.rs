//! From what went wrong below to an exit code and what to do about it: the one place that says so.

use super::error::CliError;
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
        Self::failed(error, "put this right and try again")
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
