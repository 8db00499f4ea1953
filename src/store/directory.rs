//! All users, roles and rules at one moment.

use super::database::{Database, generation};
use super::error::StoreError;
use super::roles::{StoredRole, all_roles};
use super::rules::all_rules;
use super::users::{StoredUser, all_users};
use crate::broker::{Policy, PolicyUser, Rule};
use sqlx::Connection;

/// All users, roles and rules at one moment.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The number of this moment: it grows with every change.
    pub generation: u64,
    /// By name.
    pub users: Vec<StoredUser>,
    /// By name.
    pub roles: Vec<StoredRole>,
    /// By number.
    pub rules: Vec<Rule>,
}

impl Directory {
    /// What the broker decides by.
    pub fn policy(&self) -> Policy {
        let user =
            |user: &StoredUser| PolicyUser { name: user.name.clone(), role: user.role.clone(), enabled: user.enabled };
        Policy::new(self.generation, self.users.iter().map(user).collect(), self.rules.clone())
    }
}

impl Database {
    /// Users, roles and rules as they were at one moment, whatever other processes change meanwhile.
    ///
    /// One row that does not open fails the whole: a policy of which a part is missing must not decide anything.
    pub async fn directory(&self) -> Result<Directory, StoreError> {
        let mut reader = self.readers().acquire().await?;
        let mut snapshot = reader.begin().await?;
        let directory = Directory {
            generation: generation(&mut snapshot).await?,
            users: all_users(&mut snapshot, self.keys()).await?,
            roles: all_roles(&mut snapshot, self.keys()).await?,
            rules: all_rules(&mut snapshot, self.keys()).await?,
        };
        snapshot.commit().await?;
        Ok(directory)
    }
}
