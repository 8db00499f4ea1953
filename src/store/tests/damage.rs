//! Damaged files: never a panic, never a wrong value, and what is lost is said.

use super::crashes::crash;
use super::frames::{begin, chunk, frame, of_shard};
use super::*;
use crate::broker::{DurableId, Frame, Rule, RuleEffect, Subject, TopicPattern};
use crate::store::salvage::Damage;
use crate::store::wal::{WalState, examine_wal};
use sqlx::{AssertSqlSafe, Connection, query};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

/// What can be read, in a form that can be compared: (table, row) and its content.
type Contents = BTreeMap<(&'static str, String), String>;

/// Some hundred rows on some fifty pages.
async fn populate(database: &Database) {
    for number in 0..20_u64 {
        let name = format!("user-{number}");
        database.add_user(&user(&name, "Teacher")).await.unwrap();
        let subject = Subject::User(user_name(&name));
        let pattern = TopicPattern::new("a/#").unwrap();
        let rule = NewRule { subject, pattern, publish: true, subscribe: true, effect: RuleEffect::Allow };
        database.add_rule(rule).await.unwrap();
    }
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(1, 1)]).await.unwrap();
    for number in 1..30_u64 {
        let content = bytes::Bytes::from(vec![b'x'; 700]);
        let frame = Frame {
            checkpoints: vec![(DurableId(number * 1_000_003), content.clone())],
            chunks: vec![(chunk(number, 0), content)],
            ..frame(number, b"records")
        };
        let name = Box::leak(format!("t/{number}").into_boxed_str());
        handle.store(vec![of_shard(1, 0, frame), StoreOp::Retain(record(name, b"one", number))]).await.unwrap();
        handle.store(vec![StoreOp::Events(Arc::new(vec![event(number, "t")]))]).await.unwrap();
    }
    writer.close().await;
}

/// Everything that a start and its clients read, and what was said to be lost.
async fn contents(database: &Database) -> Result<(Contents, Vec<String>), StoreError> {
    let mut contents = Contents::new();
    let mut lost = Vec::new();
    let directory = database.directory().await?;
    for user in directory.users {
        contents.insert(("users", user.name.to_string()), format!("{user:?}"));
    }
    for Rule { id, subject, effect, pattern, .. } in directory.rules {
        contents.insert(("rules", id.to_string()), format!("{subject:?} {effect:?} {pattern:?}"));
    }
    let retained = database.load_retained().await?;
    for record in retained.records {
        contents.insert(("retained", record.message.topic.as_str().to_owned()), format!("{record:?}"));
    }
    lost.extend(retained.damaged);
    lost.extend(
        database
            .load_sessions(|row| {
                contents.insert(("sessions", row.id.0.to_string()), format!("{row:?}"));
            })
            .await?,
    );
    lost.extend(
        database
            .load_journal(|row| {
                contents.insert(("journal", row.frame.0.to_string()), format!("{row:?}"));
            })
            .await?,
    );
    for range in database.chunk_ranges().await? {
        match database.load_chunk(chunk(range.session.0, range.first)).await {
            Ok(content) => drop(contents.insert(("queues", range.session.0.to_string()), format!("{content:?}"))),
            Err(error) => lost.push(error),
        }
    }
    Ok((contents, lost.iter().map(ToString::to_string).collect()))
}

/// What a start does with files that may be damaged: looks, salvages, opens. Says what was said to be lost.
async fn start(world: &World) -> Result<(Contents, Vec<String>), StoreError> {
    let damage = Database::examine(world.folder(), &world.key).await?;
    let mut said: Vec<String> = damage.problems.clone();
    if damage.lost_log_pages > 0 {
        said.push(format!("{} pages of the log", damage.lost_log_pages));
        Database::set_log_aside(world.folder())?;
    }
    if !damage.problems.is_empty() {
        salvage(world, &mut said).await?;
    }
    match read(world).await {
        // Noticed only when it is read.
        Err(StoreError::Damaged(error)) => {
            said.push(error.to_string());
            salvage(world, &mut said).await?;
            read(world).await
        }
        read => read,
    }
    .map(|(contents, lost)| (contents, [said, lost].concat()))
}

async fn salvage(world: &World, said: &mut Vec<String>) -> Result<(), StoreError> {
    let salvage = Database::salvage(world.folder(), &world.key).await?;
    said.extend(salvage.tables.iter().filter(|table| !table.is_whole()).map(ToString::to_string));
    assert!(salvage.aside.iter().all(|path| path.exists()) && !salvage.aside.is_empty());
    Ok(())
}

async fn read(world: &World) -> Result<(Contents, Vec<String>), StoreError> {
    let database = world.open().await?;
    let read = contents(&database).await;
    // A damaged database may refuse to be closed cleanly.
    let _ = database.close().await;
    read
}

/// How many starts there were of each kind.
#[derive(Debug, Default)]
struct Outcomes {
    nothing_lost: u32,
    lost_and_said: u32,
    refused: u32,
}

impl Outcomes {
    /// Whatever is there is as it was written, and whatever is not was said to be lost.
    fn check(&mut self, started: Result<(Contents, Vec<String>), StoreError>, whole: &Contents, what: &str) {
        let (found, said) = match started {
            Ok(started) => started,
            Err(error) => {
                let text = error.to_string();
                assert!(
                    matches!(error, StoreError::KeysDamaged { .. } | StoreError::WrongKey { .. }),
                    "{what}: {text}"
                );
                self.refused += 1;
                return;
            }
        };
        for (row, content) in &found {
            let is_denial = row.0 == "rules" && content.contains("Deny");
            assert!(is_denial || whole.get(row) == Some(content), "{what}: {row:?} is {content}");
        }
        let missing: Vec<_> = whole.keys().filter(|row| !found.contains_key(*row)).collect();
        if missing.is_empty() {
            self.nothing_lost += 1;
        } else {
            assert!(!said.is_empty(), "{what}: {missing:?} are lost and nothing is said");
            self.lost_and_said += 1;
        }
    }
}

async fn populated() -> (World, Contents) {
    let world = World::new();
    let database = world.create().await;
    populate(&database).await;
    let (whole, lost) = contents(&database).await.unwrap();
    assert!(whole.len() > 150 && lost.is_empty());
    database.close().await.unwrap();
    (world, whole)
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_the_database_costs_at_most_what_is_said() {
    let (world, whole) = populated().await;
    let bytes = fs::read(Database::path_in(world.folder())).unwrap();
    let mut outcomes = Outcomes::default();
    for position in (1..bytes.len()).step_by(bytes.len() / 48) {
        let world = world.copy();
        let mut bytes = bytes.clone();
        bytes[position] ^= 0x55;
        fs::write(Database::path_in(world.folder()), &bytes).unwrap();
        outcomes.check(start(&world).await, &whole, &format!("byte {position}"));
    }
    assert!(outcomes.lost_and_said > 6 && outcomes.refused < 10, "{outcomes:?}");
}

#[tokio::test]
async fn a_page_of_nonsense_anywhere_costs_at_most_what_is_said() {
    let (world, whole) = populated().await;
    let bytes = fs::read(Database::path_in(world.folder())).unwrap();
    let mut outcomes = Outcomes::default();
    for page in (0..bytes.len() / 4096).step_by(2) {
        let world = world.copy();
        let mut bytes = bytes.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(if page % 4 == 0 { 0 } else { 0xa7 });
        fs::write(Database::path_in(world.folder()), &bytes).unwrap();
        outcomes.check(start(&world).await, &whole, &format!("page {page}"));
    }
    // The pages of the schema and of the keys are few.
    assert!(outcomes.lost_and_said > 6 && outcomes.refused < 7, "{outcomes:?}");
}

#[tokio::test]
async fn a_database_that_is_cut_off_anywhere_costs_at_most_what_is_said() {
    let (world, whole) = populated().await;
    let bytes = fs::read(Database::path_in(world.folder())).unwrap();
    let mut outcomes = Outcomes::default();
    for step in 0..12 {
        let world = world.copy();
        let len = bytes.len() * step / 12;
        fs::write(Database::path_in(world.folder()), &bytes[..len]).unwrap();
        outcomes.check(start(&world).await, &whole, &format!("cut to {len}"));
    }
    assert!(outcomes.lost_and_said > 5, "{outcomes:?}");
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_the_log_costs_at_most_what_is_said() {
    let world = World::new();
    let database = world.create().await;
    populate(&database).await;
    let (whole, _) = contents(&database).await.unwrap();
    let crashed = crash(&world);
    database.close().await.unwrap();
    let log = crashed.folder().join("securemq.db-wal");
    let bytes = fs::read(&log).unwrap();
    let sound = examine_wal(&log).unwrap();
    assert!(sound.used > 60 && sound.lost == 0, "{sound:?}");
    let mut outcomes = Outcomes::default();
    // In the last transactions a torn write, which lost nothing that was promised, looks the same.
    for position in (1..bytes.len() - 40 * 4120).step_by(bytes.len() / 20) {
        let world = crashed.copy();
        let mut bytes = bytes.clone();
        bytes[position] ^= 0x55;
        fs::write(world.folder().join("securemq.db-wal"), &bytes).unwrap();
        outcomes.check(start(&world).await, &whole, &format!("byte {position} of the log"));
    }
    assert!(outcomes.lost_and_said > 7, "{outcomes:?}");
}

#[tokio::test]
async fn a_log_that_ends_in_a_torn_transaction_is_sound() {
    let world = World::new();
    let database = world.create().await;
    populate(&database).await;
    let crashed = crash(&world);
    let log = crashed.folder().join("securemq.db-wal");
    let bytes = fs::read(&log).unwrap();
    for cut in [1, 3000, 4120, 5000] {
        fs::write(&log, &bytes[..bytes.len() - cut]).unwrap();
        assert_eq!(examine_wal(&log).unwrap().lost, 0, "{cut}");
        assert_eq!(Database::examine(crashed.folder(), &world.key).await.unwrap(), Damage::default(), "{cut}");
    }
    fs::write(&log, []).unwrap();
    assert_eq!(examine_wal(&log).unwrap(), WalState::default());
    fs::remove_file(&log).unwrap();
    assert_eq!(examine_wal(&log).unwrap(), WalState::default());
}

#[tokio::test]
async fn a_rule_that_is_lost_leaves_a_denial_because_it_may_have_been_one() {
    let (world, _) = populated().await;
    let mut raw = world.raw().await;
    // Rule 10 spoke of user 3.
    query("UPDATE rules SET sealed = zeroblob(90) WHERE id = 10").execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let damage = Database::examine(world.folder(), &world.key).await.unwrap();
    assert!(damage.problems.iter().any(|problem| problem.contains("row 10 of table rules")), "{damage:?}");
    let salvage = Database::salvage(world.folder(), &world.key).await.unwrap();
    assert_eq!(salvage.denied, [Subject::User(user_name("user-3"))]);
    let rules = world.open().await.unwrap().rules().await.unwrap();
    let denials: Vec<_> = rules.iter().filter(|rule| rule.effect == RuleEffect::Deny).collect();
    assert!(denials.len() == 2 && denials.iter().all(|rule| rule.subject == salvage.denied[0]), "{denials:?}");
}

#[tokio::test]
async fn without_its_keys_a_database_is_left_as_it_is() {
    for deed in ["DELETE FROM data_keys", "UPDATE data_keys SET wrapped = zeroblob(77)", "DROP TABLE meta"] {
        let (world, _) = populated().await;
        let mut raw = world.raw().await;
        query(AssertSqlSafe(deed.to_owned())).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        let before = fs::read(Database::path_in(world.folder())).unwrap();
        assert!(!Database::examine(world.folder(), &world.key).await.unwrap().is_none(), "{deed}");
        let error = Database::salvage(world.folder(), &world.key).await.unwrap_err();
        assert!(matches!(error, StoreError::KeysDamaged { .. }), "{deed}: {error}");
        assert!(error.to_string().ends_with("restore a backup with `securemq restore FILE --force`"), "{error}");
        assert_eq!(fs::read(Database::path_in(world.folder())).unwrap(), before, "{deed}");
    }
}

#[tokio::test]
async fn a_sound_database_has_no_damage() {
    let (world, whole) = populated().await;
    assert_eq!(Database::examine(world.folder(), &world.key).await.unwrap(), Damage::default());
    // Salvaged all the same, it is the same.
    let salvage = Database::salvage(world.folder(), &world.key).await.unwrap();
    assert!(salvage.tables.iter().all(SalvagedTable::is_whole) && salvage.denied.is_empty(), "{salvage:?}");
    let database = world.open().await.unwrap();
    assert_eq!(contents(&database).await.unwrap().0, whole);
    assert!(database.verify_chain().await.unwrap().is_whole());
    database.add_user(&user("new", "Teacher")).await.unwrap();
}
