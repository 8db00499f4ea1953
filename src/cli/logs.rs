//! `securemq logs`: what happened, from the sealed event log.

use super::administration::existing_database;
use super::context::Context;
use super::error::CliError;
use super::output::Format;
use crate::audit::{action_named, json, line};
use crate::broker::{Action, EventKind};
use crate::protocol::{Text, TopicFilter, TopicName};
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
    #[arg(long = "action", value_name = "ACTION", value_parser = action)]
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
            None if self.follow => follow(context, &database, &self.filter, self.limit).await,
            None => {
                let events = latest(&database, &self.filter, self.limit, None).await?;
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
    filter: &Filter,
    limit: u32,
    before: Option<EventPosition>,
) -> Result<Vec<StoredEvent>, CliError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = database.events_before(before, limit, |event| filter.choice(event)).await?;
    Ok(page.events.into_iter().rev().collect())
}

/// Shows the latest events and then whatever is written. Programs get one object per line, because the list never ends.
async fn follow(context: &Context, database: &Database, filter: &Filter, limit: u32) -> Result<(), CliError> {
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
    fn choice(&self, stored: &StoredEvent) -> Choice {
        if self.since.is_some_and(|since| stored.at.as_millis() + DISORDER_MS < since.as_millis()) {
            return Choice::Stop;
        }
        let event = &stored.event;
        let wanted = (self.actions.is_empty() || self.actions.contains(&event.kind.action()))
            && self.since.is_none_or(|since| stored.at >= since)
            && self.until.is_none_or(|until| stored.at < until)
            && self.user.as_ref().is_none_or(|user| is(event.who.user.as_ref(), user))
            && self.client.as_ref().is_none_or(|client| is(event.who.client_id.as_ref(), client))
            && self.topic.as_ref().is_none_or(|filter| speaks_of(&event.kind, filter))
            && (!self.failed || event.kind.is_failure());
        if wanted { Choice::Take } else { Choice::Skip }
    }
}

fn is(text: Option<&Text>, wanted: &str) -> bool {
    text.is_some_and(|text| text.as_str() == wanted)
}

/// Whether the event is about a topic that the filter matches, or about a subscription that it covers.
fn speaks_of(kind: &EventKind, filter: &TopicFilter) -> bool {
    match kind {
        EventKind::Published { topic, .. }
        | EventKind::PublishRefused { topic, .. }
        | EventKind::Dropped { topic, .. } => TopicName::new(topic.clone()).is_ok_and(|topic| filter.matches(&topic)),
        EventKind::Subscribed { filter: other, .. }
        | EventKind::SubscribeRefused { filter: other, .. }
        | EventKind::Unsubscribed { filter: other } => {
            TopicFilter::new(other.clone()).is_ok_and(|other| filter.covers(&other))
        }
        EventKind::Connected { .. }
        | EventKind::ConnectRefused { .. }
        | EventKind::Disconnected { .. }
        | EventKind::SessionEnded { .. }
        | EventKind::Administered { .. }
        | EventKind::Started { .. }
        | EventKind::Stopped
        | EventKind::Notice { .. }
        | EventKind::LeftOut { .. } => false,
    }
}

fn action(text: &str) -> Result<Action, String> {
    let names = || Action::ALL.map(Action::name).join(", ");
    action_named(text).ok_or_else(|| format!("the actions are {}", names()))
}

fn topic_filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::try_from(text).map_err(|problem| format!("it {problem}"))
}

fn moment(text: &str) -> Result<UnixMillis, String> {
    parse_moment(text, UnixMillis::now())
        .ok_or_else(|| "a time like 2026-11-05T12:00:00Z or 2026-11-05, or how long ago like 10m, is expected".into())
}

/// A time in UTC, a day, or how long before `now`: 90s, 10m, 2h, 7d.
fn parse_moment(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    if let Some(ago) = parse_ago(text) {
        return Some(now.before(ago));
    }
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        jiff::tz::Offset::UTC.to_timestamp(civil).ok()
    });
    Some(UnixMillis::from_millis(u64::try_from(time?.as_millisecond()).ok()?))
}

fn parse_ago(text: &str) -> Option<Duration> {
    let (number, seconds) = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    Some(Duration::from_secs(number.parse::<u32>().ok().map(u64::from)? * seconds))
}

/// How often `--follow` looks for new events.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// Events of several processes are written in batches, so one may stand this much later in the log than an older one.
const DISORDER_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{AuditEvent, Reason, Who};
    use crate::protocol::QoS;

    fn text(text: &str) -> Text {
        Text::try_from(text).unwrap()
    }

    fn everything() -> Filter {
        let (actions, user, client, topic, since, until) = (Vec::new(), None, None, None, None, None);
        Filter { actions, user, client, topic, since, until, failed: false }
    }

    fn event(at: u64, kind: EventKind) -> StoredEvent {
        let who = Who { user: Some(text("alice")), client_id: Some(text("lamp")), address: None };
        StoredEvent { at: UnixMillis::from_millis(at), event: AuditEvent { who, kind } }
    }

    fn published(at: u64) -> StoredEvent {
        let qos = QoS::AtMostOnce;
        event(at, EventKind::Published { topic: text("school/bell"), size: 1, qos, retain: false, delivered: 0 })
    }

    #[test]
    fn an_event_is_shown_if_everything_applies() {
        let refused = event(5, EventKind::SubscribeRefused { filter: text("a/+"), reason: Reason::Denied, rule: None });
        let takes = |filter: Filter, event: &StoredEvent| filter.choice(event) == Choice::Take;
        assert!(takes(everything(), &published(5)));
        let only = |action| Filter { actions: vec![action], ..everything() };
        assert!(takes(only(Action::Publish), &published(5)));
        assert!(!takes(only(Action::Publish), &refused));
        assert!(takes(Filter { failed: true, ..everything() }, &refused));
        assert!(!takes(Filter { failed: true, ..everything() }, &published(5)));
        let of = |name: &str| Filter { user: Some(name.into()), ..everything() };
        assert!(takes(of("alice"), &refused) && !takes(of("bob"), &refused));
        let by = |id: &str| Filter { client: Some(id.into()), ..everything() };
        assert!(takes(by("lamp"), &refused) && !takes(by("lam"), &refused));
        let about = |topic: &str| Filter { topic: Some(TopicFilter::try_from(topic).unwrap()), ..everything() };
        assert!(takes(about("school/#"), &published(5)) && !takes(about("a/#"), &published(5)));
        assert!(takes(about("a/#"), &refused) && !takes(about("a/b"), &refused));
        assert!(!takes(about("#"), &event(5, EventKind::Stopped)));
    }

    #[test]
    fn since_is_included_and_until_is_not() {
        let filter = |since, until| Filter {
            since: Some(UnixMillis::from_millis(since)),
            until: Some(UnixMillis::from_millis(until)),
            ..everything()
        };
        assert_eq!(filter(5, 9).choice(&published(5)), Choice::Take);
        assert_eq!(filter(5, 9).choice(&published(9)), Choice::Skip);
        assert_eq!(filter(5, 9).choice(&published(4)), Choice::Skip);
        assert_eq!(filter(200_000, 300_000).choice(&published(100_000)), Choice::Stop);
    }

    #[test]
    fn moments_are_read_in_utc_or_back_from_now() {
        let now = UnixMillis::from_millis(1_000_000_000);
        let cases = [
            ("1970-01-01T00:00:05Z", Some(5000)),
            ("1970-01-01T01:00:05+01:00", Some(5000)),
            ("1970-01-01T00:00:05.250", Some(5250)),
            ("1970-01-02", Some(86_400_000)),
            ("90s", Some(1_000_000_000 - 90_000)),
            ("10m", Some(1_000_000_000 - 600_000)),
            ("2h", Some(1_000_000_000 - 7_200_000)),
            ("7d", Some(1_000_000_000 - 604_800_000)),
            ("99999d", Some(0)),
            ("1960-01-01", None),
            ("yesterday", None),
            ("10", None),
            ("", None),
            ("-5m", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_moment(text, now).map(UnixMillis::as_millis), expected, "{text}");
        }
    }
}
