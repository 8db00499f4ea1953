//! What can go wrong with the store: which file or row, why, and what mends it.

use crate::broker::{ClassName, DurableId, InvalidName, InvalidPattern, RoleName, RuleId, UserName};
use crate::protocol::{InvalidClientId, InvalidText, InvalidTopic, TopicName};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: FileAction,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret file that others may read or write.
    #[error("{} is open to others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A secret file that somebody else owns and so may change.
    #[error("{} belongs to uid {owner}, and this process runs as uid {own}; run it as that user (sudo -u '#{owner}'), or take the file over: chown {own} {}", path.display(), path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// Something is there already.
    #[error("{} exists already and is left as it is", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// A new data key would be one too many.
    #[error("the store has too many data keys; restart the broker, which lets go of those that nothing is sealed with")]
    TooManyKeys,
    /// There is no database yet.
    #[error("there is no database {}; `securemq serve` makes one, or name its folder with --data-dir", path.display())]
    NoDatabase {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is no key file.
    #[error("there is no master key {}; restore it from where you keep a copy: without it the database cannot be read", path.display())]
    NoKey {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file that holds no master key.
    #[error("{} holds no master key: 64 hexadecimal digits or 44 characters of base64 are expected; restore it from a copy", path.display())]
    KeyFileInvalid {
        /// The file.
        path: PathBuf,
    },
    /// A text that is no master key. It is a secret, so it is not repeated here.
    #[error("the master key is not valid: 64 hexadecimal digits or 44 characters of base64 are expected")]
    KeyTextInvalid,
    /// The passphrase could not be turned into a key.
    #[error("the passphrase cannot be turned into a key: {0}; is there 64 MiB of memory free?")]
    Passphrase(argon2::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes; nothing can be sealed without them")]
    NoRandomness,
    /// HKDF failed, which it does for no input of ours.
    #[error("the cryptographic library derives no keys")]
    KeyDerivation,
    /// The master key opens nothing in this database.
    #[error("the master key does not open {}: it belongs to another database; name the right one with --data-dir, or restore the key file that was made with it", path.display())]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// A database of a later version of the program.
    #[error("{} has schema {found}, and this securemq knows schemas up to {known}; nothing was changed: run the newer securemq, or restore the backup made before the upgrade", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest schema that this program knows.
        known: i64,
    },
    /// A file that is no database of ours, or one whose making was interrupted.
    #[error("{} is no securemq database, or a damaged one; move it away or restore a backup", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The keys in a database, or the pages that lead to them, are damaged.
    #[error("the keys in {} cannot be read, and without them nothing in it can; it was left as it is: restore a backup with `securemq restore FILE --force`", path.display())]
    KeysDamaged {
        /// The database.
        path: PathBuf,
    },
    /// A file that is no backup.
    #[error("{} is no backup of securemq; name a file that `securemq backup` wrote", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// A backup in a format of a later version of the program.
    #[error("{} is a backup of format {found}, and this securemq knows format {known}; restore it with the newer securemq", path.display())]
    NewerBackup {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The one that this program knows.
        known: i64,
    },
    /// A passphrase that opens nothing in a backup.
    #[error("the passphrase does not open {}; try again", path.display())]
    WrongPassphrase {
        /// The backup.
        path: PathBuf,
    },
    /// A backup that does not hold what was written.
    #[error("{} was altered or is damaged, and nothing was changed; restore another backup", path.display())]
    BackupDamaged {
        /// The file.
        path: PathBuf,
    },
    /// What is to be restored would be lost among what is there.
    #[error("{} holds data already, and nothing was changed; name an empty folder with --data-dir, or set its data aside with --force", path.display())]
    DataExists {
        /// The folder.
        path: PathBuf,
    },
    /// A path that SQLite cannot be told.
    #[error("the name {} is not UTF-8; choose another", path.display())]
    PathNotText {
        /// The path.
        path: PathBuf,
    },
    /// The schema could not be brought up to date.
    #[error("the schema of {} could not be brought up to date: {source}; the backup beside it is as it was before", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// A sealed value does not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// The checkpoint of a session does not open.
    #[error("session {} is lost: {source}", id.0)]
    SessionLost {
        /// Whose.
        id: DurableId,
        /// Why.
        source: SealError,
    },
    /// A frame of a run that did not begin with this writer.
    #[error("a frame of run {0} came to a writer that knows nothing of this run")]
    ForeignRun(u64),
    /// A value opened and is not what stands there in this version of the program.
    #[error(
        "{row} of table {table} cannot be read: {source}; restore the database from a backup, or run the securemq that wrote it"
    )]
    Unreadable {
        /// The table.
        table: &'static str,
        /// Which of its rows.
        row: RowLabel,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The database lacks something that every database has.
    #[error("{row} of table {table} is missing; restore the database from a backup")]
    Missing {
        /// The table.
        table: &'static str,
        /// Which of its rows.
        row: RowLabel,
    },
    /// The user is there already.
    #[error("there is already a user {0}")]
    UserExists(UserName),
    /// No such user.
    #[error("there is no user {0}")]
    UserUnknown(UserName),
    /// The role is there already.
    #[error("there is already a role {0}")]
    RoleExists(RoleName),
    /// No such role.
    #[error("there is no role {name}; the roles are {}", Names(known))]
    RoleUnknown {
        /// The role that was asked for.
        name: RoleName,
        /// The roles that there are.
        known: Vec<RoleName>,
    },
    /// Something is retained for the topic already.
    #[error("there is already a retained message of {0}")]
    RetainedExists(TopicName),
    /// A rule says the same already.
    #[error("rule {0} says the same already")]
    RuleExists(RuleId),
    /// No such rule.
    #[error("there is no rule {0}")]
    RuleUnknown(RuleId),
    /// The class is there already.
    #[error("there is already a class {0}")]
    ClassExists(ClassName),
    /// No such class.
    #[error("there is no class {0}")]
    ClassUnknown(ClassName),
    /// The user does not belong to the class.
    #[error("user {user} is not in class {class}")]
    NotInClass {
        /// Who.
        user: UserName,
        /// Where.
        class: ClassName,
    },
    /// More of something than is kept.
    #[error("there are {most} {what} already, and more are not kept; remove some that are not needed")]
    TooMany {
        /// How many are kept.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// No such key of a program.
    #[error("there is no key {0}")]
    ApiKeyUnknown(i64),
    /// A built-in role has a name that is none.
    #[error("a built-in role cannot be made: {0}")]
    BuiltInRole(#[from] InvalidName),
    /// A built-in rule has a pattern that is none.
    #[error("a built-in rule cannot be made: {0}")]
    BuiltInRule(#[from] InvalidPattern),
    /// Another process keeps the database to itself.
    #[error("another process keeps the database locked for longer than five seconds; try again")]
    Busy,
    /// No space is left.
    #[error("the disk that holds the database is full; free some space")]
    DiskFull,
    /// The bytes on the disk are no longer a database.
    #[error("the database file is damaged: {0}; `securemq serve` salvages what verifies, or restore a backup")]
    Damaged(sqlx::Error),
    /// SQLite refused for another reason.
    #[error("the database refuses: {0}")]
    Database(sqlx::Error),
}

/// A value does not open: altered, moved, or sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{row} of table {table} does not open: it was altered, or belongs to another key; restore the database from a backup"
)]
pub struct SealError {
    /// The table.
    pub table: &'static str,
    /// Which of its rows.
    pub row: RowLabel,
}

/// Why some bytes are not the record that should stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends too early.
    #[error("it is cut off")]
    CutOff,
    /// Something follows after its end.
    #[error("something follows after its end")]
    Trailing,
    /// A number with more bits than its field has.
    #[error("a number in it is out of range")]
    OutOfRange,
    /// A kind of record or value with this number is not known.
    #[error("it has a part of unknown kind {0}")]
    UnknownKind(u64),
    /// The row says one thing in its columns and another inside the seal.
    #[error("its columns do not agree with what is sealed in it")]
    Disagrees,
    /// A string that is none.
    #[error("a string in it {0}")]
    Text(#[from] InvalidText),
    /// A topic that is none.
    #[error("a topic in it {0}")]
    Topic(#[from] InvalidTopic),
    /// A name that is none.
    #[error("{0}")]
    Name(#[from] InvalidName),
    /// A pattern that is none.
    #[error("{0}")]
    Pattern(#[from] InvalidPattern),
    /// A client identifier that is none.
    #[error("{0}")]
    ClientId(#[from] InvalidClientId),
}

/// What was tried with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// To make it.
    Create,
    /// To read it.
    Read,
    /// To write it.
    Write,
    /// To put it in its place.
    Rename,
    /// To remove it.
    Remove,
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// A row as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLabel {
    /// By its number.
    Number(i64),
    /// By two numbers: the session and the part of its queue.
    Pair([i64; 2]),
    /// By three numbers: run, shard and frame, or session, run and frame.
    Triple([i64; 3]),
    /// By its name.
    Name(&'static str),
    /// By the first bytes of its blind index, as `hex(topic)` of SQLite shows them.
    Index([u8; 8]),
}

impl fmt::Display for RowLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "row {number}"),
            Self::Pair([a, b]) => write!(f, "row {a}/{b}"),
            Self::Triple([a, b, c]) => write!(f, "row {a}/{b}/{c}"),
            Self::Name(name) => write!(f, "row {name}"),
            Self::Index(bytes) => write!(f, "row {}…", data_encoding::HEXUPPER.encode(bytes)),
        }
    }
}

struct Names<'a>(&'a [RoleName]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            let before = match position {
                0 => "",
                _ if position + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(f, "{before}{name}")?;
        }
        Ok(())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // The low byte of SQLite's extended codes is the class of the error.
        match code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
            Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy,
            Some(SQLITE_FULL) => Self::DiskFull,
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Self::Damaged(error),
            _ => Self::Database(error),
        }
    }
}

impl StoreError {
    /// Whether bytes that changed on the disk can be the reason: then a salvage helps, or a backup.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_)
            | Self::NotOurs { .. }
            | Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Sealed(_)
            | Self::Database(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => true,
            // A schema that makes no sense, or lacks a table.
            Self::Database(error) => {
                error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "1")
            }
            _ => false,
        }
    }
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;
