//! Which events are wanted: at the command line, in the pages, live and stored.

use crate::audit::{action_named, json};
use crate::broker::{Action, EventKind, UserName};
use crate::protocol::{Text, TopicFilter, TopicName};
use crate::store::{Choice, StoredEvent, UnixMillis};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Which events are wanted: those to which everything applies that is given.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Only these actions; all if there are none.
    pub actions: Vec<Action>,
    /// Only events of this user.
    pub user: Option<String>,
    /// Only events of this client identifier.
    pub client: Option<String>,
    /// Only events about topics that this filter matches.
    pub topic: Option<TopicFilter>,
    /// Only events from this time on.
    pub since: Option<UnixMillis>,
    /// Only events before this time.
    pub until: Option<UnixMillis>,
    /// Only what was refused, dropped or lost.
    pub failed: bool,
    /// Only events with this in their words, names or address.
    pub text: Option<String>,
    /// Only events of these accounts, whatever else is asked for: what somebody may see.
    pub only: Option<Arc<BTreeSet<UserName>>>,
}

impl LogFilter {
    /// What to do with an event while reading backwards.
    pub fn choice(&self, stored: &StoredEvent) -> Choice {
        if self.since.is_some_and(|since| stored.at.as_millis().saturating_add(DISORDER_MS) < since.as_millis()) {
            return Choice::Stop;
        }
        if self.wants(stored) { Choice::Take } else { Choice::Skip }
    }

    /// Whether an event is wanted.
    pub fn wants(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        self.only.as_ref().is_none_or(|only| is_one_of(event.who.user.as_ref(), only))
            && (self.actions.is_empty() || self.actions.contains(&event.kind.action()))
            && self.since.is_none_or(|since| stored.at >= since)
            && self.until.is_none_or(|until| stored.at < until)
            && self.user.as_ref().is_none_or(|user| is(event.who.user.as_ref(), user))
            && self.client.as_ref().is_none_or(|client| is(event.who.client_id.as_ref(), client))
            && self.topic.as_ref().is_none_or(|filter| speaks_of(&event.kind, filter))
            && (!self.failed || event.kind.is_failure())
            && self.text.as_ref().is_none_or(|text| holds(stored, text))
    }
}

fn is_one_of(text: Option<&Text>, wanted: &BTreeSet<UserName>) -> bool {
    text.and_then(|text| UserName::new(text.as_str()).ok()).is_some_and(|name| wanted.contains(&name))
}

fn is(text: Option<&Text>, wanted: &str) -> bool {
    text.is_some_and(|text| text.as_str() == wanted)
}

/// Whether what is shown of an event has this in it, in upper or lower case.
fn holds(stored: &StoredEvent, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let shown = json(stored);
    let values = ["user", "client", "address", "text"].iter().filter_map(|name| shown.get(name)?.as_str());
    values.into_iter().any(|value| value.to_lowercase().contains(&wanted))
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

/// The action of a name, or which there are.
pub fn parse_action(text: &str) -> Result<Action, String> {
    let names = || Action::ALL.map(Action::name).join(", ");
    action_named(text).ok_or_else(|| format!("the actions are {}", names()))
}

/// A time in UTC, a day, or how long before `now`: 90s, 10m, 2h, 7d.
pub fn parse_moment(text: &str, now: UnixMillis) -> Option<UnixMillis> {
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

    fn everything() -> LogFilter {
        LogFilter::default()
    }

    fn event(at: u64, kind: EventKind) -> StoredEvent {
        let who = Who { user: Some(text("alice")), client_id: Some(text("lamp")), address: None };
        StoredEvent { at: UnixMillis::from_millis(at), event: AuditEvent { who, kind } }
    }

    fn published(at: u64) -> StoredEvent {
        let qos = QoS::AtMostOnce;
        event(
            at,
            EventKind::Published {
                topic: text("school/bell"),
                size: 1,
                qos,
                retain: false,
                delivered: 0,
                durability: None,
            },
        )
    }

    #[test]
    fn an_event_is_shown_if_everything_applies() {
        let refused = event(5, EventKind::SubscribeRefused { filter: text("a/+"), reason: Reason::Denied, rule: None });
        let takes = |filter: LogFilter, event: &StoredEvent| filter.choice(event) == Choice::Take;
        assert!(takes(everything(), &published(5)));
        let only = |action| LogFilter { actions: vec![action], ..everything() };
        assert!(takes(only(Action::Publish), &published(5)));
        assert!(!takes(only(Action::Publish), &refused));
        assert!(takes(LogFilter { failed: true, ..everything() }, &refused));
        assert!(!takes(LogFilter { failed: true, ..everything() }, &published(5)));
        let of = |name: &str| LogFilter { user: Some(name.into()), ..everything() };
        assert!(takes(of("alice"), &refused) && !takes(of("bob"), &refused));
        let by = |id: &str| LogFilter { client: Some(id.into()), ..everything() };
        assert!(takes(by("lamp"), &refused) && !takes(by("lam"), &refused));
        let about = |topic: &str| LogFilter { topic: Some(TopicFilter::try_from(topic).unwrap()), ..everything() };
        assert!(takes(about("school/#"), &published(5)) && !takes(about("a/#"), &published(5)));
        assert!(takes(about("a/#"), &refused) && !takes(about("a/b"), &refused));
        assert!(!takes(about("#"), &event(5, EventKind::Stopped)));
    }

    #[test]
    fn whoever_sees_only_their_own_events_finds_no_others_whatever_they_ask_for() {
        let only = |name: &str| Some(Arc::new(BTreeSet::from([UserName::new(name).unwrap()])));
        let of = |name: &str| LogFilter { only: only(name), user: Some("alice".into()), ..everything() };
        assert!(of("alice").wants(&published(5)));
        assert!(!of("bob").wants(&published(5)));
        assert!(!LogFilter { only: only("bob"), ..everything() }.wants(&published(5)));
        let nobodys =
            StoredEvent { event: AuditEvent { who: Who::default(), kind: EventKind::Stopped }, ..published(5) };
        assert!(!LogFilter { only: only("alice"), ..everything() }.wants(&nobodys));
    }

    #[test]
    fn a_text_is_found_in_what_is_shown() {
        let with = |text: &str| LogFilter { text: Some(text.into()), ..everything() };
        assert!(with("SCHOOL/bell").wants(&published(5)) && with("Alice").wants(&published(5)));
        assert!(!with("school/horn").wants(&published(5)));
    }

    #[test]
    fn since_is_included_and_until_is_not() {
        let filter = |since, until| LogFilter {
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
