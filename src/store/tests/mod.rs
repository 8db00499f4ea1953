//! The store as a whole: what is kept, what two processes see, and what altered files do.

mod access;
mod backup;
mod classes;
mod crashes;
mod damage;
mod files;
mod frames;
mod logs;
mod raw;
mod retained;
mod rotation;
mod tampering;
mod writer;

use super::*;
use crate::broker::{
    AuditEvent, EventKind, Message, MessageProperties, Origin, Principal, RetainedVersion, RoleName, SessionKey,
    UserName, Who,
};
use crate::protocol::{ClientId, QoS, Text, TopicName};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A data folder with its key.
struct World {
    folder: TempDir,
    key: MasterKey,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: MasterKey::generate().unwrap() }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same database once more, to be altered. It must be closed.
    fn copy(&self) -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap(), key: self.key.clone() };
        std::fs::copy(Database::path_in(self.folder()), Database::path_in(copy.folder())).unwrap();
        copy
    }

    async fn create(&self) -> Database {
        Database::create(self.folder(), &self.key).await.unwrap()
    }

    async fn open(&self) -> Result<Database, StoreError> {
        Database::open(self.folder(), &self.key).await
    }

    /// SQLite as an attacker or another program has it.
    async fn raw(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(Database::path_in(self.folder())).connect().await.unwrap()
    }
}

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

fn user_name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn role_name(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::try_from(name).unwrap()
}

fn session_key(user: &str, client_id: &str) -> SessionKey {
    SessionKey { principal: Principal::User(user_name(user)), client_id: ClientId::new(text(client_id)).unwrap() }
}

fn user(name: &str, role: &str) -> StoredUser {
    StoredUser {
        name: user_name(name),
        role: role_name(role),
        enabled: true,
        password: Some("$argon2id$hash".into()),
        certificate: Some(CertificateFingerprint([7; 32])),
        created: UnixMillis::from_millis(1),
        changed: UnixMillis::from_millis(1),
    }
}

fn message(name: &str, payload: &'static [u8]) -> Message {
    Message {
        topic: topic(name),
        payload: payload.into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at: None,
        origin: Origin::Client(Arc::new(session_key("alice", "sensor-1"))),
        durability: crate::broker::Durability::Commit,
        properties: MessageProperties {
            payload_is_utf8: Some(true),
            content_type: Some(text("text/plain")),
            response_topic: Some(text("answers")),
            correlation_data: Some(b"correlation".as_slice().into()),
            user_properties: vec![(text("name"), text("value")), (text("name"), text("again"))],
        }
        .into(),
    }
}

fn record(name: &str, payload: &'static [u8], counter: u64) -> RetainedRecord {
    RetainedRecord {
        version: RetainedVersion { counter, shard: 0 },
        expires: Some(UnixMillis::from_millis(99)),
        message: message(name, payload),
    }
}

fn event(at: u64, name: &str) -> StoredEvent {
    StoredEvent {
        at: UnixMillis::from_millis(at),
        event: AuditEvent {
            who: Who { user: Some(text("alice")), client_id: Some(text("sensor-1")), address: None },
            kind: EventKind::Published {
                durability: None,
                topic: text(name),
                size: 3,
                qos: QoS::AtMostOnce,
                retain: false,
                delivered: 2,
            },
        },
    }
}
