//! Who is in which class.

use super::classes::{Seat, all_classes, find_class, take_out, update_class};
use super::database::{Database, GENERATION, count};
use super::error::StoreError;
use super::keys::Keyring;
use super::users::{StoredUser, find_user, insert_user};
use crate::broker::{ClassName, UserName};
use sqlx::SqliteConnection;

impl Database {
    /// Adds an account and puts it into a class, both or neither.
    pub async fn add_member(&self, user: &StoredUser, name: &ClassName) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        insert_user(connection, self.keys(), user).await?;
        put_in(connection, self.keys(), name, std::slice::from_ref(&user.name)).await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }

    /// Puts users into a class, all or none; each gets the seat of its role.
    pub async fn assign(&self, name: &ClassName, users: &[UserName]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        put_in(connection, self.keys(), name, users).await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }

    /// Takes users out of a class, all or none.
    pub async fn unassign(&self, name: &ClassName, users: &[UserName]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let (id, mut class) = find_class(connection, self.keys(), name).await?;
        for user in users {
            if !take_out(&mut class, user) {
                return Err(StoreError::NotInClass { user: user.clone(), class: name.clone() });
            }
        }
        update_class(connection, self.keys(), id, &class).await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }
}

async fn put_in(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    name: &ClassName,
    users: &[UserName],
) -> Result<(), StoreError> {
    let (id, mut class) = find_class(connection, keys, name).await?;
    for user in users {
        let found = find_user(connection, keys, user).await?;
        let (_, account) = found.ok_or_else(|| StoreError::UserUnknown(user.clone()))?;
        take_out(&mut class, user);
        match Seat::of(&account.role) {
            Seat::Teacher => class.teachers.insert(user.clone()),
            Seat::Student => class.students.insert(user.clone()),
        };
    }
    if class.members().count() > MOST_MEMBERS {
        return Err(StoreError::TooMany { most: MOST_MEMBERS, what: "users in this class" });
    }
    update_class(connection, keys, id, &class).await?;
    demand_few_classes(connection, keys, users).await
}

/// What a session may do grows with every class of its user.
async fn demand_few_classes(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    users: &[UserName],
) -> Result<(), StoreError> {
    let classes = all_classes(connection, keys).await?;
    for user in users {
        if classes.iter().filter(|class| class.members().any(|member| member == user)).count() > MOST_PER_USER {
            return Err(StoreError::TooMany { most: MOST_PER_USER, what: "classes of this user" });
        }
    }
    Ok(())
}

/// A class is one sealed row.
const MOST_MEMBERS: usize = 2000;
/// Each makes every rule with `%g` one more that is asked for every message.
const MOST_PER_USER: usize = 50;
