//! Altered files: every column of every table, rows that change places, rows that are gone.

use super::frames::{begin, chunk, frame, of_shard};
use super::*;
use crate::broker::{ChunkId, ClassName, DurableId, Frame, FrameNumber, RuleEffect, Subject, TopicPattern};
use sqlx::{AssertSqlSafe, Connection, Row, query};

/// A store in which every table has at least two rows.
pub(super) async fn filled() -> World {
    let world = World::new();
    let database = world.create().await;
    for name in ["alice", "bob"] {
        database.add_user(&user(name, "Teacher")).await.unwrap();
        let subject = Subject::User(user_name(name));
        let pattern = TopicPattern::new("a/#").unwrap();
        let rule = NewRule { subject, pattern, publish: true, subscribe: true, effect: RuleEffect::Allow };
        database.add_rule(rule).await.unwrap();
        database.add_class(&ClassName::new(name).unwrap()).await.unwrap();
        let (at, scopes) = (UnixMillis::from_millis(1), ApiScopes::default());
        let key = ApiKey { id: 0, owner: user_name(name), name: "k".into(), scopes, created: at, expires: at };
        database.add_api_key(key, &format!("smq_{name}").into()).await.unwrap();
        let factor = SecondFactor { secret: [7; 20], used_step: 1, recovery: Vec::new() };
        database.set_second_factor(&user_name(name), &factor).await.unwrap();
    }
    let writer = Writer::start(database.clone());
    let ops = vec![StoreOp::Retain(record("t/1", b"one", 1)), StoreOp::Retain(record("t/2", b"two", 2))];
    writer.handle().store(ops).await.unwrap();
    let run = database.begin_run().await.unwrap();
    let whole = |number, session| Frame {
        checkpoints: vec![(DurableId(session), "state".into())],
        chunks: (0..3).map(|number| (chunk(session, number), "queue".into())).collect(),
        ..frame(number, b"records")
    };
    let frames = [(0, 1, 1), (1, 1, 2), (0, 2, 3)].map(|(shard, number, id)| of_shard(run, shard, whole(number, id)));
    writer.handle().store([vec![begin(run, 2)], frames.to_vec()].concat()).await.unwrap();
    writer.close().await;
    for at in 0..4 {
        database.append_events(&[event(at, "t")]).await.unwrap();
    }
    let keep = Retention { oldest: UnixMillis::from_millis(1), total_bytes: u64::MAX };
    database.prune_events(keep).await.unwrap();
    database.close().await.unwrap();
    world
}

/// Reads everything there is; what is wrong is returned in words.
async fn read_all(world: &World) -> Vec<String> {
    let database = match world.open().await {
        Ok(database) => database,
        Err(error) => return vec![error.to_string()],
    };
    let mut wrong = Vec::new();
    let mut note = |error: StoreError| wrong.push(error.to_string());
    let _ = database.directory().await.map_err(&mut note);
    let _ = database.find_user(&user_name("alice")).await.map_err(&mut note);
    match database.api_keys().await {
        Ok(found) => found.damaged.into_iter().for_each(|(_, problem)| note(problem)),
        Err(error) => note(error),
    }
    for name in ["alice", "bob"] {
        let _ = database.find_api_key(&format!("smq_{name}").into()).await.map_err(&mut note);
        let _ = database.second_factor(&user_name(name)).await.map_err(&mut note);
    }
    match database.load_retained().await {
        Ok(loaded) => loaded.damaged.into_iter().for_each(&mut note),
        Err(error) => note(error),
    }
    match database.load_sessions(drop).await {
        Ok(damaged) => damaged.into_iter().for_each(&mut note),
        Err(error) => note(error),
    }
    match database.load_journal(drop).await {
        Ok(damaged) => damaged.into_iter().for_each(&mut note),
        Err(error) => note(error),
    }
    let ranges = database.chunk_ranges().await.map_err(&mut note).unwrap_or_default();
    for range in ranges {
        for number in (range.first..=range.last).take(10) {
            let _ = database.load_chunk(ChunkId { session: range.session, number }).await.map_err(&mut note);
        }
    }
    let _ = database.events_before(None, 100, |_| Choice::Take).await.map_err(&mut note);
    match database.verify_chain().await {
        Ok(report) => wrong.extend(report.breaks.iter().map(ToString::to_string)),
        Err(error) => note(error),
    }
    // Writing meets what is altered as well, and must not panic either.
    let writer = Writer::start(database.clone());
    let ops = vec![StoreOp::Retain(record("t/1", b"new", 9)), StoreOp::Events(Arc::new(vec![event(9, "t")]))];
    let _ = writer.handle().store(ops).await;
    if let Ok(run) = database.begin_run().await {
        let last = Frame { cut_before: FrameNumber(9), is_past_covered: true, ..frame(9, b"records") };
        let _ = writer.handle().store(vec![begin(run, 1), of_shard(run, 0, last)]).await;
    }
    writer.close().await;
    let _ = database.set_enabled(&user_name("bob"), Access::Disabled, UnixMillis::default()).await;
    database.close().await.unwrap();
    wrong
}

/// The columns that are sealed, MACed or compared with what is sealed: (table, column, what picks the row).
const PROTECTED: &[(&str, &str, &str)] = &[
    ("meta", "value", "name = 'store_id'"),
    ("meta", "value", "name = 'key_check'"),
    ("meta", "value", "name = 'event_head'"),
    ("meta", "value", "name = 'event_anchor'"),
    ("data_keys", "id", "id = 1"),
    ("data_keys", "wrapped", "id = 1"),
    ("roles", "id", "id = 2"),
    ("roles", "name_index", "id = 2"),
    ("roles", "sealed", "id = 2"),
    ("users", "id", "id = 1"),
    ("users", "name_index", "id = 1"),
    ("users", "sealed", "id = 1"),
    ("rules", "id", "id = 7"),
    ("rules", "subject_index", "id = 7"),
    ("rules", "sealed", "id = 7"),
    ("classes", "id", "id = 1"),
    ("classes", "name_index", "id = 1"),
    ("classes", "sealed", "id = 1"),
    ("api_keys", "id", "id = 1"),
    ("api_keys", "owner_index", "id = 1"),
    ("api_keys", "sealed", "id = 1"),
    ("second_factors", "sealed", "rowid = 1"),
    ("events", "seq", "seq = 3"),
    ("events", "count", "seq = 3"),
    ("events", "sealed", "seq = 3"),
    ("events", "chain", "seq = 3"),
    ("retained", "topic_index", "rowid = 1"),
    ("retained", "version", "rowid = 1"),
    ("retained", "sealed", "rowid = 1"),
    ("journal", "seq", "seq = 1"),
    ("journal", "run", "seq = 1"),
    ("journal", "shard", "seq = 1"),
    ("journal", "frame", "seq = 1"),
    ("journal", "sealed", "seq = 1"),
    ("sessions", "id", "id = 1"),
    ("sessions", "run", "id = 1"),
    ("sessions", "frame", "id = 1"),
    ("sessions", "sealed", "id = 1"),
    ("queues", "session", "session = 1 AND chunk = 1"),
    ("queues", "chunk", "session = 1 AND chunk = 1"),
    ("queues", "sealed", "session = 1 AND chunk = 1"),
];

#[tokio::test]
async fn an_altered_column_of_any_table_is_told_and_never_a_panic() {
    let whole = filled().await;
    for (table, column, which) in PROTECTED {
        let world = whole.copy();
        alter(&world, table, column, which).await;
        let wrong = read_all(&world).await;
        assert!(!wrong.is_empty(), "{table}.{column} where {which}");
        let named = wrong.iter().any(|text| text.contains(&format!("of table {table}")));
        let of_the_log = *table == "events" || which.contains("event_");
        let of_the_key = wrong.iter().any(|text| text.contains("the master key does not open"));
        assert!(named || of_the_log || of_the_key, "{table}.{column}: {wrong:?}");
    }
}

#[tokio::test]
async fn a_damaged_key_of_a_program_hides_no_other_and_can_be_removed() {
    let whole = filled().await;
    for column in ["owner_index", "sealed"] {
        let world = whole.copy();
        let database = world.open().await.unwrap();
        let before: Vec<_> = database.api_keys().await.unwrap().keys.iter().map(|key| key.id).collect();
        assert!(before.len() > 1 && before[0] == 1, "{before:?}");
        database.close().await.unwrap();
        alter(&world, "api_keys", column, "id = 1").await;
        let database = world.open().await.unwrap();
        let found = database.api_keys().await.unwrap();
        assert_eq!(found.keys.iter().map(|key| key.id).collect::<Vec<_>>(), before[1..], "{column}");
        assert_eq!(found.damaged.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1], "{column}");
        assert_eq!(database.remove_api_key(1).await.unwrap(), None);
        assert!(database.api_keys().await.unwrap().damaged.is_empty());
        database.close().await.unwrap();
    }
}

/// Flips a bit: of the last byte of a blob, of a number in bit 6.
async fn alter(world: &World, table: &str, column: &str, which: &str) {
    let mut raw = world.raw().await;
    let select = format!("SELECT typeof({column}), CAST({column} AS BLOB), {column} FROM {table} WHERE {which}");
    let row = query(AssertSqlSafe(select)).fetch_one(&mut raw).await.unwrap();
    let update = AssertSqlSafe(format!("UPDATE {table} SET {column} = ? WHERE {which}"));
    let update = match row.get::<String, _>(0).as_str() {
        "integer" => query(update).bind(row.get::<i64, _>(2) ^ 64),
        _ => {
            let mut bytes: Vec<u8> = row.get(1);
            *bytes.last_mut().unwrap() ^= 1;
            query(update).bind(bytes)
        }
    };
    assert_eq!(update.execute(&mut raw).await.unwrap().rows_affected(), 1);
    raw.close().await.unwrap();
}

#[tokio::test]
async fn what_is_not_sealed_can_be_altered_without_a_panic() {
    let whole = filled().await;
    for deed in [
        "UPDATE counters SET value = value + 1000",
        "UPDATE counters SET value = -5",
        "UPDATE counters SET value = 9223372036854775807",
        "DELETE FROM counters",
        "DELETE FROM meta",
        "DELETE FROM data_keys",
        "DELETE FROM roles",
        "DELETE FROM users",
        "DELETE FROM rules",
        "DELETE FROM classes",
        "UPDATE classes SET sealed = x''",
        "UPDATE api_keys SET key_index = x'', sealed = x'' WHERE id = 1",
        "UPDATE second_factors SET user_index = x'00', sealed = x'' WHERE rowid = 1",
        "DROP TABLE second_factors",
        "DELETE FROM events",
        "DELETE FROM retained",
        "DELETE FROM journal",
        "DELETE FROM sessions",
        "DELETE FROM queues",
        "UPDATE journal SET sealed = x''",
        "UPDATE journal SET shard = shard - 2",
        "UPDATE journal SET run = -9223372036854775808",
        "UPDATE journal SET run = 9223372036854775807 WHERE seq = 1",
        "UPDATE journal SET seq = 9223372036854775807 WHERE seq = 2",
        "UPDATE sessions SET sealed = x'', run = -1, frame = -1",
        "UPDATE queues SET sealed = x''",
        "UPDATE queues SET chunk = 9223372036854775807 WHERE chunk = 2",
        "UPDATE queues SET chunk = -9223372036854775808 WHERE chunk = 2",
        "DROP TABLE journal",
        "DROP TABLE sessions",
        "DROP TABLE queues",
        "UPDATE meta SET value = x''",
        "UPDATE meta SET name = name || 'x'",
        "UPDATE data_keys SET id = -1",
        "UPDATE data_keys SET wrapped = x''",
        "UPDATE users SET sealed = x''",
        "UPDATE events SET sealed = x'', chain = x''",
        "UPDATE events SET seq = 9223372036854775807 WHERE seq = 4",
        "UPDATE events SET seq = -9223372036854775808 WHERE seq = 4",
        "UPDATE retained SET version = x'', sealed = x''",
        "UPDATE retained SET topic_index = x'00' WHERE rowid = 1",
        "DROP TABLE users",
        "DROP TABLE meta",
        "DROP TABLE events",
        "DELETE FROM _sqlx_migrations",
    ] {
        let world = whole.copy();
        let mut raw = world.raw().await;
        query(AssertSqlSafe(deed.to_owned())).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        read_all(&world).await;
    }
}

#[tokio::test]
async fn rows_that_change_places_do_not_open() {
    let whole = filled().await;
    for (table, id) in [
        ("users", "id"),
        ("roles", "id"),
        ("rules", "id"),
        ("classes", "id"),
        ("api_keys", "id"),
        ("second_factors", "rowid"),
        ("retained", "rowid"),
        ("events", "seq"),
        ("journal", "seq"),
        ("sessions", "id"),
        ("queues", "rowid"),
    ] {
        let world = whole.copy();
        let mut raw = world.raw().await;
        let (one, two) = if table == "events" { (3, 4) } else { (1, 2) };
        let swap = format!(
            "UPDATE {table} SET sealed = (SELECT sealed FROM {table} AS other \
             WHERE other.{id} = {one} + {two} - {table}.{id}) WHERE {id} IN ({one}, {two})"
        );
        query(AssertSqlSafe(swap)).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        let wrong = read_all(&world).await.join("\n");
        assert!(wrong.contains(&format!("of table {table} does not open")), "{table}: {wrong}");
    }
}

#[tokio::test]
async fn one_altered_user_denies_everything_instead_of_leaving_a_part_of_the_policy() {
    let world = filled().await;
    alter(&world, "rules", "sealed", "id = 7").await;
    let database = world.open().await.unwrap();
    let error = database.directory().await.unwrap_err().to_string();
    assert!(error.starts_with("row 7 of table rules does not open"), "{error}");
}

#[tokio::test]
async fn one_altered_retained_message_is_reported_and_the_others_are_loaded() {
    let world = filled().await;
    alter(&world, "retained", "sealed", "rowid = 1").await;
    let loaded = world.open().await.unwrap().load_retained().await.unwrap();
    assert_eq!((loaded.records.len(), loaded.damaged.len()), (1, 1));
}

#[tokio::test]
async fn one_damaged_session_is_named_and_the_others_are_loaded() {
    let world = filled().await;
    alter(&world, "sessions", "sealed", "id = 2").await;
    let database = world.open().await.unwrap();
    let mut loaded = Vec::new();
    let damaged = database.load_sessions(|row| loaded.push(row.id.0)).await.unwrap();
    assert_eq!(loaded, [1, 3]);
    assert!(matches!(damaged.as_slice(), [StoreError::SessionLost { id: DurableId(2), .. }]), "{damaged:?}");
    let text = damaged[0].to_string();
    assert!(text.starts_with("session 2 is lost: row 2/1/1 of table sessions does not open"), "{text}");
}

#[tokio::test]
async fn rows_of_the_journal_that_are_out_of_order_are_told_and_the_others_are_loaded() {
    let world = filled().await;
    let mut raw = world.raw().await;
    // The first frame of shard 0 comes after its second.
    query("UPDATE journal SET seq = 10 WHERE seq = 1").execute(&mut raw).await.unwrap();
    let mut loaded = Vec::new();
    let database = world.open().await.unwrap();
    let damaged = database.load_journal(|row| loaded.push((row.shard, row.frame.0))).await.unwrap();
    assert_eq!(loaded, [(1, 1), (0, 2)]);
    let text = damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.starts_with("row 1/0/1 of table journal cannot be read: its columns do not agree"), "{text}");
}

#[tokio::test]
async fn one_damaged_part_of_a_queue_is_told_and_the_others_are_loaded() {
    let world = filled().await;
    alter(&world, "queues", "sealed", "session = 1 AND chunk = 1").await;
    let database = world.open().await.unwrap();
    assert_eq!(database.load_chunk(chunk(1, 0)).await.unwrap(), "queue");
    let error = database.load_chunk(chunk(1, 1)).await.unwrap_err().to_string();
    assert!(error.starts_with("row 1/1 of table queues does not open"), "{error}");
    assert_eq!(database.load_chunk(chunk(1, 2)).await.unwrap(), "queue");
}

#[tokio::test]
async fn bytes_of_the_file_that_change_anywhere_make_no_panic() {
    let world = filled().await;
    let path = Database::path_in(world.folder());
    let whole = std::fs::read(&path).unwrap();
    for step in 0..60 {
        let mut bytes = whole.clone();
        let position = (step * 7919 + step * step * 31) % bytes.len();
        for byte in bytes.iter_mut().skip(position).take(16) {
            *byte = byte.wrapping_add(101);
        }
        std::fs::write(&path, &bytes).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(world.folder().join(format!("securemq.db{suffix}")));
        }
        read_all(&world).await;
    }
}
