//! Users, roles and classes are found by their names, through blind indexes.

use super::error::StoreError;
use super::keys::Keyring;
use super::seal::BlindIndex;
use sqlx::{SqliteConnection, query_scalar};

/// A table whose rows are found by a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum NameTable {
    Users,
    Roles,
    Classes,
}

impl NameTable {
    pub(super) fn index(self, keys: &Keyring, name: &str) -> BlindIndex {
        match self {
            Self::Users => keys.index("users", name),
            Self::Roles => keys.index("roles", name),
            Self::Classes => keys.index("classes", name),
        }
    }

    /// The number of the row with that name.
    pub(super) async fn find(
        self,
        connection: &mut SqliteConnection,
        keys: &Keyring,
        name: &str,
    ) -> Result<Option<i64>, StoreError> {
        let sql = match self {
            Self::Users => "SELECT id FROM users WHERE name_index = ?",
            Self::Roles => "SELECT id FROM roles WHERE name_index = ?",
            Self::Classes => "SELECT id FROM classes WHERE name_index = ?",
        };
        Ok(query_scalar(sql).bind(self.index(keys, name).as_bytes()).fetch_optional(connection).await?)
    }
}
