//! From what went wrong below to an exit code and what to do about it: the one place that says so.

use super::error::CliError;
use crate::auth::AuthError;
use crate::server::ServerError;
use crate::store::StoreError;
use std::io::ErrorKind;

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UserUnknown(_) => Self::not_found(&error, "`securemq user list` shows all users"),
            StoreError::RoleUnknown { .. } => {
                let text = error.to_string();
                let (message, remedy) = in_two(&text);
                Self::not_found(message, remedy)
            }
            StoreError::RuleUnknown(_) => Self::not_found(&error, "`securemq acl list` shows all rules"),
            StoreError::UserExists(_) => {
                Self::failed(&error, "choose another name, or change this user with passwd, role, disable or enable")
            }
            StoreError::File { source, .. } => Self::failed(&error, file_remedy(source.kind())),
            StoreError::KeyTextInvalid => Self::failed(&error, "hand over the key that `serve` put into master.key"),
            _ => {
                let text = error.to_string();
                let (message, remedy) = in_two(&text);
                Self::failed(message, remedy)
            }
        }
    }
}

/// Errors about files and rows say themselves what mends them, behind their last semicolon.
fn in_two(text: &str) -> (&str, &str) {
    text.rsplit_once("; ").unwrap_or((text, "put this right and try again"))
}

fn file_remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "run it as the user who owns the folder, or name another with --data-dir",
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands where a folder is expected: name another place with --data-dir"
        }
        ErrorKind::ReadOnlyFilesystem => "name a folder that can be written with --data-dir",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or name another folder with --data-dir",
        _ => "put this right and try again",
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
            AuthError::NoCertificate { .. } | AuthError::NoKey { .. } => Self::failed(
                &error,
                "restore it from a backup; server.crt and server.key are made again when both are removed",
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
            | AuthError::Issue(_) => Self::failed(&error, "put this right and try again"),
        }
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        let error = match error {
            ServerError::Store(error) => return error.into(),
            ServerError::Auth(error) => return error.into(),
            other => other,
        };
        let remedy = match &error {
            ServerError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                "end the program that listens there, or choose another port with --listen"
            }
            ServerError::Bind { .. } => "choose another address or port with --listen, or in the configuration",
            ServerError::Worker(_) => "raise the limits of processes and open files (`ulimit -u`, `ulimit -n`)",
            ServerError::Locked { .. } => "stop the other broker, or name another folder with --data-dir",
            ServerError::Lock { .. } => "make the data folder writable for this user",
            ServerError::NoSuchRole(_) => "set auth.anonymous_role to Admin, Teacher, Student or a role that was added",
            ServerError::Store(_) | ServerError::Auth(_) => "put this right and start again",
            ServerError::Tls(_) => {
                "put the files right; the broker makes server.crt and server.key in tls/ when both are missing"
            }
        };
        Self::failed(&error, remedy)
    }
}
