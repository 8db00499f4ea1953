//! Who a connection is: the one place where certificates, passwords and anonymous access come together.

use super::cache::{Proof, Prover, VerifiedLogins};
use super::certificate::{ClientCertificate, Fingerprint};
use super::error::AuthError;
use super::identity::IdentityField;
use super::password::{HashMemory, PasswordCost};
use super::pool::{Check, Checked, Pool};
use super::throttle::{Allowance, Familiarity, Network, Throttle};
use crate::broker::{Address, Principal, Reason, RoleName, Timestamp, UserName};
use crate::protocol::Text;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a listener takes as proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// A user name and its password.
    #[default]
    Password,
    /// A client certificate; a password is not looked at.
    Certificate,
    /// A client certificate if the client has one, else a password.
    PasswordOrCertificate,
    /// Both, for the same user.
    PasswordAndCertificate,
}

/// What is known of an account here. Roles are the policy's business.
#[derive(Clone)]
pub struct Account {
    /// Its name.
    pub name: UserName,
    /// Whether it may connect.
    pub enabled: bool,
    /// Its password as a PHC string; without one, no password is right.
    pub password_hash: Option<Arc<str>>,
    /// The only certificate that stands for it; without one, any that names it does.
    pub fingerprint: Option<Fingerprint>,
}

/// All accounts at one moment.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    accounts: HashMap<UserName, Account>,
}

impl Directory {
    /// The directory of these accounts.
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> Self {
        Self { accounts: accounts.into_iter().map(|account| (account.name.clone(), account)).collect() }
    }

    fn account(&self, name: &UserName) -> Option<&Account> {
        self.accounts.get(name)
    }
}

/// How an authenticator works.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Which field of a certificate names the user.
    pub identity: IdentityField,
    /// What a password hash costs today.
    pub cost: PasswordCost,
    /// Threads that hash.
    pub threads: usize,
    /// Checks that may wait for a thread. At 15 ms each, 32 keep an honest login under half a second.
    pub queue: usize,
    /// Verified logins kept in memory, about 200 bytes each.
    pub cached_logins: usize,
    /// How long a verified login is kept.
    pub cached_for: Duration,
    /// What may fail for one user from one address.
    pub pair_allowance: Allowance,
    /// What may fail from one address.
    pub address_allowance: Allowance,
}

impl Default for AuthSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.div_ceil(2);
        Self {
            identity: IdentityField::default(),
            cost: PasswordCost::CLIENT,
            threads,
            queue: 32 * threads,
            cached_logins: 100_000,
            cached_for: Duration::from_secs(24 * 60 * 60),
            pair_allowance: Allowance::PAIR,
            address_allowance: Allowance::ADDRESS,
        }
    }
}

/// What a connection brings.
#[derive(Clone)]
pub struct LoginRequest {
    /// What its listener takes as proof.
    pub method: Method,
    /// The certificate that TLS verified.
    pub certificate: Option<ClientCertificate>,
    /// Of CONNECT.
    pub user_name: Option<Text>,
    /// Of CONNECT.
    pub password: Option<Bytes>,
    /// Where it comes from.
    pub address: Address,
    /// The role of clients without credentials; without one they are refused.
    pub anonymous_role: Option<RoleName>,
}

/// A login that succeeded.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub principal: Principal,
    /// The stored password hash that let it in, if a password did.
    pub checked: Option<Arc<str>>,
    /// A hash to store in place of the one of outdated cost.
    pub rehash: Option<Rehash>,
}

/// A password hash to be replaced, if it is still the one that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Rehash {
    /// Whose.
    pub user: UserName,
    /// The stored hash that was checked. If another is stored by now, that one stays.
    pub old: Arc<str>,
    /// The new one.
    pub new: String,
}

/// A login that failed. What the peer is told is the same for an unknown user, a disabled one and a wrong password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRefused {
    /// For the peer.
    pub peer: Reason,
    /// For the log.
    pub log: Reason,
    /// More for the log, in our words.
    pub detail: Option<String>,
}

impl LoginRefused {
    fn openly(reason: Reason) -> Self {
        Self { peer: reason, log: reason, detail: None }
    }

    fn password(log: Reason) -> Self {
        Self { peer: Reason::BadUserNameOrPassword, log, detail: None }
    }

    fn certificate(log: Reason, certificate: &ClientCertificate, problem: impl fmt::Display) -> Self {
        let (serial, fingerprint) = (certificate.serial(), certificate.fingerprint());
        let detail = format!("{problem} (serial {serial}, SHA-256 {fingerprint})");
        Self { peer: Reason::CertificateUnknown, log, detail: Some(detail) }
    }
}

/// Tells who a connection is. Shared by all workers.
pub struct Authenticator {
    directory: ArcSwap<Directory>,
    identity: IdentityField,
    /// What the password of an unknown user is checked against, so that it takes as long.
    dummy_hash: Arc<str>,
    prover: Prover,
    pool: Pool,
    /// How long the last check took, in microseconds.
    check_us: AtomicU64,
    memory: Mutex<Memory>,
}

/// What is remembered of logins: who failed, and who succeeded.
struct Memory {
    throttle: Throttle,
    verified: VerifiedLogins,
}

impl Authenticator {
    /// Starts the hashing threads.
    pub fn start(settings: &AuthSettings, directory: Directory) -> Result<Self, AuthError> {
        Ok(Self {
            directory: ArcSwap::from_pointee(directory),
            identity: settings.identity,
            dummy_hash: HashMemory::new().hash_password(b"", settings.cost)?.into(),
            prover: Prover::new()?,
            pool: Pool::start(settings.threads, settings.queue, settings.cost)?,
            check_us: AtomicU64::new(0),
            memory: Mutex::new(Memory {
                throttle: Throttle::new(settings.pair_allowance, settings.address_allowance),
                verified: VerifiedLogins::new(settings.cached_logins, settings.cached_for),
            }),
        })
    }

    /// Puts another directory in force. Logins under way are held against it before they succeed.
    pub fn replace_directory(&self, directory: Directory) {
        let directory = Arc::new(directory);
        self.directory.store(Arc::clone(&directory));
        self.memory().verified.retain(|user| directory.account(user).is_some_and(|account| account.enabled));
    }

    /// Who this is, or why it is nobody.
    pub async fn authenticate(&self, now: Timestamp, request: LoginRequest) -> Result<Login, LoginRefused> {
        match (request.method, request.certificate.is_some()) {
            (Method::Password, _) | (Method::PasswordOrCertificate, false) => self.by_password(now, request).await,
            (Method::Certificate, _) | (Method::PasswordOrCertificate, true) => {
                Ok(Login { principal: Principal::User(self.certified_user(&request)?), checked: None, rehash: None })
            }
            (Method::PasswordAndCertificate, _) => {
                let user = self.certified_user(&request)?;
                let password = request.password.ok_or(LoginRefused::password(Reason::BadUserNameOrPassword))?;
                self.check_password(now, user.as_str(), password, request.address).await
            }
        }
    }

    /// Who it is by its user name and password, or anonymously.
    async fn by_password(&self, now: Timestamp, request: LoginRequest) -> Result<Login, LoginRefused> {
        match (request.user_name, request.password, request.anonymous_role) {
            (None, None, Some(role)) => {
                Ok(Login { principal: Principal::Anonymous(role), checked: None, rehash: None })
            }
            (None, None, None) => Err(LoginRefused::openly(Reason::AnonymousRefused)),
            (Some(user), Some(password), _) => self.check_password(now, user.as_str(), password, request.address).await,
            (Some(_), None, _) | (None, Some(_), _) => Err(LoginRefused::password(Reason::BadUserNameOrPassword)),
        }
    }

    /// The user that the certificate stands for. A certificate never vouches for another name than its own.
    fn certified_user(&self, request: &LoginRequest) -> Result<UserName, LoginRefused> {
        let certificate = request.certificate.as_ref();
        let certificate = certificate.ok_or(LoginRefused::openly(Reason::CertificateMissing))?;
        let user = certificate
            .user(self.identity)
            .map_err(|problem| LoginRefused::certificate(Reason::CertificateUnknown, certificate, problem))?;
        if request.user_name.as_ref().is_some_and(|name| name.as_str() != user.as_str()) {
            let problem = format!("the certificate is that of {user}");
            let refused = LoginRefused::certificate(Reason::CertificateUserMismatch, certificate, problem);
            return Err(LoginRefused { peer: Reason::CertificateUserMismatch, ..refused });
        }
        let (log, problem) = match self.directory.load().account(&user) {
            None => (Reason::CertificateUnknown, format!("there is no user {user}")),
            Some(account) if !account.enabled => (Reason::UserDisabled, format!("the user {user} is disabled")),
            Some(account) if account.fingerprint.is_some_and(|pinned| pinned != certificate.fingerprint()) => {
                (Reason::CertificateUnknown, format!("another certificate is set for the user {user}"))
            }
            Some(_) => return Ok(user),
        };
        Err(LoginRefused::certificate(log, certificate, problem))
    }

    /// Checks a password. Whatever is wrong, the same steps are taken, the peer is told the same and waits as long.
    async fn check_password(
        &self,
        now: Timestamp,
        name: &str,
        password: Bytes,
        address: Address,
    ) -> Result<Login, LoginRefused> {
        let account = self.usable_account(name);
        let stored_hash = match &account {
            Ok((_, hash)) => Arc::clone(hash),
            Err(Unusable { hash: Some(hash), .. }) => Arc::clone(hash),
            Err(Unusable { hash: None, .. }) => Arc::clone(&self.dummy_hash),
        };
        let proof = self.prover.proof(name, &stored_hash, &password);
        let user = account.as_ref().ok().map(|(user, _)| user);

        let checked = match self.pool.join(&proof) {
            // The same password as one that is being checked already is no further guess.
            Some(answer) => answer.await.ok(),
            None => self.check_once(now, name, user, address, Check { proof, password, stored_hash }).await?,
        };
        let is_right = matches!((&checked, &account), (Some(Checked::Right { .. }), Ok(_)));
        if checked.is_some() && !is_right && self.memory().throttle.is_used_up(now, address) {
            // A stranger is not checked any more: whoever was let in from here before must not be told apart by a check.
            return Err(LoginRefused::openly(Reason::LoginThrottled));
        }
        match (checked, account) {
            (None, _) => Err(LoginRefused::openly(Reason::LoginBusy)),
            (Some(Checked::Wrong), _) => Err(LoginRefused::password(Reason::BadUserNameOrPassword)),
            (Some(Checked::Right { .. }), Err(unusable)) => Err(LoginRefused::password(unusable.reason)),
            (Some(Checked::Right { rehashed }), Ok((user, old))) => {
                self.admit(now, user, old, rehashed, proof, address)
            }
        }
    }

    /// One check that counts as an attempt: looked up if it was verified lately, else hashed. `None` if the broker stops.
    async fn check_once(
        &self,
        now: Timestamp,
        name: &str,
        user: Option<&UserName>,
        address: Address,
        check: Check,
    ) -> Result<Option<Checked>, LoginRefused> {
        let attempt = {
            let memory = &mut *self.memory();
            let is_known = user.is_some_and(|user| memory.verified.knows(now, user, Network::of(address)));
            let familiarity = if is_known { Familiarity::Known } else { Familiarity::Stranger };
            let attempt = memory.throttle.attempt(now, name, address, familiarity);
            if let Some(attempt) = attempt
                && user.is_some_and(|user| memory.verified.holds(now, user, &check.proof))
            {
                memory.throttle.forgive(attempt);
                return Ok(Some(Checked::Right { rehashed: None }));
            }
            attempt
        };
        let Some(attempt) = attempt else {
            // As late as somebody is told who was checked.
            tokio::time::sleep(Duration::from_micros(self.check_us.load(Ordering::Relaxed))).await;
            return Err(LoginRefused::openly(Reason::LoginThrottled));
        };
        let begin = Instant::now();
        let Ok(answer) = self.pool.submit(check) else {
            self.memory().throttle.forgive(attempt);
            return Err(LoginRefused::openly(Reason::LoginBusy));
        };
        let checked = answer.await.ok();
        let took = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.check_us.store(took.min(LONGEST_PAUSE_US), Ordering::Relaxed);
        if user.is_some() && matches!(checked, Some(Checked::Right { .. })) {
            self.memory().throttle.forgive(attempt);
        }
        Ok(checked)
    }

    /// The last step: the account must still be what it was when the check began.
    fn admit(
        &self,
        now: Timestamp,
        user: UserName,
        old: Arc<str>,
        rehashed: Option<String>,
        proof: Proof,
        address: Address,
    ) -> Result<Login, LoginRefused> {
        match self.usable_account(user.as_str()) {
            Ok((_, current)) if current == old => {}
            Ok(_) => return Err(LoginRefused::password(Reason::BadUserNameOrPassword)),
            Err(unusable) => return Err(LoginRefused::password(unusable.reason)),
        }
        self.memory().verified.keep(now, &user, proof, Network::of(address));
        let checked = Some(Arc::clone(&old));
        let rehash = rehashed.map(|new| Rehash { user: user.clone(), old, new });
        Ok(Login { principal: Principal::User(user), checked, rehash })
    }

    /// The account that may log in with a password, with its hash.
    fn usable_account(&self, name: &str) -> Result<(UserName, Arc<str>), Unusable> {
        let unknown = Unusable { reason: Reason::BadUserNameOrPassword, hash: None };
        let Ok(name) = UserName::new(name) else { return Err(unknown) };
        let directory = self.directory.load();
        let Some(account) = directory.account(&name) else { return Err(unknown) };
        match (&account.password_hash, account.enabled) {
            (Some(hash), true) => Ok((name, Arc::clone(hash))),
            (Some(hash), false) => Err(Unusable { reason: Reason::UserDisabled, hash: Some(Arc::clone(hash)) }),
            (None, _) => Err(unknown),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no password lets this name in, with the hash that it is checked against all the same.
struct Unusable {
    reason: Reason,
    hash: Option<Arc<str>>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, certificate, user_name, password: _, address, anonymous_role } = self;
        f.debug_struct("LoginRequest")
            .field("method", method)
            .field("certificate", certificate)
            .field("user_name", user_name)
            .field("address", address)
            .field("anonymous_role", anonymous_role)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Whoever is refused without a check waits no longer than this for it: a flood must not fill the places of connections.
const LONGEST_PAUSE_US: u64 = 500_000;

#[cfg(test)]
mod tests;
