//! The command line: the only place that parses arguments and prints.
//!
//! A command is one file with its arguments, its help and its `run`; `args` lists them, `run` starts them.

mod error;
mod output;
mod remedy;
mod context;
mod input;
mod passphrase;
mod database;
mod administration;
mod damage;
mod config;
mod signals;
mod console;
mod serve;
mod web;
mod user;
mod class;
mod promise;
mod apikey;
mod acl;
mod logs;
mod cert;
mod key;
mod backup;
mod restore;
mod retained_line;
mod transfer;
mod login;
mod client;
mod publisher;
mod publish;
mod received;
mod subscribe;
mod bench;
mod args;
mod run;

pub use context::Context;
pub use error::{CliError, Exit, Problem};
pub use output::{Format, Output, Visible};
pub use run::main;
