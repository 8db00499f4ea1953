//! A change of users, roles or rules takes effect on everything at once.

use super::core::Shard;
use crate::broker::access::{Permission, Policy, Principal, Rights};
use crate::broker::effect::Effects;
use crate::broker::message::{Message, Origin, SessionKey};
use crate::broker::reason::Reason;
use crate::broker::routing::Routes;
use crate::broker::session::Session;
use crate::broker::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Shard {
    /// Takes the new policy: removed users lose their sessions, disabled ones their connections, and what every
    /// other session may do is asked again.
    pub(super) fn policy_changed(&mut self, now: Timestamp, policy: Arc<Policy>, effects: &mut Effects) {
        if policy.generation() < self.policy.generation() {
            return;
        }
        self.policy = policy;
        self.journal.rights_changed |= !self.journal.waiting.is_empty();
        for index in self.sessions.indexes() {
            match self.standing(index) {
                Standing::Good => self.renew_rights(index),
                Standing::Disabled => {
                    self.renew_rights(index);
                    self.end_connection(now, index, Reason::UserDisabled, None, effects);
                }
                Standing::Removed => {
                    self.renew_rights(index);
                    self.end_connection(now, index, Reason::UserRemoved, None, effects);
                    if self.sessions.get(index).is_some() {
                        self.end_session(now, index, Reason::UserRemoved, effects);
                    }
                }
            }
        }
    }

    /// Whether the owner of the session is no longer an account.
    pub(super) fn is_removed(&self, index: u32) -> bool {
        matches!(self.standing(index), Standing::Removed)
    }

    fn standing(&self, index: u32) -> Standing {
        match self.sessions.get(index).map(|session| &session.key.principal) {
            None | Some(Principal::Anonymous(_)) => Standing::Good,
            Some(Principal::User(name)) => match self.policy.user(name) {
                None => Standing::Removed,
                Some(user) if user.enabled => Standing::Good,
                Some(_) => Standing::Disabled,
            },
        }
    }

    /// Gives a session the rights of the policy of the moment. Its subscriptions stay, so that they work again when the
    /// right comes back; what they bring is asked about message by message wherever the right is no longer whole.
    pub(super) fn renew_rights(&mut self, index: u32) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.rights = self.policy.rights(&session.key.principal, &session.key.client_id);
        session.recheck_queue = true;
        if let Some(live) = &mut session.live {
            live.routes = Routes::default();
        }
        let mut sources = Sources::new(&self.policy);
        session.inbound.recheck_retained(|message| sources.may_still_publish(message));
        let mut changed = Vec::new();
        for subscription in session.subscriptions.values_mut() {
            let filter = &subscription.filter.filter;
            let check =
                !session.rights.subscribe_verdict(filter).is_allowed() || session.rights.must_check_delivery(filter);
            if subscription.options.check_delivery != check {
                subscription.options.check_delivery = check;
                changed.extend(subscription.filter.share.is_none().then(|| subscription.clone()));
            }
        }
        // A shared subscription is asked for its options when a message comes, so only the tree has to be told.
        for subscription in changed {
            self.trie.change(&subscription.filter.filter, |leaf| leaf.set_session(index, subscription.options));
        }
    }
}

enum Standing {
    Good,
    Disabled,
    Removed,
}

/// Whether the publishers of retained messages may still publish them: a message does not outlive the right.
pub(super) struct Sources<'a> {
    policy: &'a Policy,
    rights: BTreeMap<Arc<SessionKey>, Rights>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, rights: BTreeMap::new() }
    }

    pub(super) fn may_still_publish(&mut self, message: &Message) -> bool {
        let key = match &message.origin {
            Origin::Client(key) => key,
            Origin::System => return true,
        };
        let rights =
            self.rights.entry(Arc::clone(key)).or_insert_with(|| self.policy.rights(&key.principal, &key.client_id));
        rights.verdict(Permission::Publish, &message.topic).is_granted()
    }
}

/// Whether a session may still be sent a message, now that rights have changed: its owner must have the right to it,
/// and the publisher of a retained message still that to publish it.
pub(super) fn may_still_be_sent(policy: &Policy, session: &Session, message: &Message, is_retained: bool) -> bool {
    let has_its_source = !is_retained || Sources::new(policy).may_still_publish(message);
    has_its_source && session.rights.verdict(Permission::Subscribe, &message.topic).is_allowed()
}
