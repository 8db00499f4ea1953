//! The file gets smaller again: what a queue of millions took goes back to the disk when there is nothing else to do.
//!
//! SQLite keeps the pages that become free for what comes next. It can move the last pages into free ones and cut the file
//! off, which is done here in slices, so that whoever wants to write never waits for more than one of them.

use super::connection::whole_change;
use super::database::Database;
use super::error::StoreError;
use crate::broker::Durability;
use sqlx::query_scalar;

/// Whether there is more to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Another slice would help.
    More,
    /// The file is as small as it is to be.
    Nothing,
}

impl Database {
    /// Gives back a slice of the free pages, unless they are few.
    pub(super) async fn shrink(&self) -> Result<Rest, StoreError> {
        let free: i64 = query_scalar("PRAGMA freelist_count").fetch_one(&mut *self.reader().await?).await?;
        if free <= FREE_PAGES_KEPT {
            return Ok(Rest::Nothing);
        }
        let mut statements = whole_change();
        statements.push(format_args!("PRAGMA incremental_vacuum({SLICE}); "));
        // It is no loss if the power goes first: the pages are free then, as they were.
        self.run(statements, Durability::Os).await?;
        if free - SLICE > FREE_PAGES_KEPT {
            return Ok(Rest::More);
        }
        // The file itself is cut off when the log is brought into it.
        self.checkpoint().await?;
        Ok(Rest::Nothing)
    }
}

/// Pages of 4 KiB in a slice: a megabyte, some milliseconds.
const SLICE: i64 = 256;
/// Free pages that stay: 4 MiB, which queues that come and go use again and again.
const FREE_PAGES_KEPT: i64 = 1024;
