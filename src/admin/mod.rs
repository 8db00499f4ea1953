//! The administration: one API for the pages, for programs and for the command line, and the pages themselves.
//!
//! Every request goes through [`app`](self), which knows from one table of routes who may use which; every function
//! behind it is told who asks and finds only their rows. What is at rest comes from the store; what is alive is asked of
//! the broker, in this process or behind its socket in the data folder.

mod problem;
mod scope;
mod sessions;
mod guard;
mod guesses;
mod assets;
mod changes;
mod follower;
mod look;
mod office;
mod call;
mod login;
mod second_factor;
mod keys;
mod users;
mod classes;
mod import;
mod rules;
mod log_filter;
mod logs;
mod log_histogram;
mod watcher;
mod backlog;
mod log_feed;
mod clients;
mod overview;
mod guests;
mod messages;
mod retained;
mod certificates;
mod connect;
mod settings;
mod schema;
mod openapi;
mod routes;
mod forward;
mod app;
mod host;

pub use changes::record_change;
pub use host::{HostError, OpenDoor, SOCKET};
pub use keys::{
    in_words as key_in_words, new_key, parse_scopes, removed_in_words as removed_key_in_words, scope_names,
};
pub use log_filter::{LogFilter, parse_action, parse_moment};
pub use office::{Equipment, Live, Office, accounts};
pub use problem::AdminError;
pub use rules::rule_in_words;
