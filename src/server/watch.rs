//! Notices when users, roles or rules change, whichever process changed them.

use super::mailbox::Mail;
use super::post::Post;
use crate::auth::{self, Account, Authenticator, Fingerprint};
use crate::broker::Policy;
use crate::store::{Database, Directory, StoreError};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often the store is asked for its generation: one indexed read, some ten microseconds.
const INTERVAL: Duration = Duration::from_millis(100);

/// The accounts of a directory, as logins need them.
pub fn accounts(directory: &Directory) -> auth::Directory {
    auth::Directory::new(directory.users.iter().map(|user| Account {
        name: user.name.clone(),
        enabled: user.enabled,
        password_hash: user.password.as_ref().map(|hash| Arc::from(hash.expose_secret())),
        fingerprint: user.certificate.map(|fingerprint| Fingerprint::from_bytes(fingerprint.0)),
    }))
}

/// Puts every change into force, first for logins, then for everybody who is connected.
pub async fn watch_directory(
    database: Database,
    mut generation: u64,
    authenticator: Arc<Authenticator>,
    post: Arc<Post>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        match changed(&database, generation).await {
            Ok(None) => {}
            Ok(Some(directory)) => {
                generation = directory.generation;
                authenticator.replace_directory(accounts(&directory));
                apply(Arc::new(directory.policy()), &post).await;
                // Somebody waits for this, but for no longer than the command does; the next change says it again.
                if let Err(error) = database.put_in_force(generation).await {
                    tracing::error!(%error, "commands will not be told that what they changed holds");
                }
            }
            // The policy in force stays: a part of a policy, or none, must not take its place.
            Err(error) => tracing::error!(%error, "users and rules could not be read again"),
        }
    }
}

/// Puts a policy into force and waits until every worker goes by it.
async fn apply(policy: Arc<Policy>, post: &Post) {
    let (applied, mut all_applied) = mpsc::channel(1);
    for worker in 0..post.mailboxes.len() {
        post.mail(worker, Mail::Policy { policy: Arc::clone(&policy), applied: applied.clone() });
    }
    drop(applied);
    // Ends when the last worker has dropped its sender: nothing is ever sent.
    let _ = all_applied.recv().await;
}

async fn changed(database: &Database, known: u64) -> Result<Option<Directory>, StoreError> {
    if database.generation().await? == known {
        return Ok(None);
    }
    database.directory().await.map(Some)
}
