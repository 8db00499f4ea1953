//! What the operator wants, as plain checked values.

mod secret;
mod listener;
mod settings;

pub use listener::{Authentication, CertificateFiles, Host, InvalidListenUrl, ListenUrl, Listener, Transport};
pub use secret::Secret;
pub use settings::{
    AuthSettings, CertificateUser, Config, Durability, KeySettings, LimitSettings, LogSettings, StoreSettings,
    TlsSettings, TlsVersion, Warning,
};
