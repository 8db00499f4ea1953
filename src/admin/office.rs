//! What all requests share: the store, who is logged in, the way to the broker, the pages.

use super::assets::Assets;
use super::follower::Follower;
use super::guesses::Guesses;
use super::look::Look;
use super::problem::AdminError;
use super::scope::{Person, Scope, Sight};
use super::sessions::{PasswordMark, Sessions};
use crate::auth::{self, Account, Authenticator, Fingerprint, TlsFolder};
use crate::broker::UserName;
use crate::config::Setting;
use crate::server::{Clock, Handle};
use crate::store::{ApiKey, Database, Directory, UnixMillis};
use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What all requests of one process share.
pub struct Office {
    /// What is at rest.
    pub database: Database,
    /// What is alive.
    pub live: Live,
    /// Who checks passwords, and throttles.
    pub authenticator: Arc<Authenticator>,
    /// The time.
    pub clock: Clock,
    /// Who is logged in.
    pub sessions: Sessions,
    /// Who has guessed wrong.
    pub guesses: Guesses,
    /// The log as it is written.
    pub follower: Follower,
    /// Passwords that are hashed at the same time: each takes 19 MiB and a core.
    pub hashing: Semaphore,
    /// Those and the ones that wait; more are told to come back.
    pub hashes_waiting: Semaphore,
    /// The pages.
    pub assets: Assets,
    /// Certificates and keys.
    pub tls: TlsFolder,
    /// Every option as it holds, and where it comes from.
    pub settings: Vec<Setting>,
    /// How the pages look.
    pub look: Look,
    directory: ArcSwap<Directory>,
}

/// The way to the running broker.
pub enum Live {
    /// It is this process.
    Here(Handle),
    /// It is, or is not, behind its socket in the data folder.
    There(PathBuf),
}

/// What an office is made of.
pub struct Equipment {
    /// What is at rest.
    pub database: Database,
    /// What is alive.
    pub live: Live,
    /// Who checks passwords; that of the broker if it is this process.
    pub authenticator: Arc<Authenticator>,
    /// The time.
    pub clock: Clock,
    /// Certificates and keys.
    pub tls: TlsFolder,
    /// Every option as it holds.
    pub settings: Vec<Setting>,
}

impl Office {
    /// Opens it.
    pub async fn open(equipment: Equipment) -> Result<Self, AdminError> {
        let Equipment { database, live, authenticator, clock, tls, settings } = equipment;
        let directory = database.directory().await?;
        Ok(Self {
            follower: Follower::new(database.clone()),
            database,
            live,
            authenticator,
            clock,
            sessions: Sessions::default(),
            guesses: Guesses::default(),
            hashing: Semaphore::new(2),
            hashes_waiting: Semaphore::new(16),
            assets: Assets::load(),
            tls,
            look: Look::of(&settings)?,
            settings,
            directory: ArcSwap::from_pointee(directory),
        })
    }

    /// Users, roles and rules as they are now. A change ends the sessions of those who are not what they were.
    pub async fn directory(&self) -> Result<Arc<Directory>, AdminError> {
        let known = self.directory.load_full();
        if self.database.generation().await? == known.generation {
            return Ok(known);
        }
        let directory = Arc::new(self.database.directory().await?);
        if let Live::There(_) = self.live {
            self.authenticator.replace_directory(accounts(&directory));
        }
        self.sessions.keep(|person| password_of(&directory, person));
        self.directory.store(Arc::clone(&directory));
        Ok(directory)
    }

    /// The scope of a user, if there is such a user and it is enabled.
    pub async fn scope_of(&self, name: &UserName) -> Result<Option<Scope>, AdminError> {
        let directory = self.directory().await?;
        let user = directory.users.iter().find(|user| user.name == *name && user.enabled);
        Ok(user.map(|user| Scope::User(Person { name: user.name.clone(), role: user.role.clone() })))
    }

    /// The key that this opens with, if it has not expired.
    pub async fn key_of(&self, secret: &SecretString) -> Result<Option<ApiKey>, AdminError> {
        let key = self.database.find_api_key(secret).await?;
        Ok(key.filter(|key| UnixMillis::now() < key.expires))
    }

    /// Whose rows somebody finds as of now.
    pub async fn sight_of(&self, scope: &Scope) -> Result<Sight, AdminError> {
        Ok(scope.sight(&*self.directory().await?))
    }
}

/// The password of somebody who still is who it was and may log in.
pub fn password_of(directory: &Directory, person: &Person) -> Option<PasswordMark> {
    let mut users = directory.users.iter();
    let user = users.find(|user| user.name == person.name && user.role == person.role && user.enabled)?;
    user.password.as_ref().map(|stored| PasswordMark::of(stored.expose_secret()))
}

/// The accounts of a directory, as logins need them.
pub fn accounts(directory: &Directory) -> auth::Directory {
    auth::Directory::new(directory.users.iter().map(|user| Account {
        name: user.name.clone(),
        enabled: user.enabled,
        password_hash: user.password.as_ref().map(|hash| Arc::from(hash.expose_secret())),
        fingerprint: user.certificate.map(|fingerprint| Fingerprint::from_bytes(fingerprint.0)),
    }))
}
