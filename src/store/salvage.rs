//! A damaged database: what is wrong with it, and a new one of everything in it that verifies.
//!
//! The damaged file is never written. Rows are read by their numbers; around pages that cannot be read the next number
//! that can is searched for. A row counts only if its seal opens in its place, so nothing that was altered comes along.

use super::api_keys::LAST_API_KEY;
use super::classes::{LAST_CLASS, all_classes};
use super::connection::{options, read_only_options};
use super::copy::with_suffix;
use super::create::add_built_in_roles;
use super::database::{Database, GENERATION, GENERATION_IN_FORCE};
use super::database_path::{DATABASE, database_in};
use super::error::{FileAction, StoreError};
use super::journal::RUN;
use super::keys::{Keyring, MasterKey};
use super::migrate::{apply, demand_no_triggers, migrations, schema_of};
use super::private_file::PrivateFile;
use super::replacement::{Replacement, finish_replacement};
use super::roles::{LAST_ROLE, all_roles};
use super::rules::{LAST_RULE, NewRule, all_rules, insert_rule, subject_index};
use super::tables::{SEALED_TABLES, SealedRow, SealedTable, Value};
use super::users::{LAST_USER, all_users};
use super::wal::examine_wal;
use super::wall_clock::UnixMillis;
use super::wrapping::load_keys;
use crate::broker::{RuleEffect, Subject, TopicPattern};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, query, query_as, query_scalar};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with a database before it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// Of the file itself, in words. A database with such problems has to be salvaged.
    pub problems: Vec<String>,
    /// Pages that were written to the log and cannot be had from it any more.
    pub lost_log_pages: u64,
}

impl Damage {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.problems.is_empty() && self.lost_log_pages == 0
    }
}

/// What became of a damaged database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Salvage {
    /// What was found in each table.
    pub tables: Vec<SalvagedTable>,
    /// Whose rules were lost: everything is denied to them until an administrator has looked.
    pub denied: Vec<Subject>,
    /// Where the damaged files are now.
    pub aside: Vec<PathBuf>,
}

/// What was found in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SalvagedTable {
    /// Its name.
    pub name: &'static str,
    /// Rows that are in the new database.
    pub kept: u64,
    /// Rows that are known to be lost.
    pub lost: u64,
    /// Whether parts could not be read whose number of rows nobody knows.
    pub has_unknown_losses: bool,
}

impl SalvagedTable {
    /// Whether every row was kept.
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && !self.has_unknown_losses
    }
}

impl fmt::Display for SalvagedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} kept, ", self.name, self.kept)?;
        match (self.lost, self.has_unknown_losses) {
            (0, true) => f.write_str("an unknown number lost"),
            (lost, true) => write!(f, "at least {lost} lost"),
            (lost, false) => write!(f, "{lost} lost"),
        }
    }
}

impl Database {
    /// Looks for damage without changing anything. No broker may run on the folder.
    ///
    /// The pages of a small database are all checked; of a large one those of the tables that a start does not read
    /// anyway are left to be noticed when they are read.
    pub async fn examine(folder: &Path, key: &MasterKey) -> Result<Damage, StoreError> {
        finish_replacement(folder)?;
        let path = database_in(folder);
        let log = examine_wal(&with_suffix(&path, "-wal"))?;
        let mut damage = Damage { lost_log_pages: log.lost, ..Damage::default() };
        match problems_of(&path, key, log.lost > 0).await {
            Ok(problems) => damage.problems = problems,
            Err(error) if error.is_damage() => damage.problems.push(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(damage)
    }

    /// Keeps a copy of the log of a database whose end cannot be read.
    pub fn set_log_aside(folder: &Path) -> Result<PathBuf, StoreError> {
        let log = with_suffix(&database_in(folder), "-wal");
        let aside =
            (1_u32..).map(|number| with_suffix(&log, &format!(".damaged-{number}"))).find(|path| !path.exists());
        let aside = aside.unwrap_or_else(|| with_suffix(&log, ".damaged"));
        let contents = std::fs::read(&log);
        let contents =
            contents.map_err(|source| StoreError::File { action: FileAction::Read, path: log.clone(), source })?;
        PrivateFile::create(&aside, &contents)?;
        Ok(aside)
    }

    /// Begins the log of a database anew, after a copy of a damaged one was set aside: what SQLite reads of it goes into
    /// the file, and what is left of it is not found again by every later start.
    pub async fn begin_log_anew(folder: &Path) -> Result<(), StoreError> {
        let mut connection = options(&database_in(folder)).connect().await?;
        query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Makes a new database of what verifies and puts it in the place of the damaged one, which is set aside. Without its
    /// keys nothing in it can be read: then it is left as it is.
    pub async fn salvage(folder: &Path, key: &MasterKey) -> Result<Salvage, StoreError> {
        let path = database_in(folder);
        let replacement = Replacement::begin(folder)?;
        match rescue(&path, key, &replacement.staged().join(DATABASE)).await {
            Ok(salvage) => Ok(Salvage { aside: replacement.put_in_force("damaged")?, ..salvage }),
            Err(error) => {
                replacement.abandon()?;
                Err(error)
            }
        }
    }
}

async fn problems_of(path: &Path, key: &MasterKey, is_log_damaged: bool) -> Result<Vec<String>, StoreError> {
    PrivateFile::demand(path)?;
    let mut connection = read_only_options(path).connect().await?;
    let schema = schema_of(&mut connection).await?;
    let Some(found) = schema else { return Err(StoreError::NotOurs { path: path.to_owned() }) };
    let known = migrations().iter().map(|migration| migration.version).max().unwrap_or_default();
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    let keys = load_keys(&mut connection, path, key).await?;
    let size = std::fs::metadata(path).map(|about| about.len()).unwrap_or_default();
    let mut problems = Vec::new();
    if size <= CHECKED_IN_FULL || is_log_damaged {
        problems = query_scalar("PRAGMA quick_check(20)").fetch_all(&mut connection).await?;
        problems.retain(|line| line != "ok");
    }
    if let Err(error) = demand_no_triggers(&mut connection, path).await {
        problems.push(error.to_string());
    }
    let counters: i64 = query_scalar("SELECT count(*) FROM counters WHERE name IN (?, ?, ?, ?, ?)")
        .bind(GENERATION)
        .bind(GENERATION_IN_FORCE)
        .bind(LAST_ROLE)
        .bind(LAST_USER)
        .bind(LAST_RULE)
        .fetch_one(&mut connection)
        .await?;
    if counters != 5 {
        problems.push("rows of table counters are missing".to_owned());
    }
    let mut note = |error: StoreError| problems.push(error.to_string());
    let _ = all_roles(&mut connection, &keys).await.map_err(&mut note);
    let _ = all_users(&mut connection, &keys).await.map_err(&mut note);
    let _ = all_rules(&mut connection, &keys).await.map_err(&mut note);
    if schema == Some(known) {
        let _ = all_classes(&mut connection, &keys).await.map_err(&mut note);
    }
    connection.close().await?;
    Ok(problems)
}

/// Copies everything that verifies into a new database.
async fn rescue(from: &Path, key: &MasterKey, to: &Path) -> Result<Salvage, StoreError> {
    let lost_keys = |_| StoreError::KeysDamaged { path: from.to_owned() };
    // So SQLite reads what there is of a file that was cut off, and what it can of a schema; the connection cannot write.
    let reading = read_only_options(from).pragma("writable_schema", "ON");
    let mut source = reading.connect().await.map_err(lost_keys)?;
    let needed = |error: StoreError| match error.is_damage() {
        true => StoreError::KeysDamaged { path: from.to_owned() },
        false => error,
    };
    let keys = load_keys(&mut source, from, key).await.map_err(needed)?;
    PrivateFile::create(to, &[])?;
    let mut target = options(to).connect().await?;
    apply(&mut target, to, migrations()).await?;
    query("BEGIN IMMEDIATE").execute(&mut target).await?;
    copy_keys(&mut source, &mut target, &keys).await.map_err(needed)?;
    let mut salvage = Salvage::default();
    let mut lost_rules = Vec::new();
    let known = migrations().iter().map(|migration| migration.version).max();
    let is_older = schema_of(&mut source).await.is_ok_and(|found| found < known);
    for table in SEALED_TABLES {
        if !table.is_in(&mut source).await.unwrap_or(false) {
            let unknown = !is_older;
            salvage.tables.push(SalvagedTable { name: table.name, kept: 0, lost: 0, has_unknown_losses: unknown });
            continue;
        }
        let (found, lost) = copy_table(&mut source, &mut target, table, &keys).await?;
        salvage.tables.push(found);
        if table.name == "rules" {
            lost_rules = lost;
        }
    }
    for (counter, table) in [
        (LAST_ROLE, "roles"),
        (LAST_USER, "users"),
        (LAST_RULE, "rules"),
        (LAST_CLASS, "classes"),
        (LAST_API_KEY, "api_keys"),
    ] {
        let sql =
            format!("UPDATE counters SET value = max(value, (SELECT ifnull(max(id), 0) FROM {table})) WHERE name = ?");
        query(AssertSqlSafe(sql)).bind(counter).execute(&mut target).await?;
    }
    add_built_in_roles(&mut target, &keys).await?;
    let rules = salvage.tables.iter().find(|table| table.name == "rules");
    if rules.is_some_and(|rules| !rules.is_whole()) {
        salvage.denied = deny(&mut target, &keys, &lost_rules, rules).await?;
    }
    query("COMMIT").execute(&mut target).await?;
    target.close().await?;
    // A source that is damaged may refuse even this.
    let _ = source.close().await;
    Ok(salvage)
}

/// Copies what is not sealed row by row. Numbers that are lost begin where no number was used.
async fn copy_keys(
    source: &mut SqliteConnection,
    target: &mut SqliteConnection,
    keys: &Keyring,
) -> Result<(), StoreError> {
    let rows: Vec<(String, Vec<u8>)> = query_as("SELECT name, value FROM meta").fetch_all(&mut *source).await?;
    for (name, value) in rows {
        query("INSERT INTO meta (name, value) VALUES (?, ?)").bind(name).bind(value).execute(&mut *target).await?;
    }
    let rows: Vec<(i64, Vec<u8>)> = query_as("SELECT id, wrapped FROM data_keys").fetch_all(&mut *source).await?;
    for (id, wrapped) in rows {
        query("INSERT INTO data_keys (id, wrapped) VALUES (?, ?)").bind(id).bind(wrapped).execute(&mut *target).await?;
    }
    super::logs::mend_marks(target, keys).await?;
    for name in [GENERATION, GENERATION_IN_FORCE, LAST_ROLE, LAST_USER, LAST_RULE, LAST_CLASS, LAST_API_KEY, RUN] {
        let found: Result<Option<i64>, _> =
            query_scalar("SELECT value FROM counters WHERE name = ?").bind(name).fetch_optional(&mut *source).await;
        // More than was ever counted: a database is changed less than once a second on average.
        let value = found.ok().flatten().unwrap_or_else(|| UnixMillis::now().as_millis().cast_signed() / 1000);
        query("REPLACE INTO counters (name, value) VALUES (?, ?)").bind(name).bind(value).execute(&mut *target).await?;
    }
    Ok(())
}

/// Copies the rows of a table that open. Also returns those that could be read and do not open.
async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut SqliteConnection,
    table: &'static SealedTable,
    keys: &Keyring,
) -> Result<(SalvagedTable, Vec<SealedRow>), StoreError> {
    let mut found = SalvagedTable { name: table.name, kept: 0, lost: 0, has_unknown_losses: false };
    let mut altered = Vec::new();
    let names = table.column_names();
    let marks = vec!["?"; table.columns.len() + 1].join(", ");
    let insert = format!("INSERT OR IGNORE INTO {} ({names}) VALUES ({marks})", table.name);
    let mut walk = Walk { table, next: i64::MIN, at_once: ROWS_AT_ONCE, gaps: 0 };
    while let Some(rows) = walk.step(source).await {
        for row in &rows {
            let Ok(mut row) = table.read(row) else {
                found.lost += 1;
                continue;
            };
            if table.open(keys, &row).map(|opened| table.set_index(keys, &mut row, &opened)).is_err() {
                found.lost += 1;
                altered.push(row);
                altered.truncate(MOST_ALTERED);
                continue;
            }
            let mut statement = query(AssertSqlSafe(insert.clone()));
            for value in row.values {
                statement = match value {
                    Value::Number(number) => statement.bind(number),
                    Value::Bytes(bytes) => statement.bind(bytes),
                };
            }
            found.kept += statement.bind(row.sealed).execute(&mut *target).await?.rows_affected();
        }
    }
    if walk.gaps > 0 {
        // An index may know how many rows there were.
        let counted: Result<i64, _> =
            query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name))).fetch_one(&mut *source).await;
        let known =
            counted.ok().and_then(|counted| u64::try_from(counted).ok()).filter(|counted| *counted > found.kept);
        found.lost = known.map_or(found.lost, |counted| found.lost.max(counted - found.kept));
        found.has_unknown_losses = known.is_none();
    }
    Ok((found, altered))
}

/// Reads the rows of a table by their numbers, around what cannot be read.
struct Walk {
    table: &'static SealedTable,
    next: i64,
    at_once: i64,
    gaps: u32,
}

impl Walk {
    /// The next rows; `None` at the end.
    async fn step(&mut self, source: &mut SqliteConnection) -> Option<Vec<SqliteRow>> {
        loop {
            match self.read(source, self.next, self.at_once).await {
                Ok(rows) => {
                    let last = rows.iter().filter_map(|row| row.try_get::<i64, _>(0).ok()).max()?;
                    // In a damaged page the numbers may be in disorder; forwards it goes all the same.
                    self.next = last.max(self.next).checked_add(1)?;
                    self.at_once = (self.at_once * 2).min(ROWS_AT_ONCE);
                    return Some(rows);
                }
                // One at a time, up to the very row that cannot be read.
                Err(_) if self.at_once > 1 => self.at_once = 1,
                Err(_) => {
                    self.gaps += 1;
                    if self.gaps > MOST_GAPS {
                        return None;
                    }
                    self.next = self.behind_gap(source).await?;
                }
            }
        }
    }

    /// The first number from which on reading works again, or one not far behind it.
    async fn behind_gap(&self, source: &mut SqliteConnection) -> Option<i64> {
        let mut bad = self.next;
        let mut step = 1_i128;
        let mut good = loop {
            let tried = i64::try_from(i128::from(self.next) + step).unwrap_or(i64::MAX);
            if self.read(source, tried, 1).await.is_ok() {
                break tried;
            }
            if tried == i64::MAX {
                return None;
            }
            bad = tried;
            step *= 2;
        };
        while let Some(middle) = middle(bad, good) {
            if self.read(source, middle, 1).await.is_ok() { good = middle } else { bad = middle }
        }
        Some(good)
    }

    async fn read(
        &self,
        source: &mut SqliteConnection,
        from: i64,
        at_once: i64,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let sql = self.table.select("WHERE rowid >= ? ORDER BY rowid LIMIT ?");
        query(AssertSqlSafe(sql)).bind(from).bind(at_once).fetch_all(source).await
    }
}

/// Between two numbers that are not neighbours.
fn middle(bad: i64, good: i64) -> Option<i64> {
    let middle = i64::try_from((i128::from(bad) + i128::from(good)).div_euclid(2)).ok()?;
    (middle != bad && middle != good).then_some(middle)
}

/// Denies everything to those whose rules were lost: one of them may have been a denial. If it is not known whose they
/// were, to everybody.
async fn deny(
    target: &mut SqliteConnection,
    keys: &Keyring,
    lost: &[SealedRow],
    found: Option<&SalvagedTable>,
) -> Result<Vec<Subject>, StoreError> {
    let users = all_users(target, keys).await?.into_iter().map(|user| Subject::User(user.name));
    let roles = all_roles(target, keys).await?.into_iter().map(|role| Subject::Role(role.name));
    let all: Vec<_> = roles.chain(users).collect();
    let known = |row: &SealedRow| {
        let index = row.values.iter().find_map(|value| match value {
            Value::Bytes(bytes) => Some(bytes.as_slice()),
            Value::Number(_) => None,
        })?;
        all.iter().find(|subject| subject_index(keys, subject).as_bytes() == index)
    };
    let mut denied: Vec<Subject> = lost.iter().filter_map(known).cloned().collect();
    let is_all_known = lost.iter().all(|row| known(row).is_some())
        && found.is_some_and(|found| !found.has_unknown_losses && u64::try_from(lost.len()) == Ok(found.lost));
    if !is_all_known {
        // Rules of a user come before those of its role, so those who have some are denied on their own, too.
        let with_rules = all_rules(target, keys).await?.into_iter().map(|rule| rule.subject);
        denied.extend(with_rules.filter(|subject| matches!(subject, Subject::User(_))));
        denied.extend(all.iter().filter(|subject| matches!(subject, Subject::Role(_))).cloned());
    }
    let mut seen = BTreeSet::new();
    denied.retain(|subject| seen.insert(format!("{subject:?}")));
    for subject in &denied {
        for pattern in ["#", "$SYS/#"] {
            let pattern = TopicPattern::new(pattern)?;
            let rule =
                NewRule { subject: subject.clone(), pattern, publish: true, subscribe: true, effect: RuleEffect::Deny };
            insert_rule(target, keys, rule).await?;
        }
    }
    Ok(denied)
}

/// The check of all pages reads the whole file: 250 MiB in 0.14 s from memory, and as long as the disk takes otherwise.
const CHECKED_IN_FULL: u64 = 256 * 1024 * 1024;
const ROWS_AT_ONCE: i64 = 64;
/// A gap costs up to a hundred readings; a table with more of them is mostly gone.
const MOST_GAPS: u32 = 10_000;
/// Rules that are altered are looked at one by one for whom they spoke of.
const MOST_ALTERED: usize = 1000;
