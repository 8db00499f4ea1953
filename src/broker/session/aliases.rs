//! Topic aliases: numbers that stand for topics on one connection.

use crate::broker::effect::AliasUse;
use crate::protocol::{Text, TopicName, Violation};
use std::collections::HashMap;

/// The aliases that a client introduced. They end with its connection. [v5:MQTT-3.3.2-7]
#[derive(Debug, Default)]
pub struct InboundAliases {
    maximum: u16,
    /// None until there is one: hardly any client uses them.
    #[expect(clippy::box_collection, reason = "a pointer to nothing, mostly, instead of an empty map of 48 bytes")]
    topics: Option<Box<HashMap<u16, TopicName>>>,
}

impl InboundAliases {
    /// None so far, and at most `maximum`.
    pub fn new(maximum: u16) -> Self {
        Self { maximum, topics: None }
    }

    /// The topic of a PUBLISH, from its own field or by its alias, which is remembered.
    ///
    /// # Errors
    /// The topic is no topic name; the alias is above the maximum [v5:MQTT-3.3.2-9] or stands for nothing
    /// [v5:MQTT-3.3.2-12].
    pub fn resolve(&mut self, topic: &Text, alias: Option<u16>) -> Result<TopicName, Violation> {
        let Some(alias) = alias else {
            return TopicName::new(topic.clone()).map_err(Violation::BadTopicName);
        };
        if alias == 0 || alias > self.maximum {
            return Err(Violation::TopicAliasAboveMaximum { alias, maximum: self.maximum });
        }
        if topic.is_empty() {
            let known = self.topics.as_ref().and_then(|topics| topics.get(&alias));
            return known.cloned().ok_or(Violation::TopicAliasUnknown(alias));
        }
        let topic = TopicName::new(topic.clone()).map_err(Violation::BadTopicName)?;
        self.topics.get_or_insert_default().insert(alias, topic.compact());
        Ok(topic)
    }
}

/// The aliases introduced to a client: the first topics that are sent to it get one, and keep it.
#[derive(Debug, Default)]
pub struct OutboundAliases {
    maximum: u16,
    /// None until there is one.
    #[expect(clippy::box_collection, reason = "a pointer to nothing, mostly, instead of an empty map of 48 bytes")]
    numbers: Option<Box<HashMap<TopicName, u16>>>,
}

impl OutboundAliases {
    /// None so far, and at most `maximum`. [v5:MQTT-3.1.2-26] [v5:MQTT-3.1.2-27]
    pub fn new(maximum: u16) -> Self {
        Self { maximum, numbers: None }
    }

    /// Whether the client takes none.
    pub fn is_unwanted(&self) -> bool {
        self.maximum == 0
    }

    /// How the topic is told in the next PUBLISH, which must be sent for the answer to stay true.
    pub fn assign(&mut self, topic: &TopicName) -> AliasUse {
        if self.maximum == 0 {
            return AliasUse::None;
        }
        let numbers = self.numbers.get_or_insert_default();
        if let Some(&number) = numbers.get(topic) {
            return AliasUse::Only(number);
        }
        let Ok(used) = u16::try_from(numbers.len()) else { return AliasUse::None };
        if used >= self.maximum {
            return AliasUse::None;
        }
        let number = used.saturating_add(1);
        numbers.insert(topic.compact(), number);
        AliasUse::Introduce(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(topic: &str) -> Text {
        Text::try_from(topic).unwrap()
    }

    #[test]
    fn an_alias_stands_for_the_topic_it_came_with_last() {
        let mut aliases = InboundAliases::new(2);
        assert_eq!(aliases.resolve(&text("a"), Some(1)).unwrap().as_str(), "a");
        assert_eq!(aliases.resolve(&text(""), Some(1)).unwrap().as_str(), "a");
        assert_eq!(aliases.resolve(&text("b"), Some(1)).unwrap().as_str(), "b");
        assert_eq!(aliases.resolve(&text(""), Some(1)).unwrap().as_str(), "b");
        assert_eq!(aliases.resolve(&text(""), Some(2)), Err(Violation::TopicAliasUnknown(2)));
        let above = Violation::TopicAliasAboveMaximum { alias: 3, maximum: 2 };
        assert_eq!(aliases.resolve(&text("c"), Some(3)), Err(above));
        assert!(matches!(aliases.resolve(&text("a/#"), None), Err(Violation::BadTopicName(_))));
        assert!(matches!(aliases.resolve(&text(""), None), Err(Violation::BadTopicName(_))));
    }

    #[test]
    fn the_first_topics_get_an_alias_and_keep_it() {
        let mut aliases = OutboundAliases::new(1);
        let (a, b) = (TopicName::try_from("a").unwrap(), TopicName::try_from("b").unwrap());
        assert_eq!(aliases.assign(&a), AliasUse::Introduce(1));
        assert_eq!(aliases.assign(&b), AliasUse::None);
        assert_eq!(aliases.assign(&a), AliasUse::Only(1));
        assert_eq!(OutboundAliases::new(0).assign(&a), AliasUse::None);
    }
}
