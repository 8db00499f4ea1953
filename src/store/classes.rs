//! Classes: who teaches, who sits in them, and whether they are paused. A change of them is a change of the policy.

use super::database::{Database, GENERATION, count};
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::names::NameTable;
use super::record::{Decoder, Encoder};
use super::rules::{NewRule, insert_rule};
use super::seal::{BlindIndex, Place, RowKey};
use crate::broker::{ClassName, Course, PolicyClass, RoleName, RuleEffect, Subject, TopicPattern, UserName};
use sqlx::{SqliteConnection, query, query_as};
use std::collections::BTreeSet;

/// What a user is in a class; its role says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// Teachers and administrators teach.
    Teacher,
    /// Everybody else learns.
    Student,
}

impl Seat {
    /// What somebody of that role is in a class.
    pub fn of(role: &RoleName) -> Self {
        match role.as_str() {
            "Admin" | "Teacher" => Self::Teacher,
            _ => Self::Student,
        }
    }
}

impl Database {
    /// All classes, by name.
    pub async fn classes(&self) -> Result<Vec<PolicyClass>, StoreError> {
        all_classes(&mut *self.reader().await?, self.keys()).await
    }

    /// Adds a class without members. The first one of a store brings the rules with it that make classes what they are:
    /// ordinary rules of the roles Teacher and Student, which can be changed like all others.
    pub async fn add_class(&self, name: &ClassName) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        if NameTable::Classes.find(connection, self.keys(), name.as_str()).await?.is_some() {
            return Err(StoreError::ClassExists(name.clone()));
        }
        if all_classes(connection, self.keys()).await?.len() >= MOST_CLASSES {
            return Err(StoreError::TooMany { most: MOST_CLASSES, what: "classes" });
        }
        let id = count(connection, LAST_CLASS).await?;
        if id == 1 {
            for &(role, pattern, publish) in FIRST_RULES {
                insert_rule(connection, self.keys(), first_rule(role, pattern, publish)?).await?;
            }
        }
        let (teachers, students) = (BTreeSet::new(), BTreeSet::new());
        let class = PolicyClass { name: name.clone(), teachers, students, course: Course::Running };
        query("INSERT INTO classes (id, name_index, sealed) VALUES (?, ?, ?)")
            .bind(id)
            .bind(NameTable::Classes.index(self.keys(), name.as_str()).as_bytes())
            .bind(self.keys().seal(&place(id), &encode(&class))?)
            .execute(&mut *connection)
            .await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }

    /// Removes a class; its members stay users.
    pub async fn remove_class(&self, name: &ClassName) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let removed = query("DELETE FROM classes WHERE name_index = ?")
            .bind(NameTable::Classes.index(self.keys(), name.as_str()).as_bytes())
            .execute(&mut *connection)
            .await?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::ClassUnknown(name.clone()));
        }
        count(connection, GENERATION).await?;
        change.commit().await
    }

    /// Pauses a class or lets it go on.
    pub async fn set_course(&self, name: &ClassName, course: Course) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let (id, class) = find_class(connection, self.keys(), name).await?;
        update_class(connection, self.keys(), id, &PolicyClass { course, ..class }).await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }
}

/// Takes a user out of all classes, within a change: it is removed, or its role gives it another seat. Nobody begins to
/// teach the classes it sat in by getting another role.
pub(super) async fn leave_all_classes(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    user: &UserName,
) -> Result<(), StoreError> {
    for (id, mut class) in numbered(connection, keys).await? {
        if take_out(&mut class, user) {
            update_class(connection, keys, id, &class).await?;
        }
    }
    Ok(())
}

/// Whether the user was in it.
pub(super) fn take_out(class: &mut PolicyClass, user: &UserName) -> bool {
    let taught = class.teachers.remove(user);
    class.students.remove(user) || taught
}

pub(super) async fn all_classes(
    connection: &mut SqliteConnection,
    keys: &Keyring,
) -> Result<Vec<PolicyClass>, StoreError> {
    let mut classes: Vec<_> = numbered(connection, keys).await?.into_iter().map(|(_, class)| class).collect();
    classes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(classes)
}

async fn numbered(connection: &mut SqliteConnection, keys: &Keyring) -> Result<Vec<(i64, PolicyClass)>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, name_index, sealed FROM classes").fetch_all(connection).await?;
    rows.into_iter().map(|row| Ok((row.0, open(keys, row)?))).collect()
}

pub(super) async fn find_class(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    name: &ClassName,
) -> Result<(i64, PolicyClass), StoreError> {
    let row: Option<(i64, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, name_index, sealed FROM classes WHERE name_index = ?")
            .bind(NameTable::Classes.index(keys, name.as_str()).as_bytes())
            .fetch_optional(connection)
            .await?;
    let row = row.ok_or_else(|| StoreError::ClassUnknown(name.clone()))?;
    Ok((row.0, open(keys, row)?))
}

pub(super) async fn update_class(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    id: i64,
    class: &PolicyClass,
) -> Result<(), StoreError> {
    query("UPDATE classes SET sealed = ? WHERE id = ?")
        .bind(keys.seal(&place(id), &encode(class))?)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

fn open(keys: &Keyring, (id, name_index, sealed): (i64, Vec<u8>, Vec<u8>)) -> Result<PolicyClass, StoreError> {
    let opened = keys.open(&place(id), &sealed)?;
    let class = decode(&opened).and_then(|class| {
        let agrees = NameTable::Classes.index(keys, class.name.as_str()).as_bytes() == name_index;
        if agrees { Ok(class) } else { Err(RecordError::Disagrees) }
    });
    class.map_err(|source| StoreError::Unreadable { table: TABLE, row: place(id).row.label(), source })
}

/// The blind index that goes with what is sealed in a row.
pub(super) fn index_of(keys: &Keyring, opened: &[u8]) -> Option<BlindIndex> {
    decode(opened).ok().map(|class| NameTable::Classes.index(keys, class.name.as_str()))
}

fn place(id: i64) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Number(id) }
}

fn encode(class: &PolicyClass) -> Vec<u8> {
    let mut encoder = Encoder::new(VERSION);
    encoder.string(class.name.as_str());
    encoder.flag(class.course == Course::Paused);
    for members in [&class.teachers, &class.students] {
        encoder.number(u64::try_from(members.len()).unwrap_or(u64::MAX));
        members.iter().for_each(|member| encoder.string(member.as_str()));
    }
    encoder.finish()
}

fn decode(bytes: &[u8]) -> Result<PolicyClass, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let name = decoder.class_name()?;
    let course = if decoder.flag()? { Course::Paused } else { Course::Running };
    let (teachers, students) = (members(&mut decoder)?, members(&mut decoder)?);
    decoder.finish()?;
    Ok(PolicyClass { name, teachers, students, course })
}

fn members(decoder: &mut Decoder<'_>) -> Result<BTreeSet<UserName>, RecordError> {
    let length = decoder.number()?;
    (0..length).map(|_| decoder.user_name()).collect()
}

/// What the members of every class may do: each student where its own name is and in what is shared, the teacher
/// everywhere in the class; announcements come from the teacher.
const FIRST_RULES: &[(&str, &str, bool)] = &[
    ("Teacher", "c/%g/#", true),
    ("Student", "c/%g/u/%u/#", true),
    ("Student", "c/%g/shared/#", true),
    ("Student", "c/%g/announce/#", false),
];

fn first_rule(role: &str, pattern: &str, publish: bool) -> Result<NewRule, StoreError> {
    Ok(NewRule {
        subject: Subject::Role(RoleName::new(role)?),
        pattern: TopicPattern::new(pattern)?,
        publish,
        subscribe: true,
        effect: RuleEffect::Allow,
    })
}

/// They are read as a whole with every change of the policy.
const MOST_CLASSES: usize = 2000;

const TABLE: &str = "classes";
const VERSION: u8 = 1;
pub(super) const LAST_CLASS: &str = "last_class";
