//! Rules of access control.

use super::database::{Database, GENERATION, count};
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::names::NameTable;
use super::record::{Decoder, Encoder};
use super::roles::demand_role;
use super::seal::{BlindIndex, Place, RowKey};
use crate::broker::{Rule, RuleEffect, RuleId, Subject, TopicPattern};
use sqlx::{SqliteConnection, query, query_as};

/// A rule before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRule {
    /// Whom it speaks of.
    pub subject: Subject,
    /// Which topics.
    pub pattern: TopicPattern,
    /// Whether it speaks of publishing.
    pub publish: bool,
    /// Whether it speaks of subscribing and receiving.
    pub subscribe: bool,
    /// What it says.
    pub effect: RuleEffect,
}

impl Database {
    /// All rules, by number.
    pub async fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        all_rules(&mut *self.reader().await?, self.keys()).await
    }

    /// Adds a rule; its user or role must exist.
    pub async fn add_rule(&self, rule: NewRule) -> Result<RuleId, StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        match &rule.subject {
            Subject::User(name) => {
                let found = NameTable::Users.find(connection, self.keys(), name.as_str()).await?;
                found.ok_or_else(|| StoreError::UserUnknown(name.clone()))?;
            }
            Subject::Role(name) => demand_role(connection, self.keys(), name).await?,
        }
        let id = insert_rule(connection, self.keys(), rule).await?;
        count(connection, GENERATION).await?;
        change.commit().await?;
        Ok(id)
    }

    /// Removes a rule and says what it was.
    pub async fn remove_rule(&self, id: RuleId) -> Result<Rule, StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let row: Option<(i64, Vec<u8>, Vec<u8>)> =
            query_as("DELETE FROM rules WHERE id = ? RETURNING id, subject_index, sealed")
                .bind(id.0)
                .fetch_optional(&mut *connection)
                .await?;
        let rule = open(self.keys(), row.ok_or(StoreError::RuleUnknown(id))?)?;
        count(connection, GENERATION).await?;
        change.commit().await?;
        Ok(rule)
    }
}

pub(super) async fn all_rules(connection: &mut SqliteConnection, keys: &Keyring) -> Result<Vec<Rule>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, subject_index, sealed FROM rules ORDER BY id").fetch_all(connection).await?;
    rows.into_iter().map(|row| open(keys, row)).collect()
}

pub(super) async fn insert_rule(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    rule: NewRule,
) -> Result<RuleId, StoreError> {
    let id = count(connection, LAST_RULE).await?;
    let sealed = keys.seal(&place(id), &encode(&rule))?;
    query("INSERT INTO rules (id, subject_index, sealed) VALUES (?, ?, ?)")
        .bind(id)
        .bind(subject_index(keys, &rule.subject).as_bytes())
        .bind(sealed)
        .execute(connection)
        .await?;
    Ok(RuleId(id))
}

/// Removes all rules of a user or role.
pub(super) async fn remove_rules_of(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    subject: &Subject,
) -> Result<(), StoreError> {
    query("DELETE FROM rules WHERE subject_index = ?")
        .bind(subject_index(keys, subject).as_bytes())
        .execute(connection)
        .await?;
    Ok(())
}

fn open(keys: &Keyring, (id, subject, sealed): (i64, Vec<u8>, Vec<u8>)) -> Result<Rule, StoreError> {
    let opened = keys.open(&place(id), &sealed)?;
    let rule = decode(RuleId(id), &opened).and_then(|rule| {
        let agrees = subject_index(keys, &rule.subject).as_bytes() == subject;
        if agrees { Ok(rule) } else { Err(RecordError::Disagrees) }
    });
    rule.map_err(|source| StoreError::Unreadable { table: TABLE, row: place(id).row.label(), source })
}

pub(super) fn subject_index(keys: &Keyring, subject: &Subject) -> BlindIndex {
    match subject {
        Subject::User(name) => keys.index("rules of users", name.as_str()),
        Subject::Role(name) => keys.index("rules of roles", name.as_str()),
    }
}

/// The blind index that goes with what is sealed in a row.
pub(super) fn index_of(keys: &Keyring, opened: &[u8]) -> Option<BlindIndex> {
    decode(RuleId(0), opened).ok().map(|rule| subject_index(keys, &rule.subject))
}

fn place(id: i64) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Number(id) }
}

fn encode(rule: &NewRule) -> Vec<u8> {
    let mut encoder = Encoder::new(VERSION);
    match &rule.subject {
        Subject::User(name) => {
            encoder.byte(SUBJECT_USER);
            encoder.string(name.as_str());
        }
        Subject::Role(name) => {
            encoder.byte(SUBJECT_ROLE);
            encoder.string(name.as_str());
        }
    }
    encoder.string(rule.pattern.as_str());
    encoder.flag(rule.publish);
    encoder.flag(rule.subscribe);
    encoder.byte(match rule.effect {
        RuleEffect::Allow => EFFECT_ALLOW,
        RuleEffect::Deny => EFFECT_DENY,
    });
    encoder.finish()
}

fn decode(id: RuleId, bytes: &[u8]) -> Result<Rule, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let subject = match decoder.byte()? {
        SUBJECT_USER => Subject::User(decoder.user_name()?),
        SUBJECT_ROLE => Subject::Role(decoder.role_name()?),
        other => return Err(RecordError::UnknownKind(u64::from(other))),
    };
    let pattern = TopicPattern::new(decoder.string()?)?;
    let (publish, subscribe) = (decoder.flag()?, decoder.flag()?);
    let effect = match decoder.byte()? {
        EFFECT_ALLOW => RuleEffect::Allow,
        EFFECT_DENY => RuleEffect::Deny,
        other => return Err(RecordError::UnknownKind(u64::from(other))),
    };
    decoder.finish()?;
    Ok(Rule { id, subject, pattern, publish, subscribe, effect })
}

const TABLE: &str = "rules";
const VERSION: u8 = 1;
const SUBJECT_USER: u8 = 0;
const SUBJECT_ROLE: u8 = 1;
const EFFECT_ALLOW: u8 = 0;
const EFFECT_DENY: u8 = 1;
pub(super) const LAST_RULE: &str = "last_rule";
