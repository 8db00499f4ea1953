//! The stored log: searched page by page, and written out.

use super::call::{Call, Page, json as answer, limit};
use super::log_filter::{LogFilter, parse_action, parse_moment};
use super::problem::AdminError;
use crate::audit::{json, time};
use crate::protocol::TopicFilter;
use crate::store::{Choice, Directory, EventPosition, StoredEvent, UnixMillis};
use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// What is asked for, as it stands behind the question mark.
#[derive(Deserialize)]
pub struct LogQuery {
    action: Option<String>,
    user: Option<String>,
    client: Option<String>,
    class: Option<String>,
    topic: Option<String>,
    failed: Option<String>,
    since: Option<String>,
    until: Option<String>,
    text: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
    format: Option<String>,
}

impl LogQuery {
    /// The events that are asked for, of those that the caller may see. For the live log `since` is a number, not a time.
    pub fn filter(&self, call: &Call, directory: &Directory, times: Times) -> Result<LogFilter, AdminError> {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let moment = |name, text: &Option<String>| match said(text).filter(|_| times == Times::Asked) {
            None => Ok(None),
            Some(text) => match parse_time(&text) {
                Some(moment) => Ok(Some(moment)),
                None => Err(AdminError::invalid(name, "a time in UTC, milliseconds since 1970, or how long ago")),
            },
        };
        let actions = said(&self.action).unwrap_or_default();
        let actions = actions.split(',').filter(|name| !name.is_empty()).map(parse_action);
        let topic = said(&self.topic).map(|text| TopicFilter::try_from(text.as_str())).transpose();
        let only = match said(&self.class) {
            Some(class) => Some(call.sight.users_of(&class, directory)?),
            None => call.sight.users(),
        };
        Ok(LogFilter {
            actions: actions.collect::<Result<_, _>>().map_err(|problem| AdminError::invalid("action", problem))?,
            user: said(&self.user),
            client: said(&self.client),
            topic: topic.map_err(|problem| AdminError::invalid("topic", problem))?,
            since: moment("since", &self.since)?,
            until: moment("until", &self.until)?,
            failed: said(&self.failed).is_some_and(|said| said != "false" && said != "0"),
            text: said(&self.text),
            only,
        })
    }
}

/// Whether `since` and `until` are times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// They are.
    Asked,
    /// They are not.
    None,
}

fn parse_time(text: &str) -> Option<UnixMillis> {
    match text.parse() {
        Ok(millis) => Some(UnixMillis::from_millis(millis)),
        Err(_) => parse_moment(text, UnixMillis::now()),
    }
}

/// So many events are looked at for one page; then it says where to go on, however few were found.
const LOOKED_AT: usize = 50_000;

/// A page of the events, the newest first.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let query: LogQuery = call.query()?;
    let filter = query.filter(&call, &*call.office.directory().await?, Times::Asked)?;
    let before = query.cursor.as_deref().filter(|cursor| !cursor.is_empty()).map(parse_position).transpose()?;
    let mut looked_at = 0;
    let choose = |event: &StoredEvent| {
        looked_at += 1;
        if looked_at > LOOKED_AT { Choice::Pause } else { filter.choice(event) }
    };
    let page = call.office.database.events_before(before, limit(query.limit), choose).await?;
    let next = page.next.map(|position| format!("{}-{}", position.batch, position.index));
    answer(&Page { items: page.events.iter().map(json).collect(), next })
}

fn parse_position(text: &str) -> Result<EventPosition, AdminError> {
    let parse = || {
        let (batch, index) = text.split_once('-')?;
        Some(EventPosition { batch: batch.parse().ok()?, index: index.parse().ok()? })
    };
    parse().ok_or_else(|| AdminError::invalid("cursor", "not one that was given out"))
}

/// How events are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

/// Events read at once for an export, and the most that one holds.
const AT_ONCE: usize = 500;
const MOST: usize = 1_000_000;

/// All events that are asked for, the newest first, streamed as they are read.
pub async fn export(call: Call) -> Result<HttpResponse, AdminError> {
    let query: LogQuery = call.query()?;
    let filter = query.filter(&call, &*call.office.directory().await?, Times::Asked)?;
    let format = match query.format.as_deref() {
        Some("csv") => Format::Csv,
        Some("ndjson") | None => Format::Ndjson,
        Some(_) => return Err(AdminError::invalid("format", "csv or ndjson")),
    };
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"securemq-log.csv\""),
        Format::Ndjson => ("application/x-ndjson", "attachment; filename=\"securemq-log.ndjson\""),
    };
    let export = Export { call, filter, format, next: Next::Begin, written: 0, ready: VecDeque::new() };
    let body = stream::unfold(export, |mut export| async move {
        let piece = export.piece().await.transpose()?;
        Some((piece, export))
    });
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((CONTENT_DISPOSITION, name));
    Ok(response.insert_header((CONTENT_TYPE, kind)).streaming(Box::pin(body)))
}

enum Next {
    Begin,
    Before(EventPosition),
    End,
}

struct Export {
    call: Call,
    filter: LogFilter,
    format: Format,
    next: Next,
    written: usize,
    ready: VecDeque<Bytes>,
}

impl Export {
    async fn piece(&mut self) -> Result<Option<Bytes>, AdminError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            let before = match self.next {
                Next::Begin => {
                    if self.format == Format::Csv {
                        self.ready.push_back(Bytes::from_static(CSV_HEAD.as_bytes()));
                    }
                    None
                }
                Next::Before(position) => Some(position),
                Next::End => return Ok(None),
            };
            let mut looked_at = 0;
            let filter = &self.filter;
            let choose = |event: &StoredEvent| {
                looked_at += 1;
                if looked_at > LOOKED_AT { Choice::Pause } else { filter.choice(event) }
            };
            let page = self.call.office.database.events_before(before, AT_ONCE, choose).await?;
            self.written += page.events.len();
            self.next = match page.next {
                Some(position) if self.written < MOST => Next::Before(position),
                Some(_) | None => Next::End,
            };
            let text: String = page.events.iter().map(|event| self.format.row(event)).collect();
            if !text.is_empty() {
                self.ready.push_back(text.into());
            }
        }
    }
}

const CSV_HEAD: &str = "time,action,ok,user,client,address,topic,text\r\n";

impl Format {
    fn row(self, event: &StoredEvent) -> String {
        let shown = json(event);
        match self {
            Self::Ndjson => format!("{shown}\n"),
            Self::Csv => {
                let text = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or_default();
                let ok = if event.event.kind.is_failure() { "no" } else { "yes" };
                let at = time(event.at);
                let fields = [
                    at.as_str(),
                    text("action"),
                    ok,
                    text("user"),
                    text("client"),
                    text("address"),
                    text("topic"),
                    text("text"),
                ];
                format!("{}\r\n", fields.map(csv_field).join(","))
            }
        }
    }
}

/// A field that a spreadsheet shows and never computes: what begins like a formula gets an apostrophe before it.
fn csv_field(text: &str) -> String {
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0'])
        || text.starts_with(['\t', '\r', '\n', '＝', '＋', '－', '＠']);
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_computed_and_none_ends_early() {
        for (text, field) in [
            ("plain", "\"plain\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            (" =1", "\"' =1\""),
            ("＝1", "\"'＝1\""),
            ("a\"b", "\"a\"\"b\""),
            ("a,b\r\nc", "\"a,b\r\nc\""),
            ("\",=1+1", "\"\"\",=1+1\""),
        ] {
            assert_eq!(csv_field(text), field);
        }
    }

    #[test]
    fn a_place_to_go_on_survives_its_way_through_the_page() {
        let position = EventPosition { batch: 12, index: 34 };
        assert_eq!(parse_position("12-34").unwrap(), position);
        for text in ["", "12", "a-b", "12-34-5", "-1"] {
            assert!(parse_position(text).is_err(), "{text}");
        }
    }
}
