//! What an acknowledgement promises for a topic, and what decides it, as `acl check` tells it.

use crate::broker::DecidedBy;
use crate::config::Config;
use crate::protocol::{QoS, TopicName};
use serde::Serialize;

/// What an acknowledgement promises for one topic.
#[derive(Debug, Serialize)]
pub struct ShownPromise {
    /// The class of a message of QoS 1.
    class: &'static str,
    /// The option that decides it.
    decided_by: String,
    /// The class of a message of QoS 2.
    exactly_once: &'static str,
    /// Listeners that decide otherwise for their clients.
    listeners: Vec<ThroughListener>,
}

#[derive(Debug, Serialize)]
struct ThroughListener {
    url: String,
    class: &'static str,
    decided_by: String,
}

impl ShownPromise {
    /// As the broker with this configuration decides.
    pub fn of(config: &Config, topic: &TopicName) -> Self {
        let durabilities = config.durabilities();
        let (class, by) = durabilities.of(topic, QoS::AtLeastOnce, None);
        let (exactly_once, _) = durabilities.of(topic, QoS::ExactlyOnce, None);
        let listeners = config.listeners.iter().enumerate().filter_map(|(number, listener)| {
            let (class, by) = durabilities.of(topic, QoS::AtLeastOnce, Some(listener.durability?));
            let decided_by = format!("listeners[{number}].durability");
            (by == DecidedBy::Listener).then(|| ThroughListener {
                url: listener.url.to_string(),
                class: class.name(),
                decided_by,
            })
        });
        Self {
            class: class.name(),
            decided_by: option_of(config, by),
            exactly_once: exactly_once.name(),
            listeners: listeners.collect(),
        }
    }

    /// The same for people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let Self { class, decided_by, exactly_once, listeners } = self;
        let of_qos_2 = match exactly_once {
            same if same == class => String::new(),
            other => format!("; of QoS 2: {other}, the strongest in use"),
        };
        let first = format!("an acknowledgement promises: {class} ({decided_by}){of_qos_2}");
        let others = listeners
            .iter()
            .map(|listener| format!("through {}: {} ({})", listener.url, listener.class, listener.decided_by));
        std::iter::once(first).chain(others).collect()
    }
}

fn option_of(config: &Config, by: DecidedBy) -> String {
    match by {
        DecidedBy::Topic(number) => {
            let filter = config.topics.get(number).map_or("", |topic| topic.filter.as_str());
            format!("topics[{number}], {filter:?}")
        }
        DecidedBy::Listener => String::from("listeners"),
        DecidedBy::General | DecidedBy::ExactlyOnce => String::from("store.durability"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Durability, QueueFull, TopicSettings};
    use crate::config::{ListenUrl, Listener};
    use crate::protocol::TopicFilter;

    #[test]
    fn what_decides_is_named_and_where_it_is_decided_otherwise() {
        let mut config = Config::default();
        let lines =
            |config: &Config, topic: &str| ShownPromise::of(config, &TopicName::try_from(topic).unwrap()).lines();
        assert_eq!(lines(&config, "a"), ["an acknowledgement promises: commit (store.durability)"]);
        let mut fast = Listener::new("mqtt://localhost".parse::<ListenUrl>().unwrap());
        fast.durability = Some(Durability::Memory);
        config.listeners.push(fast);
        config.topics.push(TopicSettings {
            filter: TopicFilter::try_from("telemetry/#").unwrap(),
            durability: Some(Durability::Os),
            queue_full: QueueFull::default(),
        });
        let through = "through mqtt://localhost:1883: memory (listeners[1].durability)";
        assert_eq!(lines(&config, "a"), ["an acknowledgement promises: commit (store.durability)", through]);
        let of_topic =
            "an acknowledgement promises: os (topics[0], \"telemetry/#\"); of QoS 2: commit, the strongest in use";
        assert_eq!(lines(&config, "telemetry/1"), [of_topic]);
    }
}
