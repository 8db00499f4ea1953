//! The immutable snapshot of all users, roles and rules, and the one function that decides.

use super::name::{RoleName, UserName};
use super::principal::Principal;
use super::rule::{Rule, RuleEffect, RuleId, Subject};
use crate::broker::reason::Reason;
use crate::protocol::{ClientId, TopicFilter, TopicName};
use std::collections::BTreeMap;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// To publish to a topic, a will included.
    Publish,
    /// To subscribe, and to be sent a message.
    Subscribe,
}

/// An answer with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed by this rule.
    Allowed(RuleId),
    /// Denied by this rule.
    Denied(RuleId),
    /// No rule speaks of it, so it is denied.
    NoRule,
    /// Clients never publish to topics that begin with `$`, whatever the rules say.
    Reserved,
    /// The account does not exist or is disabled.
    NoSuchUser,
}

impl Verdict {
    /// Whether it may be done.
    pub fn is_allowed(self) -> bool {
        match self {
            Self::Allowed(_) => true,
            Self::Denied(_) | Self::NoRule | Self::Reserved | Self::NoSuchUser => false,
        }
    }

    /// Why not, for a verdict that is not "allowed".
    pub fn reason(self) -> Reason {
        match self {
            Self::Allowed(_) | Self::NoRule => Reason::NotAllowed,
            Self::Denied(_) => Reason::Denied,
            Self::Reserved => Reason::ReservedTopic,
            Self::NoSuchUser => Reason::UserDisabled,
        }
    }
}

/// What the policy knows of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyUser {
    /// Its name.
    pub name: UserName,
    /// Its role.
    pub role: RoleName,
    /// Whether it may connect.
    pub enabled: bool,
}

/// An immutable snapshot of who may what.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    generation: u64,
    users: BTreeMap<UserName, PolicyUser>,
    user_rules: BTreeMap<UserName, Vec<Rule>>,
    role_rules: BTreeMap<RoleName, Vec<Rule>>,
}

impl Policy {
    /// The policy of these users and rules. A larger generation is a later policy.
    pub fn new(generation: u64, users: Vec<PolicyUser>, rules: Vec<Rule>) -> Self {
        let mut policy = Self { generation, ..Self::default() };
        policy.users = users.into_iter().map(|user| (user.name.clone(), user)).collect();
        for rule in rules {
            match rule.subject.clone() {
                Subject::User(name) => policy.user_rules.entry(name).or_default().push(rule),
                Subject::Role(name) => policy.role_rules.entry(name).or_default().push(rule),
            }
        }
        policy
    }

    /// The number of this snapshot.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The account of that name.
    pub fn user(&self, name: &UserName) -> Option<&PolicyUser> {
        self.users.get(name)
    }

    /// What this principal may do with this client identifier: its rules with the names put in.
    pub fn rights(&self, principal: &Principal, client_id: &ClientId) -> Rights {
        let user = principal.user();
        let role = match principal {
            Principal::Anonymous(role) => role,
            Principal::User(name) => match self.users.get(name) {
                Some(account) if account.enabled => &account.role,
                _ => return Rights::none(),
            },
        };
        let expand = |rules: Option<&Vec<Rule>>| -> Vec<Grant> {
            let rules = rules.map(Vec::as_slice).unwrap_or_default();
            rules.iter().filter_map(|rule| Some(Grant::new(rule, rule.pattern.expand(user, client_id)?))).collect()
        };
        Rights {
            known: true,
            of_user: expand(user.and_then(|name| self.user_rules.get(name))),
            of_role: expand(self.role_rules.get(role)),
        }
    }
}

/// The rules that speak of one principal with one client identifier. Asked at four places only: will at CONNECT,
/// PUBLISH, SUBSCRIBE, delivery.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    known: bool,
    of_user: Vec<Grant>,
    of_role: Vec<Grant>,
}

#[derive(Debug, Clone)]
struct Grant {
    id: RuleId,
    filter: TopicFilter,
    publish: bool,
    subscribe: bool,
    effect: RuleEffect,
}

impl Grant {
    fn new(rule: &Rule, filter: TopicFilter) -> Self {
        Self { id: rule.id, filter, publish: rule.publish, subscribe: rule.subscribe, effect: rule.effect }
    }

    fn speaks_of(&self, permission: Permission) -> bool {
        match permission {
            Permission::Publish => self.publish,
            Permission::Subscribe => self.subscribe,
        }
    }
}

impl Rights {
    /// The rights of somebody who has no account, or a disabled one.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether a message may be published to, or received from, this topic.
    pub fn verdict(&self, permission: Permission, topic: &TopicName) -> Verdict {
        if permission == Permission::Publish && topic.is_reserved() {
            return Verdict::Reserved;
        }
        self.decide(permission, |filter| filter.matches(topic))
    }

    /// Whether this filter may be subscribed with: some permission covers all of it and no denial does. A denial that
    /// covers a part takes effect on delivery.
    pub fn subscribe_verdict(&self, filter: &TopicFilter) -> Verdict {
        self.decide(Permission::Subscribe, |granted| granted.covers(filter))
    }

    /// Whether messages of a subscription with this filter must be asked about one by one, because a denial speaks of
    /// some of its topics.
    pub fn must_check_delivery(&self, filter: &TopicFilter) -> bool {
        self.of_user
            .iter()
            .chain(&self.of_role)
            .any(|grant| grant.effect == RuleEffect::Deny && grant.subscribe && grant.filter.intersects(filter))
    }

    fn decide(&self, permission: Permission, applies: impl Fn(&TopicFilter) -> bool) -> Verdict {
        if !self.known {
            return Verdict::NoSuchUser;
        }
        for grants in [&self.of_user, &self.of_role] {
            let mut allowed = None;
            for grant in grants.iter().filter(|grant| grant.speaks_of(permission) && applies(&grant.filter)) {
                match grant.effect {
                    RuleEffect::Deny => return Verdict::Denied(grant.id),
                    RuleEffect::Allow => allowed = allowed.or(Some(grant.id)),
                }
            }
            if let Some(id) = allowed {
                return Verdict::Allowed(id);
            }
        }
        Verdict::NoRule
    }
}
