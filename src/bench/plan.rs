//! What is to be measured: how many clients of which kind, what they send, how fast, and who receives it.

use super::template::topic_number;
use super::wire::{SessionLife, Target};
use crate::protocol::{QoS, Text};
use std::time::Duration;

/// The shape of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Each publisher has a topic of its own, and one receiver.
    Pairs,
    /// Every receiver gets what every publisher sends to the one topic.
    FanOut,
    /// Each publisher has a topic of its own; every receiver subscribes to all of them with `#`.
    FanIn,
    /// Publishers go through many topics; each matches one of many wildcard subscriptions.
    Wildcard,
    /// One message is under way: the next leaves when it has arrived.
    PingPong,
    /// Receivers have durable sessions and are away while is published; then they come and fetch.
    Offline,
    /// Many retained messages, then somebody who subscribes to all of them.
    Retained,
    /// Connections are made and then do nothing.
    Connections,
    /// Each client connects, subscribes and disconnects, again and again.
    Churn,
}

impl Shape {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::Wildcard => "wildcard",
            Self::PingPong => "ping-pong",
            Self::Offline => "offline",
            Self::Retained => "retained",
            Self::Connections => "connections",
            Self::Churn => "churn",
        }
    }
}

/// When the next message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Closed loop: when fewer than that many of a publisher are under way. A message is under way until it is fully
    /// acknowledged and has arrived at all its receivers.
    Window(u32),
    /// Open loop: that many a second, all publishers together, however the broker keeps up.
    PerSecond(u32),
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Window(window) => write!(f, "{window} under way"),
            Self::PerSecond(rate) => write!(f, "{rate}/s"),
        }
    }
}

/// Whether the system calls of the broker are counted. It costs the broker a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallCounting {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// All that a measurement is told.
#[derive(Clone)]
pub struct Plan {
    /// Where, and as whom.
    pub target: Target,
    /// Which traffic.
    pub shape: Shape,
    /// Of publishing and of subscribing.
    pub qos: QoS,
    /// Bytes of a payload; at least [`super::stamp::Stamp::LEN`].
    pub payload: usize,
    /// How many clients publish.
    pub publishers: u32,
    /// How many clients receive.
    pub receivers: u32,
    /// How fast.
    pub pace: Pace,
    /// Before the measurement begins.
    pub warm_up: Duration,
    /// How long is measured.
    pub span: Duration,
    /// What the topics of the run begin with.
    pub prefix: String,
    /// Whether sessions of receivers outlive their connections.
    pub receiver_life: SessionLife,
    /// Further connections, each with one subscription, that do nothing.
    pub idle: u32,
    /// Further subscriptions that match nothing; for wildcard all of them, of which one in a hundred matches.
    pub filters: u32,
    /// Retained messages; connections of a storm.
    pub amount: u32,
    /// Connections that are made at a time.
    pub at_once: usize,
    /// Process of the broker, if it runs on this machine and is to be watched.
    pub pid: Option<u32>,
    /// Whether its system calls are counted.
    pub calls: CallCounting,
}

/// Where a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The number of its first topic.
    pub first_topic: u32,
    /// It goes through so many topics in turn.
    pub topics: u32,
    /// Topic `n` is on lane `n % lanes`: messages of a lane have the same receivers, and are numbered together.
    pub lanes: u32,
    /// Receivers of each message.
    pub copies: u32,
}

impl Plan {
    /// Where this publisher sends.
    pub fn route(&self, publisher: u32) -> Route {
        let one = Route { first_topic: publisher, topics: 1, lanes: 1, copies: 1 };
        match self.shape {
            Shape::Pairs | Shape::PingPong => one,
            Shape::FanOut => Route { first_topic: 0, copies: self.receivers, ..one },
            Shape::FanIn => Route { copies: self.receivers, ..one },
            Shape::Wildcard => Route { first_topic: 0, topics: self.matching_filters(), lanes: self.receivers, ..one },
            Shape::Offline | Shape::Retained | Shape::Connections | Shape::Churn => Route { copies: 0, ..one },
        }
    }

    /// What this receiver subscribes to.
    pub fn filters_of(&self, receiver: u32) -> Vec<Text> {
        let every = |count: u32| (receiver..count).step_by(self.stride(Shape::Pairs));
        let names: Vec<String> = match self.shape {
            Shape::FanOut => vec![self.topic(0)],
            Shape::FanIn | Shape::Retained => vec![format!("{}/#", self.prefix)],
            Shape::Wildcard => {
                every(self.filters).map(|number| format!("+/{}/#", topic_number(number))).map(|rest| self.above(&rest))
            }
            .collect(),
            Shape::Pairs | Shape::PingPong | Shape::Offline | Shape::Connections | Shape::Churn => {
                every(self.publishers).map(|number| self.topic(number)).collect()
            }
        };
        names.iter().filter_map(|name| Text::try_from(name.as_str()).ok()).collect()
    }

    /// How many publishers one receiver may hear.
    pub fn sources_per_receiver(&self) -> usize {
        let publishers = usize::try_from(self.publishers).unwrap_or(usize::MAX);
        publishers.div_ceil(self.stride(self.shape))
    }

    /// The publishers that one receiver hears are this far apart.
    pub fn stride(&self, shape: Shape) -> usize {
        match shape {
            Shape::Pairs | Shape::PingPong | Shape::Offline => usize::try_from(self.receivers.max(1)).unwrap_or(1),
            Shape::FanOut | Shape::FanIn | Shape::Wildcard | Shape::Retained | Shape::Connections | Shape::Churn => 1,
        }
    }

    /// The lane of each publisher that this receiver hears.
    pub fn lane_of(&self, receiver: u32) -> usize {
        match self.shape {
            Shape::Wildcard => usize::try_from(receiver).unwrap_or(0),
            _ => 0,
        }
    }

    /// The topic with this number.
    pub fn topic(&self, number: u32) -> String {
        format!("{}/{}", self.prefix, topic_number(number))
    }

    /// Those wildcard subscriptions that are published to: one in a hundred, and at least one for each receiver.
    fn matching_filters(&self) -> u32 {
        (self.filters / 100).next_multiple_of(self.receivers.max(1)).max(self.receivers)
    }

    /// The prefix without its last level, which a wildcard takes the place of.
    fn above(&self, rest: &str) -> String {
        match self.prefix.rsplit_once('/') {
            Some((above, _)) => format!("{above}/{rest}"),
            None => rest.to_owned(),
        }
    }
}
