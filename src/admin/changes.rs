//! What every change of users, rules and certificates ends with: a line in the log, and the wait until it holds.

use super::problem::AdminError;
use crate::broker::{AuditEvent, EventKind, Who};
use crate::server::FolderLock;
use crate::store::{Database, StoreError, StoredEvent, UnixMillis};
use std::time::{Duration, Instant};

/// How long a change waits for a running broker, and how often it looks. An idle one takes a tenth of a second, one on a
/// crowded machine some seconds.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Puts into the log what somebody did, and waits until a broker that runs on this database goes by it: when this
/// returns, what was changed holds.
pub async fn record_change(database: &Database, who: Who, action: &str, target: String) -> Result<(), AdminError> {
    let kind = EventKind::Administered { action: action.to_owned(), target };
    append(database, AuditEvent { who, kind }).await?;
    wait_until_in_force(database).await
}

/// Puts an event into the log, now.
pub async fn append(database: &Database, event: AuditEvent) -> Result<(), StoreError> {
    database.append_events(&[StoredEvent { at: UnixMillis::now(), event }]).await
}

async fn wait_until_in_force(database: &Database) -> Result<(), AdminError> {
    let changed = database.generation().await?;
    let is_running = || database.path().parent().is_some_and(FolderLock::is_taken);
    let begin = Instant::now();
    while database.generation_in_force().await? < changed && is_running() {
        if begin.elapsed() > PATIENCE {
            return Err(AdminError::NotInForce);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
