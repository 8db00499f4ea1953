//! What the operator wants, as plain checked values.
//!
//! `tree` holds what was written, `file` reads TOML into it, `reader` draws options out of it, `check` names every option
//! once with its range, `load` lays defaults, file, environment and flags over each other.

mod secret;
mod colour;
mod listener;
mod server_url;
mod settings;
mod source;
mod problem;
mod nearest;
mod tree;
mod file;
mod reader;
mod check;
mod load;

pub use colour::Colour;
pub use listener::{Authentication, CertificateFiles, Host, InvalidListenUrl, ListenUrl, Listener, Transport};
pub use load::{DATA_DIR_VARIABLE, Flags, Loaded, load};
pub use problem::{ConfigError, ConfigProblem, ProblemKind, Wanted};
pub use secret::Secret;
pub use server_url::{InvalidServerUrl, ServerHost, ServerUrl};
pub use settings::{
    AuthSettings, CertificateUser, Config, KeySettings, LimitSettings, LogSettings, StoreSettings, TlsSettings,
    TlsVersion, Warning, WebSettings,
};
pub use source::{Setting, Source, VARIABLE_PREFIX};
