//! Notices when users, roles or rules change or retained messages are imported, whichever process did it.

use super::mailbox::{Mail, Question};
use super::post::Post;
use crate::auth::{self, Account, Authenticator, Fingerprint};
use crate::broker::{Input, Message, Policy, RetainedVersion, Timestamp};
use crate::store::{Database, Directory, RetainedPlace, RetainedRecord, StoreError};
use secrecy::ExposeSecret;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often the store is asked for its generation: two indexed reads, some ten microseconds each.
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

/// What the broker goes by: the generation of users, roles and rules, and the number of the last import of retained
/// messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// Of users, roles and rules.
    pub generation: u64,
    /// Of retained messages.
    pub import: u64,
}

/// Puts every change into force, first for logins, then for everybody who is connected.
pub async fn watch_directory(
    database: Database,
    mut in_force: InForce,
    authenticator: Arc<Authenticator>,
    post: Arc<Post>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Err(error) = follow(&database, &mut in_force, &authenticator, &post).await {
            // The policy in force stays: a part of a policy, or none, must not take its place.
            tracing::error!(%error, "what was changed beside the broker could not be read");
        }
    }
}

async fn follow(
    database: &Database,
    in_force: &mut InForce,
    authenticator: &Authenticator,
    post: &Post,
) -> Result<(), StoreError> {
    // Read before the number of the import: what was imported before a change is in force when the change is.
    let generation = database.generation().await?;
    let import = database.last_retained_import().await?;
    if import != in_force.import {
        match take_up_retained(database, in_force.import, post).await {
            Ok(()) => in_force.import = import,
            // A policy that takes rights away does not wait for this.
            Err(error) => tracing::error!(%error, "imported messages could not be read; it is tried again"),
        }
    }
    if generation == in_force.generation {
        return Ok(());
    }
    let directory = database.directory().await?;
    authenticator.replace_directory(accounts(&directory));
    apply(Arc::new(directory.policy()), post).await;
    // It may be later than what was read above, and then an import may be, too: the next look finds out.
    in_force.generation = generation;
    // Somebody waits for this, but for no longer than the command does; the next change says it again.
    if let Err(error) = database.put_in_force(generation).await {
        tracing::error!(%error, "commands will not be told that what they changed holds");
    }
    Ok(())
}

/// Gives every worker the retained messages that were imported since; what is later in memory stays.
async fn take_up_retained(database: &Database, since: u64, post: &Post) -> Result<(), StoreError> {
    let mut from = RetainedPlace::after_import(since);
    loop {
        let page = database.load_retained_page(&mut from).await?;
        for damaged in &page.damaged {
            tracing::error!(error = %damaged, "an imported message cannot be read and is left out");
        }
        if page.records.is_empty() && page.damaged.is_empty() {
            return Ok(());
        }
        let restored: Arc<Vec<_>> = Arc::new(page.records.into_iter().map(restored).collect());
        tell_all(post, |applied| {
            let restored = Arc::clone(&restored);
            Mail::Ask(Question(Box::new(move |asked| {
                for (message, version) in restored.iter() {
                    let input = Input::Restored { message: Arc::clone(message), version: *version };
                    asked.shard.handle(asked.now, input, asked.effects);
                }
                drop(applied);
            })))
        })
        .await;
    }
}

/// A retained message of the store as the core has it.
pub fn restored(record: RetainedRecord) -> (Arc<Message>, RetainedVersion) {
    let expires_at = record.expires.map(|end| Timestamp::from_millis(end.as_millis()));
    (Arc::new(Message { expires_at, ..record.message }), record.version)
}

/// Puts a policy into force and waits until every worker goes by it.
async fn apply(policy: Arc<Policy>, post: &Post) {
    tell_all(post, |applied| Mail::Policy { policy: Arc::clone(&policy), applied }).await;
}

/// Tells every worker something and waits until all have done it.
async fn tell_all(post: &Post, mail: impl Fn(mpsc::Sender<Infallible>) -> Mail) {
    let (applied, mut all_applied) = mpsc::channel(1);
    for worker in 0..post.mailboxes.len() {
        post.mail(worker, mail(applied.clone()));
    }
    drop(applied);
    // Ends when the last worker has dropped its sender: nothing is ever sent.
    let _ = all_applied.recv().await;
}
