//! What an acknowledgement promises, and what is said about the topics of a broker.

use crate::protocol::{QoS, TopicFilter, TopicName};

/// What is true of a message or a change once it is acknowledged. A later one promises more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Durability {
    /// `memory`: a message is with the broker, and lost with its process.
    Memory,
    /// `os`: it is with the operating system and survives the end of the process, not a power cut.
    Os,
    /// `commit`: it is on the disk and survives a power cut.
    #[default]
    Commit,
}

impl Durability {
    /// Every class, the strongest first.
    pub const ALL: [Self; 3] = [Self::Commit, Self::Os, Self::Memory];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Os => "os",
            Self::Memory => "memory",
        }
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What happens to a message for a session whose queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueFull {
    /// `drop-oldest`: it takes the place of the oldest that wait.
    DropOldest,
    /// `drop-newest`: the session goes without it.
    #[default]
    DropNewest,
    /// `refuse`: the session goes without it, and the publisher is told 0x97. Before 5.0 there is no way to say so.
    Refuse,
}

impl QueueFull {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::DropNewest, Self::DropOldest, Self::Refuse];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::DropOldest => "drop-oldest",
            Self::DropNewest => "drop-newest",
            Self::Refuse => "refuse",
        }
    }
}

/// What is said about the topics that a filter matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Which topics.
    pub filter: TopicFilter,
    /// What the acknowledgement of a message promises there; `None` leaves it to the listener.
    pub durability: Option<Durability>,
    /// What happens when a queue is full.
    pub queue_full: QueueFull,
}

/// What decided the class of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// The entry with this number among the topics, from 0.
    Topic(usize),
    /// The listener of its publisher.
    Listener,
    /// What holds in general.
    General,
    /// It is of QoS 2, which has the strongest class that is in use.
    ExactlyOnce,
}

/// Which class a message or a change is of: a topic decides before a listener, a listener before what holds in general.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durabilities {
    general: Durability,
    strongest: Durability,
    topics: Vec<TopicSettings>,
}

impl Durabilities {
    /// So many topics have settings of their own at most: every message is compared with them until one matches.
    pub const MAX_TOPICS: usize = 100;

    /// The classes of a broker: in general, those of its listeners, and its topics, of which the first that matches
    /// counts and those beyond [`Durabilities::MAX_TOPICS`] do not.
    pub fn new(
        general: Durability,
        listeners: impl IntoIterator<Item = Durability>,
        mut topics: Vec<TopicSettings>,
    ) -> Self {
        topics.truncate(Self::MAX_TOPICS);
        let others = listeners.into_iter().chain(topics.iter().filter_map(|topic| topic.durability));
        let strongest = others.fold(general, Durability::max).max(Durability::Os);
        Self { general, strongest, topics }
    }

    /// What holds where nothing else is said.
    pub fn general(&self) -> Durability {
        self.general
    }

    /// The class of a message, and what decided it; `listener` is what that of its publisher says.
    ///
    /// The identifiers of QoS 2 are shared by the messages of a session: if one of a weak class could be forgotten, a
    /// client would take the next message under its identifier, of a strong class, for a repetition and drop it. So all
    /// of QoS 2 have the strongest class that is in use, and never only the memory.
    pub fn of(&self, topic: &TopicName, qos: QoS, listener: Option<Durability>) -> (Durability, DecidedBy) {
        let by_topic = self.find(topic).and_then(|(number, topic)| Some((topic.durability?, DecidedBy::Topic(number))));
        let by_listener = || listener.map(|class| (class, DecidedBy::Listener));
        let (class, by) = by_topic.or_else(by_listener).unwrap_or((self.general, DecidedBy::General));
        match qos {
            QoS::ExactlyOnce if class < self.strongest => (self.strongest, DecidedBy::ExactlyOnce),
            QoS::AtMostOnce | QoS::AtLeastOnce | QoS::ExactlyOnce => (class, by),
        }
    }

    /// What is recorded of QoS 2 beside the message.
    pub fn of_identifiers(&self) -> Durability {
        self.strongest.max(Durability::Os)
    }

    /// The class of a change of a session, as one begun through such a listener: sessions outlive the process in every
    /// class.
    pub fn of_session(&self, listener: Option<Durability>) -> Durability {
        listener.unwrap_or(self.general).max(Durability::Os)
    }

    /// What happens to a message of this topic when a queue is full.
    pub fn queue_full(&self, topic: &TopicName) -> QueueFull {
        self.find(topic).map_or_else(QueueFull::default, |(_, topic)| topic.queue_full)
    }

    fn find(&self, topic: &TopicName) -> Option<(usize, &TopicSettings)> {
        self.topics.iter().enumerate().find(|(_, settings)| settings.filter.matches(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(filter: &str, durability: Option<Durability>, queue_full: QueueFull) -> TopicSettings {
        TopicSettings { filter: TopicFilter::try_from(filter).unwrap(), durability, queue_full }
    }

    #[test]
    fn the_most_specific_word_decides_and_the_first_topic_that_matches() {
        let topics = vec![
            about("a/+", None, QueueFull::Refuse),
            about("a/#", Some(Durability::Memory), QueueFull::DropNewest),
            about("a/b/c", Some(Durability::Os), QueueFull::DropOldest),
        ];
        let durabilities = Durabilities::new(Durability::Commit, [Durability::Os], topics);
        let of =
            |topic: &str, listener| durabilities.of(&TopicName::try_from(topic).unwrap(), QoS::AtLeastOnce, listener);
        assert_eq!(of("b", None), (Durability::Commit, DecidedBy::General));
        assert_eq!(of("b", Some(Durability::Os)), (Durability::Os, DecidedBy::Listener));
        assert_eq!(of("a/b/c", Some(Durability::Os)), (Durability::Memory, DecidedBy::Topic(1)));
        assert_eq!(of("a/b", None), (Durability::Commit, DecidedBy::General), "what the first leaves open");
        let queue_full = |topic: &str| durabilities.queue_full(&TopicName::try_from(topic).unwrap());
        assert_eq!(queue_full("a/b"), QueueFull::Refuse);
        assert_eq!(queue_full("a/b/c"), QueueFull::DropNewest);
        assert_eq!(queue_full("b"), QueueFull::DropNewest);
    }

    #[test]
    fn what_is_of_qos_2_has_the_strongest_class_in_use_and_never_only_the_memory() {
        let topic = TopicName::try_from("t").unwrap();
        let of = |durabilities: &Durabilities| durabilities.of(&topic, QoS::ExactlyOnce, None);
        let weak = Durabilities::new(Durability::Memory, [], Vec::new());
        assert_eq!(of(&weak), (Durability::Os, DecidedBy::ExactlyOnce));
        let strong = Durabilities::new(Durability::Memory, [Durability::Commit], Vec::new());
        assert_eq!(of(&strong), (Durability::Commit, DecidedBy::ExactlyOnce));
        assert_eq!(strong.of_identifiers(), Durability::Commit);
        assert_eq!(weak.of_session(None), Durability::Os, "sessions outlive the process");
        assert_eq!(of(&Durabilities::default()), (Durability::Commit, DecidedBy::General));
    }
}
