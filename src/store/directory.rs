//! All users, roles, rules and classes at one moment.

use super::classes::all_classes;
use super::database::{Database, generation};
use super::error::StoreError;
use super::roles::{StoredRole, all_roles};
use super::rules::all_rules;
use super::users::{StoredUser, all_users};
use crate::broker::{Policy, PolicyClass, PolicyUser, Rule, UserName};
use sqlx::Connection;

/// All users, roles, rules and classes at one moment.
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
    /// By name.
    pub classes: Vec<PolicyClass>,
}

impl Directory {
    /// What the broker decides by.
    pub fn policy(&self) -> Policy {
        self.policy_with(self.rules.clone())
    }

    /// What the broker would decide by with these rules.
    pub fn policy_with(&self, rules: Vec<Rule>) -> Policy {
        let user =
            |user: &StoredUser| PolicyUser { name: user.name.clone(), role: user.role.clone(), enabled: user.enabled };
        Policy::new(self.generation, self.users.iter().map(user).collect(), rules).with_classes(&self.classes)
    }

    /// The account of that name.
    pub fn user(&self, name: &UserName) -> Option<&StoredUser> {
        let place = self.users.binary_search_by(|user| user.name.cmp(name)).ok()?;
        self.users.get(place)
    }
}

impl Database {
    /// Users, roles, rules and classes as they were at one moment, whatever other processes change meanwhile.
    ///
    /// One row that does not open fails the whole: a policy of which a part is missing must not decide anything.
    pub async fn directory(&self) -> Result<Directory, StoreError> {
        let mut reader = self.reader().await?;
        let mut snapshot = reader.begin().await?;
        let directory = Directory {
            generation: generation(&mut snapshot).await?,
            users: all_users(&mut snapshot, self.keys()).await?,
            roles: all_roles(&mut snapshot, self.keys()).await?,
            rules: all_rules(&mut snapshot, self.keys()).await?,
            classes: all_classes(&mut snapshot, self.keys()).await?,
        };
        snapshot.commit().await?;
        Ok(directory)
    }
}
