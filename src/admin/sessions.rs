//! Who is logged in at the pages. In the memory of this process alone, on purpose: when it ends, everybody logs in again.
//! What is nowhere on disk is in no backup and comes back with none, and to start again is the one way to end every
//! session that nothing can undo.
//!
//! A session is found by the hash of its identifier, so that a picture of the memory is no bunch of keys. It ends when its
//! user's password, role or leave to log in changes.

use super::problem::AdminError;
use super::scope::Person;
use crate::broker::{Timestamp, UserName};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The sessions of one process.
#[derive(Default)]
pub struct Sessions {
    by_hash: Mutex<BTreeMap<[u8; 32], Entry>>,
    pending: Mutex<BTreeMap<UserName, Pending>>,
}

/// A secret that an app is getting, before the app has proved that it has it.
#[derive(Clone)]
pub struct Pending {
    /// Whose.
    pub user: UserName,
    /// What.
    pub secret: [u8; 20],
    /// Since when.
    pub since: Timestamp,
}

struct Entry {
    session: WebSession,
    csrf: String,
    opened_with: PasswordMark,
    /// The password that this session itself is giving to its user.
    giving: Option<PasswordMark>,
}

/// Tells one stored password from another, and nothing else about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordMark([u8; 32]);

impl PasswordMark {
    /// Of a stored password hash.
    pub fn of(stored: &str) -> Self {
        Self(hash(stored))
    }
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// Names it in lists; opens nothing.
    pub id: String,
    /// Whose it is.
    pub person: Person,
    /// When it began.
    pub since: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// When its owner last gave the password.
    pub confirmed: Timestamp,
    /// Where it was opened from.
    pub address: String,
    /// The browser, as it calls itself.
    pub browser: String,
}

/// A session that was just opened: what its owner needs, said once.
#[derive(Debug, Clone)]
pub struct Opened {
    /// For the cookie.
    pub secret: String,
    /// The session.
    pub session: WebSession,
    /// What every change has to carry.
    pub csrf: String,
}

/// Whether a request keeps a session from ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Somebody did something.
    Active,
    /// A page that is open asked by itself.
    Background,
}

impl WebSession {
    /// A session that nobody used for so long ends.
    pub const IDLE: Duration = Duration::from_secs(30 * 60);
    /// One that is used ends then.
    pub const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);

    /// For so long after its owner gave the password it may do what cannot be undone.
    pub const CONFIRMED: Duration = Duration::from_secs(5 * 60);

    /// Until when it may do what cannot be undone.
    pub fn confirmed_until(&self) -> Timestamp {
        self.confirmed.after(Self::CONFIRMED)
    }

    /// When it ends if nobody uses it.
    pub fn idle_until(&self) -> Timestamp {
        self.last_used.after(Self::IDLE).min(self.absolute_until())
    }

    /// When it ends in any case.
    pub fn absolute_until(&self) -> Timestamp {
        self.since.after(Self::ABSOLUTE)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.idle_until()
    }
}

impl Sessions {
    /// Sessions of one user; the one that was not used for longest makes room.
    const PER_USER: usize = 20;
    /// Sessions of everybody.
    const TOTAL: usize = 10_000;
    /// An app has got its secret by then.
    const PENDING: Duration = Duration::from_secs(10 * 60);
    /// Apps that get one at a time.
    const MOST_PENDING: usize = 1000;

    /// Opens a session with a new identifier. One that the browser had before is ended, so that an identifier somebody
    /// gave it beforehand is worth nothing.
    pub fn open(
        &self,
        now: Timestamp,
        person: Person,
        opened_with: PasswordMark,
        address: String,
        browser: String,
        before: Option<&str>,
    ) -> Result<Opened, AdminError> {
        let (secret, csrf, id) = (random::<32>()?, random::<32>()?, random::<9>()?);
        let mut entries = self.entries();
        if let Some(before) = before {
            entries.remove(&hash(before));
        }
        entries.retain(|_, entry| !entry.session.is_over(now));
        let own = entries.iter().filter(|(_, entry)| entry.session.person.name == person.name);
        let mut own: Vec<_> = own.map(|(hash, entry)| (entry.session.last_used, *hash)).collect();
        own.sort_unstable();
        for (_, hash) in own.iter().take((own.len() + 1).saturating_sub(Self::PER_USER)) {
            entries.remove(hash);
        }
        if entries.len() >= Self::TOTAL {
            return Err(AdminError::Busy);
        }
        let session = WebSession { id, person, since: now, last_used: now, confirmed: now, address, browser };
        entries
            .insert(hash(&secret), Entry { session: session.clone(), csrf: csrf.clone(), opened_with, giving: None });
        Ok(Opened { secret, session, csrf })
    }

    /// The session of this identifier, with its token, if it is not over.
    pub fn find(&self, now: Timestamp, secret: &str, how: Use) -> Option<(WebSession, String)> {
        let hash = hash(secret);
        let mut entries = self.entries();
        let entry = entries.get_mut(&hash)?;
        if entry.session.is_over(now) {
            entries.remove(&hash);
            return None;
        }
        if how == Use::Active {
            entry.session.last_used = now;
        }
        Some((entry.session.clone(), entry.csrf.clone()))
    }

    /// Its owner has given the password again. The session as it is then, with its token.
    pub fn confirm(&self, now: Timestamp, secret: &str) -> Option<(WebSession, String)> {
        let mut entries = self.entries();
        let entry = entries.get_mut(&hash(secret)).filter(|entry| !entry.session.is_over(now))?;
        entry.session.confirmed = now;
        Some((entry.session.clone(), entry.csrf.clone()))
    }

    /// Keeps a secret until the app has proved that it has it.
    pub fn set_pending(&self, pending: Pending) -> Result<(), AdminError> {
        let mut all = self.all_pending();
        let now = pending.since;
        all.retain(|_, other| now < other.since.after(Self::PENDING));
        if all.len() >= Self::MOST_PENDING {
            return Err(AdminError::Busy);
        }
        all.insert(pending.user.clone(), pending);
        Ok(())
    }

    /// The secret that an app of this user is getting.
    pub fn pending(&self, user: &UserName, now: Timestamp) -> Option<[u8; 20]> {
        let all = self.all_pending();
        all.get(user).filter(|pending| now < pending.since.after(Self::PENDING)).map(|pending| pending.secret)
    }

    /// The app has it.
    pub fn forget_pending(&self, user: &UserName) {
        self.all_pending().remove(user);
    }

    fn all_pending(&self) -> MutexGuard<'_, BTreeMap<UserName, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a session by its identifier.
    pub fn close(&self, secret: &str) {
        self.entries().remove(&hash(secret));
    }

    /// Ends a session of this person by its name in lists. Whether there was one.
    pub fn close_named(&self, person: &Person, id: &str) -> bool {
        let mut entries = self.entries();
        let before = entries.len();
        entries.retain(|_, entry| entry.session.person.name != person.name || entry.session.id != id);
        entries.len() < before
    }

    /// Ends all sessions of this person.
    pub fn close_all(&self, person: &Person) {
        self.entries().retain(|_, entry| entry.session.person.name != person.name);
    }

    /// The session of this identifier is about to give its own user this password, and is not to end by that.
    pub fn expect_password(&self, secret: &str, mark: PasswordMark) {
        if let Some(entry) = self.entries().get_mut(&hash(secret)) {
            entry.giving = Some(mark);
        }
    }

    /// Ends those whose user is no longer as the session was opened: `password_of` says which password a person has who
    /// may still be here.
    pub fn keep(&self, password_of: impl Fn(&Person) -> Option<PasswordMark>) {
        self.entries().retain(|_, entry| {
            let password = password_of(&entry.session.person);
            password.is_some() && (password == Some(entry.opened_with) || password == entry.giving)
        });
    }

    /// The sessions of this person, the latest first.
    pub fn of(&self, now: Timestamp, person: &Person) -> Vec<WebSession> {
        let entries = self.entries();
        let own = entries.values().map(|entry| &entry.session);
        let mut own: Vec<_> =
            own.filter(|session| session.person.name == person.name && !session.is_over(now)).cloned().collect();
        own.sort_by(|one, other| other.since.cmp(&one.since).then_with(|| one.id.cmp(&other.id)));
        own
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Entry>> {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two tokens are the same; takes as long wherever they differ.
pub fn tokens_match(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// So many random bytes as text.
pub fn random<const N: usize>() -> Result<String, AdminError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AdminError::Broken)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::RoleName;

    fn person(name: &str) -> Person {
        Person { name: UserName::new(name).unwrap(), role: RoleName::new("Student").unwrap() }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn open(sessions: &Sessions, now: Timestamp, name: &str) -> Opened {
        sessions.open(now, person(name), PasswordMark::of("one"), "127.0.0.1".into(), "a browser".into(), None).unwrap()
    }

    fn is_there(sessions: &Sessions, now: Timestamp, secret: &str) -> bool {
        sessions.find(now, secret, Use::Background).is_some()
    }

    #[test]
    fn an_identifier_has_256_bits_and_is_not_kept() {
        let sessions = Sessions::default();
        let opened = open(&sessions, at(0), "sam");
        assert_eq!(BASE64URL_NOPAD.decode(opened.secret.as_bytes()).unwrap().len(), 32);
        let entries = sessions.entries();
        assert!(entries.keys().all(|hash| BASE64URL_NOPAD.encode(hash) != opened.secret));
        assert_ne!(opened.secret, opened.csrf);
    }

    #[test]
    fn half_an_hour_without_use_ends_it_and_a_page_left_open_is_no_use() {
        let sessions = Sessions::default();
        let secret = open(&sessions, at(0), "sam").secret;
        assert!(sessions.find(at(1000), &secret, Use::Active).is_some());
        for second in 1001..2800 {
            assert!(is_there(&sessions, at(second), &secret), "{second}");
        }
        assert!(!is_there(&sessions, at(2800), &secret));
        assert!(!is_there(&sessions, at(1001), &secret), "it does not come back");
    }

    #[test]
    fn twelve_hours_end_it_however_busy() {
        let sessions = Sessions::default();
        let secret = open(&sessions, at(0), "sam").secret;
        for minute in 0..12 * 60 {
            assert!(sessions.find(at(minute * 60), &secret, Use::Active).is_some(), "{minute}");
        }
        assert!(sessions.find(at(12 * 3600), &secret, Use::Active).is_none());
    }

    #[test]
    fn an_identifier_from_before_the_login_is_worth_nothing_after_it() {
        let sessions = Sessions::default();
        let planted = open(&sessions, at(0), "mallory").secret;
        let after = sessions
            .open(at(1), person("sam"), PasswordMark::of("one"), String::new(), String::new(), Some(&planted))
            .unwrap();
        assert_ne!(after.secret, planted);
        assert!(!is_there(&sessions, at(1), &planted));
        assert!(is_there(&sessions, at(1), &after.secret));
    }

    #[test]
    fn nobody_ends_or_lists_the_sessions_of_others() {
        let sessions = Sessions::default();
        let (sam, tina) = (open(&sessions, at(0), "sam"), open(&sessions, at(0), "tina"));
        assert!(!sessions.close_named(&person("tina"), &sam.session.id));
        assert_eq!(sessions.of(at(0), &person("tina")), [tina.session]);
        sessions.close_all(&person("tina"));
        assert!(is_there(&sessions, at(0), &sam.secret));
        assert!(sessions.close_named(&person("sam"), &sam.session.id));
        assert!(!is_there(&sessions, at(0), &sam.secret));
    }

    #[test]
    fn another_password_ends_all_sessions_but_the_one_that_gave_it() {
        let sessions = Sessions::default();
        let (sam, again, tina) =
            (open(&sessions, at(0), "sam"), open(&sessions, at(0), "sam"), open(&sessions, at(0), "tina"));
        sessions.expect_password(&again.secret, PasswordMark::of("two"));
        let is_sam = |person: &Person| person.name.as_str() == "sam";
        let there = || [&sam, &again, &tina].map(|opened| is_there(&sessions, at(1), &opened.secret));
        sessions.keep(|_| Some(PasswordMark::of("one")));
        assert_eq!(there(), [true; 3], "nothing has changed yet");
        sessions.keep(|person| Some(PasswordMark::of(if is_sam(person) { "two" } else { "one" })));
        assert_eq!(there(), [false, true, true]);
        sessions.keep(|person| Some(PasswordMark::of("one")).filter(|_| !is_sam(person)));
        assert_eq!(there(), [false, false, true], "who may not be here any more is not");
    }

    #[test]
    fn a_user_has_a_bounded_number_of_sessions() {
        let sessions = Sessions::default();
        let first = open(&sessions, at(0), "sam").secret;
        for second in 1..=20 {
            open(&sessions, at(second), "sam");
        }
        assert_eq!(sessions.of(at(20), &person("sam")).len(), Sessions::PER_USER);
        assert!(!is_there(&sessions, at(20), &first));
    }
}
