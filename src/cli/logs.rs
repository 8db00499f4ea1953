//! `securemq logs`: what happened, from the sealed event log.

use super::administration::existing_database;
use super::context::Context;
use super::error::CliError;
use super::output::Format;
use crate::admin::{LogFilter, parse_action, parse_moment};
use crate::audit::{json, line};
use crate::broker::Action;
use crate::protocol::TopicFilter;
use crate::store::{ChainReport, Choice, Database, EventPosition, StoredEvent, UnixMillis};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::time::Duration;

/// Show what happened: logins, subscriptions, messages, administration
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Times are in UTC. --since and --until take a time (2026-11-05T12:00:00Z, 2026-11-05) or how long ago (90s, 10m, 2h, 7d).

  securemq logs --failed --since 1h
  securemq logs --action PUBLISH --topic 'school/#' --follow
  securemq logs verify")]
pub struct LogsCommand {
    #[command(flatten)]
    filter: Filter,
    /// The latest so many events
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    limit: u32,
    /// Go on with new events as they are written, until interrupted
    #[arg(long, conflicts_with = "until")]
    follow: bool,
    #[command(subcommand)]
    action: Option<LogsAction>,
}

#[derive(Debug, Subcommand)]
enum LogsAction {
    /// Check that no event was altered or removed since it was written
    Verify,
}

/// Which events are shown: those to which everything applies that is given.
#[derive(Debug, Args)]
struct Filter {
    /// Only this action; may be repeated [CONNECT, DISCONNECT, SUBSCRIBE, UNSUBSCRIBE, PUBLISH, ADMIN, BROKER]
    #[arg(long = "action", value_name = "ACTION", value_parser = parse_action)]
    actions: Vec<Action>,
    /// Only events of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only events of this client id
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Only events about topics that this filter matches
    #[arg(long, value_name = "FILTER", value_parser = topic_filter)]
    topic: Option<TopicFilter>,
    /// Only events from this time on
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<UnixMillis>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<UnixMillis>,
    /// Only what was refused, dropped or lost
    #[arg(long)]
    failed: bool,
}

impl LogsCommand {
    /// Does what was asked for.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = existing_database(context).await?;
        match self.action {
            Some(LogsAction::Verify) => verify(context, &database).await,
            None if self.follow => follow(context, &database, &self.filter.wanted(), self.limit).await,
            None => {
                let events = latest(&database, &self.filter.wanted(), self.limit, None).await?;
                match context.output.format() {
                    Format::Text => events.iter().try_for_each(|event| context.output.line(line(event))),
                    Format::Json => context.output.json(&events.iter().map(json).collect::<Vec<_>>()),
                }
            }
        }
    }
}

/// The latest events that are wanted, the oldest of them first.
async fn latest(
    database: &Database,
    filter: &LogFilter,
    limit: u32,
    before: Option<EventPosition>,
) -> Result<Vec<StoredEvent>, CliError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = database.events_before(before, limit, |event| filter.choice(event)).await?;
    Ok(page.events.into_iter().rev().collect())
}

/// Shows the latest events and then whatever is written. Programs get one object per line, because the list never ends.
async fn follow(context: &Context, database: &Database, filter: &LogFilter, limit: u32) -> Result<(), CliError> {
    let show = |event: &StoredEvent| match context.output.format() {
        Format::Text => context.output.line(line(event)),
        Format::Json => context.output.json(&json(event)),
    };
    let mut last = database.last_batch().await?;
    // Up to here and not further, so that no event is shown twice or never.
    let end = EventPosition { batch: last.saturating_add(1), index: 0 };
    latest(database, filter, limit, Some(end)).await?.iter().try_for_each(show)?;
    loop {
        tokio::time::sleep(POLL_EVERY).await;
        let mut events = Vec::new();
        last = database
            .events_after(last, |event| {
                if filter.choice(&event) == Choice::Take {
                    events.push(event);
                }
            })
            .await?;
        events.iter().try_for_each(show)?;
    }
}

async fn verify(context: &Context, database: &Database) -> Result<(), CliError> {
    let report = database.verify_chain().await?;
    let ChainReport { batches, events, breaks } = &report;
    let found: Vec<_> = breaks.iter().map(ToString::to_string).collect();
    if context.output.format() == Format::Json {
        let shown = ShownReport { whole: report.is_whole(), batches: *batches, events: *events, breaks: &found };
        context.output.json(&shown)?;
    }
    if report.is_whole() {
        return match context.output.format() {
            Format::Text => context.output.line(format_args!("the log is whole: {events} events in {batches} batches")),
            Format::Json => Ok(()),
        };
    }
    let message = "the event log is not as it was written";
    Err(CliError::failed(message, "compare it with a backup of the database, and find out who could write to the file")
        .with_details(found))
}

#[derive(Debug, Serialize)]
struct ShownReport<'a> {
    whole: bool,
    batches: u64,
    events: u64,
    breaks: &'a [String],
}

impl Filter {
    fn wanted(self) -> LogFilter {
        let Self { actions, user, client, topic, since, until, failed } = self;
        LogFilter { actions, user, client, topic, since, until, failed, ..LogFilter::default() }
    }
}

fn topic_filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::try_from(text).map_err(|problem| format!("it {problem}"))
}

fn moment(text: &str) -> Result<UnixMillis, String> {
    parse_moment(text, UnixMillis::now())
        .ok_or_else(|| "a time like 2026-11-05T12:00:00Z or 2026-11-05, or how long ago like 10m, is expected".into())
}

/// How often `--follow` looks for new events.
const POLL_EVERY: Duration = Duration::from_millis(200);
