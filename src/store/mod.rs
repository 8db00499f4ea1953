//! The sealed store: users, roles, rules, the log of events, sessions and their messages in one SQLite file that shows
//! nothing.
//!
//! A master key outside the file wraps the data keys in it; everything that tells about people or traffic is sealed with
//! those. Changes of users, roles and rules are one transaction each, made by the broker or by a command beside it; what
//! the running broker writes goes through one [`Writer`].

mod error;
mod wall_clock;
mod private_file;
mod record;
mod seal;
mod keys;
mod wrapping;
mod copy;
mod connection;
mod database_path;
mod replacement;
mod migrate;
mod database;
mod names;
mod roles;
mod rules;
mod second_factors;
mod api_keys;
mod classes;
mod users;
mod members;
mod directory;
mod event_record;
mod logs;
mod retained;
mod numbers;
mod journal;
mod sessions;
mod queues;
mod frames;
mod create;
mod tables;
mod census;
mod backup;
mod import;
mod retained_import;
mod rotation;
mod key_file;
mod wal;
mod salvage;
mod shrink;
mod writer;

pub use api_keys::{ApiKey, ApiKeys, ApiScopes};
pub use backup::{Backup, BackupCheck, BackupFile, BackupReport, Existing, Protection};
pub use census::TableCount;
pub use classes::Seat;
pub use database::Database;
pub use directory::Directory;
pub use error::{FileAction, RecordError, RowLabel, SealError, StoreError};
pub use event_record::StoredEvent;
pub use import::{Attempt, Imported, OnExisting};
pub use journal::JournalRow;
pub use key_file::NewKeyFile;
pub use keys::{MasterKey, Salt};
pub use logs::{ChainBreak, ChainReport, Choice, EventPage, EventPosition, LogBatch, Retention};
pub use private_file::{PrivateFile, create_private_folder};
pub use queues::ChunkRange;
pub use retained::{LoadedRetained, RetainedPlace, RetainedRecord};
pub use roles::StoredRole;
pub use rotation::{KeyUse, Rotation};
pub use rules::NewRule;
pub use salvage::{Damage, Salvage, SalvagedTable};
pub use second_factors::SecondFactor;
pub use sessions::SessionRow;
pub use users::{Access, CertificateFingerprint, StoredUser};
pub use wall_clock::UnixMillis;
pub use writer::{Batch, StoreFailure, StoreOp, Writer, WriterCounters, WriterHandle};

#[cfg(test)]
mod tests;
