//! What a thief of the files sees: nothing of what was stored.

use super::frames::{begin, chunk, of_shard};
use super::*;
use crate::broker::{Address, ClassName, DurableId, Frame, FrameNumber, Reason, RuleEffect, Subject, TopicPattern};
use crate::store::migrate::{migrations, upgrade};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType};
use std::fs;

const NEEDLES: &[&str] = &[
    "zebra-user",
    "zebra-role",
    "zebra-client",
    "zebra-topic",
    "zebra-payload",
    "zebra-rule",
    "zebra-hash",
    "zebra-content",
    "zebra-answer",
    "zebra-correlation",
    "zebra-property",
    "zebra-value",
    "zebra-filter",
    "zebra-detail",
    "zebra-target",
    "zebra-notice",
    "zebra-other",
    "zebra-journal",
    "zebra-session",
    "zebra-queue",
    "zebra-class",
    "zebra-key",
    "192.0.2.77",
    "Teacher",
    "school",
];

#[tokio::test]
async fn raw_files_show_nothing() {
    let world = World::new();
    let database = world.create().await;
    database.add_role(&role_name("zebra-role")).await.unwrap();
    let mut account = user("zebra-user", "zebra-role");
    account.password = Some("zebra-hash".into());
    database.add_user(&account).await.unwrap();
    database
        .add_rule(NewRule {
            subject: Subject::User(user_name("zebra-user")),
            pattern: TopicPattern::new("zebra-rule/#").unwrap(),
            publish: true,
            subscribe: true,
            effect: RuleEffect::Deny,
        })
        .await
        .unwrap();
    database.add_class(&ClassName::new("zebra-class").unwrap()).await.unwrap();
    database.assign(&ClassName::new("zebra-class").unwrap(), &[user_name("zebra-user")]).await.unwrap();
    let (at, scopes) = (UnixMillis::from_millis(1), ApiScopes::default());
    let (owner, name) = (user_name("zebra-user"), "zebra-key".into());
    let key = ApiKey { id: 0, owner, name, scopes, created: at, expires: at };
    database.add_api_key(key, &"zebra-secret".into()).await.unwrap();
    let factor = SecondFactor { secret: *b"zebra-second-factor!", used_step: 1, recovery: Vec::new() };
    database.set_second_factor(&user_name("zebra-user"), &factor).await.unwrap();
    let mut retained = record("zebra-topic/a", b"zebra-payload", 1);
    retained.message.origin = Origin::Client(Arc::new(session_key("zebra-user", "zebra-client")));
    retained.message.properties = MessageProperties {
        payload_is_utf8: None,
        content_type: Some(text("zebra-content")),
        response_topic: Some(text("zebra-answer")),
        correlation_data: Some(b"zebra-correlation".as_slice().into()),
        user_properties: vec![(text("zebra-property"), text("zebra-value"))],
    }
    .into();
    let who = Who {
        user: Some(text("zebra-user")),
        client_id: Some(text("zebra-client")),
        address: Some(Address::Network("192.0.2.77:1883".parse().unwrap())),
    };
    let kinds = [
        EventKind::ConnectRefused { reason: Reason::Malformed, detail: Some("zebra-detail".into()) },
        EventKind::Unsubscribed { filter: text("zebra-filter/#") },
        EventKind::Administered { action: "user add".into(), target: "zebra-target".into() },
        EventKind::Notice { text: "zebra-notice".into() },
    ];
    let events =
        kinds.map(|kind| StoredEvent { at: UnixMillis::from_millis(1), event: AuditEvent { who: who.clone(), kind } });
    let writer = Writer::start(database.clone());
    let frame = Frame {
        number: FrameNumber(1),
        records: "zebra-journal".repeat(1000).into(),
        checkpoints: vec![(DurableId(1), "zebra-session".into())],
        chunks: vec![(chunk(1, 0), "zebra-queue".into())],
        ..Frame::default()
    };
    let ops =
        vec![StoreOp::Retain(retained), StoreOp::Events(Arc::new(events.to_vec())), begin(1, 1), of_shard(1, 0, frame)];
    writer.handle().store(ops).await.unwrap();
    database.add_user(&user("zebra-other", "Teacher")).await.unwrap();
    grep(&world, 3);

    // The same once more with everything in the file itself, and a backup beside it.
    writer.close().await;
    database.remove_user(&user_name("zebra-other")).await.unwrap();
    database.close().await.unwrap();
    let mut steps = migrations();
    let sql = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT";
    steps.push(Migration::new(99, "later".into(), MigrationType::Simple, sql.into_sql_str(), false));
    upgrade(&Database::path_in(world.folder()), steps).await.unwrap();
    assert!(world.folder().join("securemq.db.schema-3.backup").exists());
    grep(&world, 2);
}

/// Looks for every needle, and for its halves and its case, in every file of the data folder.
fn grep(world: &World, at_least: usize) {
    let mut files = 0;
    for entry in fs::read_dir(world.folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap().to_ascii_lowercase();
        files += 1;
        for needle in NEEDLES {
            let needle = needle.to_ascii_lowercase();
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{needle} in {}", path.display());
        }
        assert!(!bytes.windows(5).any(|window| window == b"zebra"), "{}", path.display());
    }
    assert!(files >= at_least, "{files} files");
}
