//! Many accounts or rules at once: all of them, or none.

use super::database::{Database, GENERATION, count};
use super::error::StoreError;
use super::names::NameTable;
use super::roles::demand_role;
use super::rules::{NewRule, all_rules, insert_rule};
use super::users::{StoredUser, find_user, insert_user, take_up_role, write_user};
use crate::broker::Subject;

/// What becomes of one that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// It is a problem, and nothing is imported.
    Refuse,
    /// It stays as it is.
    Skip,
    /// The imported one takes its place.
    Replace,
}

/// Whether it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Everything is tried and nothing is kept.
    Preview,
    /// If everything is right, it is kept.
    Import,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Imported {
    /// New ones.
    pub added: u64,
    /// Ones in the place of others.
    pub replaced: u64,
    /// Ones that were there already and stay.
    pub skipped: u64,
    /// What is wrong, with the number of the line. If there is anything, nothing was imported.
    pub problems: Vec<(usize, StoreError)>,
}

pub(super) enum Outcome {
    Added,
    Replaced,
    Skipped,
}

impl Imported {
    pub(super) fn note(&mut self, line: usize, outcome: Result<Outcome, StoreError>) {
        match outcome {
            Ok(Outcome::Added) => self.added += 1,
            Ok(Outcome::Replaced) => self.replaced += 1,
            Ok(Outcome::Skipped) => self.skipped += 1,
            Err(error) => self.problems.push((line, error)),
        }
    }
}

impl Database {
    /// Imports accounts, each with the number of its line.
    pub async fn import_users(
        &self,
        users: &[(usize, StoredUser)],
        on_existing: OnExisting,
        attempt: Attempt,
    ) -> Result<Imported, StoreError> {
        let mut change = self.change().await?;
        let mut imported = Imported::default();
        for (line, user) in users {
            let connection = change.connection();
            let outcome = match (find_user(connection, self.keys(), &user.name).await?, on_existing) {
                (None, _) => insert_user(connection, self.keys(), user).await.map(|()| Outcome::Added),
                (Some(_), OnExisting::Refuse) => Err(StoreError::UserExists(user.name.clone())),
                (Some(_), OnExisting::Skip) => Ok(Outcome::Skipped),
                (Some((id, old)), OnExisting::Replace) => {
                    match demand_role(connection, self.keys(), &user.role).await {
                        Ok(()) => {
                            take_up_role(connection, self.keys(), &old.role, user).await?;
                            write_user(connection, self.keys(), id, user).await?;
                            Ok(Outcome::Replaced)
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            imported.note(*line, outcome);
        }
        self.finish_import(change, imported, attempt).await
    }

    /// Imports rules, each with the number of its line. One that says the same as another is that one.
    pub async fn import_rules(
        &self,
        rules: Vec<(usize, NewRule)>,
        on_existing: OnExisting,
        attempt: Attempt,
    ) -> Result<Imported, StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let mut imported = Imported::default();
        let mut known: Vec<_> = all_rules(connection, self.keys())
            .await?
            .into_iter()
            .map(|rule| {
                let effect = rule.effect;
                let (publish, subscribe) = (rule.publish, rule.subscribe);
                (rule.id, NewRule { subject: rule.subject, pattern: rule.pattern, publish, subscribe, effect })
            })
            .collect();
        for (line, rule) in rules {
            let there = known.iter().find(|(_, other)| *other == rule).map(|(id, _)| *id);
            let demanded = match &rule.subject {
                Subject::Role(name) => demand_role(connection, self.keys(), name).await,
                Subject::User(name) => match NameTable::Users.find(connection, self.keys(), name.as_str()).await? {
                    Some(_) => Ok(()),
                    None => Err(StoreError::UserUnknown(name.clone())),
                },
            };
            let outcome = match (demanded, there, on_existing) {
                (Err(error), _, _) => Err(error),
                (Ok(()), Some(id), OnExisting::Refuse) => Err(StoreError::RuleExists(id)),
                (Ok(()), Some(_), OnExisting::Skip | OnExisting::Replace) => Ok(Outcome::Skipped),
                (Ok(()), None, _) => {
                    let id = insert_rule(connection, self.keys(), rule.clone()).await?;
                    known.push((id, rule));
                    Ok(Outcome::Added)
                }
            };
            imported.note(line, outcome);
        }
        self.finish_import(change, imported, attempt).await
    }

    /// Keeps it if everything is right and it is meant; a change that is dropped is undone.
    async fn finish_import(
        &self,
        mut change: super::connection::Change<'_>,
        imported: Imported,
        attempt: Attempt,
    ) -> Result<Imported, StoreError> {
        let is_change = imported.added + imported.replaced > 0;
        if attempt == Attempt::Import && imported.problems.is_empty() && is_change {
            count(change.connection(), GENERATION).await?;
            change.commit().await?;
        }
        Ok(imported)
    }
}
