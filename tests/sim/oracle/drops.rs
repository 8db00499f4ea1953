//! Messages that sessions go without because a queue is full. The log has every one of them: the first of a session at
//! once, the others in sums, of which a crash takes the last along.

use super::Oracle;
use super::deliveries::{Creditor, Owed};
use securemq::broker::{SessionKey, UserName, Who};
use securemq::protocol::Text;

impl Oracle {
    pub(super) fn drop_is_logged(&mut self, who: &Who, count: u32) {
        let is_it = |key: &&SessionKey| {
            Some(key.client_id.text()) == who.client_id.as_ref()
                && key.principal.user().map(UserName::as_str) == who.user.as_ref().map(Text::as_str)
        };
        let Some(key) = self.sessions.keys().find(is_it).cloned() else {
            return self.violation("a message is dropped for a session that never was");
        };
        *self.dropped.entry(key).or_default() += u64::from(count);
    }

    /// Whether any queue was full so far.
    pub(super) fn a_queue_was_full(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Whether the log says that the session went without messages.
    pub(super) fn lacks_some(&self, key: &SessionKey) -> bool {
        self.dropped.contains_key(key)
    }

    /// Whether what is owed may have been dropped: not where its publisher would have been told, unless a later one took
    /// its place.
    pub(super) fn was_dropped(&self, owed: &Owed) -> bool {
        if self.messages[owed.number as usize].may_be_refused && !self.bounds.drops_oldest() {
            return false;
        }
        match &owed.to {
            Creditor::Session(key) => self.lacks_some(key),
            Creditor::Group(members) => members.iter().any(|key| self.lacks_some(key)),
        }
    }

    /// Everybody is quiet: what sessions lack by now. Members of groups lack it together, and nobody can say who.
    pub(super) fn count_what_is_lacking(&mut self, lacking: Vec<SessionKey>) {
        self.lacking.clear();
        lacking.into_iter().for_each(|key| *self.lacking.entry(key).or_default() += 1);
    }

    /// All sessions are over, so the log must have said of every message that it was dropped.
    pub fn check_drops(&mut self) {
        // What was counted and not said yet is lost with the process.
        if self.crashed_at > 0 {
            return;
        }
        let said = |key: &SessionKey| self.dropped.get(key).copied().unwrap_or_default();
        let less = self.lacking.iter().find(|(key, lacking)| said(key) < **lacking);
        if let Some(what) = less.map(|(key, lacking)| format!("{key:?} lacks {lacking}, and the log has {}", said(key)))
        {
            self.violation(&what);
        }
    }
}
