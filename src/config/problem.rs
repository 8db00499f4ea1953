//! What is wrong with a configuration: where, what, and what would be right.

use super::listener::{Authentication, InvalidListenUrl, ListenUrl};
use super::source::{Source, variable_name};
use crate::broker::InvalidName;
use crate::protocol::InvalidTopic;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Everything that is wrong with a configuration, by source and line.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {}", Count(.problems.len()))]
pub struct ConfigError {
    /// One or more.
    pub problems: Vec<ConfigProblem>,
}

struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("a problem"),
            count => write!(f, "{count} problems"),
        }
    }
}

/// One thing that is wrong, and where. Its text has the place, the option, what is wrong and what would be right.
#[derive(Debug)]
pub struct ConfigProblem {
    /// Who said it.
    pub source: Source,
    /// The option, or empty if it is about the source as a whole.
    pub key: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, &self.kind) {
            // What keeps the whole file from being read is in no line of it.
            (Source::File(path, _), ProblemKind::Unreadable(_) | ProblemKind::TooLarge(_)) => {
                write!(f, "{}: ", path.display())?;
            }
            (source, _) => write!(f, "{source}: ")?,
        }
        match &self.source {
            // A variable or flag is the option's name already.
            Source::Variable(_) | Source::Flag(_) => {}
            Source::Default | Source::File(..) if self.key.is_empty() => {}
            Source::Default | Source::File(..) => write!(f, "{}: ", self.key)?,
        }
        match (&self.kind, &self.source) {
            (ProblemKind::UnknownKey { nearest: Some(nearest) }, Source::Variable(_)) => {
                write!(f, "there is no such option; did you mean {}?", variable_name(nearest))
            }
            (kind, _) => kind.fmt(f),
        }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProblemKind {
    /// The file is not there or not readable.
    #[error("cannot read the configuration: {0}")]
    Unreadable(#[source] io::Error),
    /// The file is larger than any configuration.
    #[error("is larger than {0} bytes, so it is no configuration")]
    TooLarge(u64),
    /// Not TOML.
    #[error("this is not TOML: {0}")]
    Syntax(String),
    /// The value is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// No option has this name.
    #[error("{}", unknown_key(.nearest.as_deref()))]
    UnknownKey {
        /// The option whose name is most like it.
        nearest: Option<String>,
    },
    /// The value is not of the kind or in the range of its option.
    #[error("{found} is not {wanted}")]
    Not {
        /// The value as it was written.
        found: String,
        /// What would be right.
        wanted: Wanted,
    },
    /// The value is no name of a role.
    #[error("{0}; name a role, as \"Student\", or leave it empty for none")]
    Role(#[source] InvalidName),
    /// The value is no URL to listen on.
    #[error("{found:?} is no place to listen: {problem}; write it as mqtts://0.0.0.0:8883 or ws://localhost:8083/mqtt")]
    Url {
        /// The value as it was written.
        found: String,
        /// What is wrong with it.
        #[source]
        problem: InvalidListenUrl,
    },
    /// Clients cannot show a certificate without TLS.
    #[error("{} needs TLS, which {url} does not have; write \"password\", or listen on mqtts:// or wss://", .method.name())]
    CertificateWithoutTls {
        /// The listener.
        url: ListenUrl,
        /// What was asked for.
        method: Authentication,
    },
    /// There is no use for a server certificate without TLS.
    #[error("{0} has no TLS to show a certificate in; leave it out, or listen on mqtts:// or wss://")]
    ServerCertificateWithoutTls(ListenUrl),
    /// Two listeners want the same address and port.
    #[error("another listener has {0} already; give one of them another port")]
    AddressTaken(SocketAddr),
    /// A certificate without its key, or the other way round.
    #[error("goes together with {0}; set both or none")]
    AloneInPair(String),
    /// The value is no topic filter.
    #[error("{found:?} is no topic filter: it {problem}; write it as \"telemetry/#\"")]
    Filter {
        /// The value as it was written.
        found: String,
        /// What is wrong with it.
        #[source]
        problem: InvalidTopic,
    },
    /// A list that is too long.
    #[error("has more than {0} entries; use filters that match more")]
    TooMany(usize),
    /// Two options that exclude each other.
    #[error("excludes {0}; set one of them")]
    Excludes(String),
}

fn unknown_key(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("there is no such option; did you mean {nearest}?"),
        None => "there is no such option; config.toml.example has them all".to_owned(),
    }
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A number from the first to the second.
    WholeNumber(i64, i64),
    /// `true` or `false`
    Flag,
    /// A string.
    Text,
    /// A path that is not empty.
    Path,
    /// An IP address.
    Address,
    /// A colour, `#0b5cc4`, or nothing.
    Colour,
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// A table: the name is that of a group, not of an option.
    Group,
    /// At least one listener.
    Listeners,
    /// A URL or a table with one.
    Listener,
    /// At least one topic filter.
    Topics,
    /// A filter or a table with one.
    Topic,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WholeNumber(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Flag => f.write_str("true or false"),
            Self::Text => f.write_str("a string in quotes"),
            Self::Path => f.write_str("the path of a file or folder"),
            Self::Colour => f.write_str("a colour, as \"#0b5cc4\", or \"\" for the usual one"),
            Self::Address => f.write_str("an IP address, as \"127.0.0.1\" or \"0.0.0.0\""),
            Self::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::Group => f.write_str("a group of options, which go below it"),
            Self::Listeners => f.write_str("a list of listeners, as [\"mqtts://0.0.0.0:8883\"]"),
            Self::Topics => f.write_str("a list of topics, as [[topics]] with filter and durability"),
            Self::Topic => f.write_str("a table with filter, and durability or queue_full"),
            Self::Listener => f.write_str("a listener: a URL, or a table with url and authentication"),
        }
    }
}
