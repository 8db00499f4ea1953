//! The log as it grows, over a WebSocket: what the caller may see and asked for, in batches, with a count of what went
//! by unseen.

use super::backlog::Backlog;
use super::call::{Body, Call};
use super::follower::{Written, place_after, seq};
use super::log_filter::LogFilter;
use super::logs::{LogQuery, Times};
use super::problem::AdminError;
use super::watcher::Watcher;
use crate::broker::EventKind;
use actix_web::HttpResponse;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

#[derive(Deserialize)]
struct Resume {
    since: Option<String>,
}

/// Events of one message; a page shows no more at once.
const PER_MESSAGE: usize = 500;
/// Batches that are read again for a page that comes back.
const RESUMED: i64 = 64;

/// Shows events as they are written; with `since` after the one of that number.
pub async fn watch(mut call: Call) -> Result<HttpResponse, AdminError> {
    let query: LogQuery = call.query()?;
    let filter = query.filter(&call, &*call.office.directory().await?, Times::None)?;
    let Resume { since } = call.query()?;
    let since = since.filter(|since| !since.is_empty()).map(|since| since.parse::<i64>()).transpose();
    let since = since.map_err(|_| AdminError::invalid("since", "the number of an event"))?;
    let (last, receiver) = call.office.follower.watch().await?;
    let mut feed =
        Feed { filter, receiver, last, seq: seq(last, usize::MAX), backlog: Backlog::new(weight), has_gap: false };
    if let Some(since) = since {
        feed.resume(&call, since).await?;
    }
    let Body::Stream(payload) = std::mem::replace(&mut call.body, Body::Whole(bytes::Bytes::new())) else {
        return Err(AdminError::MethodNotAllowed);
    };
    let (response, session, messages) =
        actix_ws::handle(&call.request, payload).map_err(|_| AdminError::MethodNotAllowed)?;
    let mut watcher = Watcher::new(call, session, messages);
    actix_web::rt::spawn(async move {
        let mut is_first = true;
        while watcher.turn().await.is_some() {
            feed.take();
            while let Some(message) = feed.message(is_first) {
                is_first = false;
                if !watcher.send(message).await {
                    return;
                }
            }
        }
        watcher.close().await;
    });
    Ok(response)
}

/// An event that says how many were not kept stands for those.
fn weight((written, index): &(Arc<Written>, usize)) -> u64 {
    let kind = written.batch.events.get(*index).map(|stored| &stored.event.kind);
    if let Some(EventKind::LeftOut { count }) = kind { *count } else { 1 }
}

struct Feed {
    filter: LogFilter,
    receiver: Receiver<Arc<Written>>,
    /// The last batch that was looked at.
    last: i64,
    /// The number of the last event that was looked at.
    seq: i64,
    /// Events as the place that they have in what was written.
    backlog: Backlog<(Arc<Written>, usize)>,
    has_gap: bool,
}

impl Feed {
    /// Reads again what was written since the page was here last; what is too long ago stays in the store.
    async fn resume(&mut self, call: &Call, since: i64) -> Result<(), AdminError> {
        let (batch, index) = place_after(since);
        let begin = batch.saturating_sub(1).max(self.last.saturating_sub(RESUMED));
        self.has_gap = begin > batch;
        let end = self.last;
        for batch in call.office.database.batches_after(begin, RESUMED.saturating_add(1)).await? {
            if batch.number > end {
                break;
            }
            let skip = if batch.number == place_after(since).0 { index } else { 0 };
            self.look_at(&Arc::new(Written::new(batch)), skip);
        }
        self.last = end;
        Ok(())
    }

    /// Takes what has been written.
    fn take(&mut self) {
        self.take_written();
        self.backlog.turn();
    }

    fn take_written(&mut self) {
        loop {
            match self.receiver.try_recv() {
                Ok(written) if written.batch.number <= self.last => {}
                Ok(written) => {
                    self.last = written.batch.number;
                    self.look_at(&written, 0);
                }
                // Not shown and not counted one by one: the page sees a gap and asks the store.
                Err(TryRecvError::Lagged(_)) => self.has_gap = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn look_at(&mut self, written: &Arc<Written>, skip: usize) {
        for (index, event) in written.batch.events.iter().enumerate().skip(skip) {
            self.seq = self.seq.max(seq(written.batch.number, index));
            if self.filter.wants(event) {
                self.backlog.push((Arc::clone(written), index));
            }
        }
    }

    /// The next message, if there is something to say. The first one says where the log is.
    fn message(&mut self, is_first: bool) -> Option<String> {
        if self.backlog.is_idle() && !self.has_gap && !is_first {
            return None;
        }
        let (events, dropped) = self.backlog.take(PER_MESSAGE);
        let seq = match events.last() {
            Some((written, index)) if !self.backlog.is_empty() => seq(written.batch.number, *index),
            Some(_) | None => self.seq,
        };
        let gap = std::mem::take(&mut self.has_gap);
        let events: Vec<&str> = events.iter().map(|(written, index)| written.shown(*index)).collect();
        let events = events.join(",");
        Some(format!("{{\"events\":[{events}],\"dropped\":{dropped},\"gap\":{gap},\"seq\":{seq}}}"))
    }
}
