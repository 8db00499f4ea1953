//! The immutable snapshot of all users, roles and rules, and the one function that decides.

use super::class::{Course, PolicyClass};
use super::name::{ClassName, RoleName, UserName};
use super::principal::Principal;
use super::rule::{Rule, RuleEffect, RuleId, Subject};
use crate::broker::reason::Reason;
use crate::protocol::{ClientId, TopicFilter, TopicName};
use std::collections::{BTreeMap, BTreeSet};

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
    /// This rule allows it, and it waits until a class of the user is no longer paused.
    Paused(RuleId),
    /// The account does not exist or is disabled.
    NoSuchUser,
}

impl Verdict {
    /// Whether it may be done.
    pub fn is_allowed(self) -> bool {
        match self {
            Self::Allowed(_) => true,
            Self::Denied(_) | Self::NoRule | Self::Reserved | Self::Paused(_) | Self::NoSuchUser => false,
        }
    }

    /// Whether the rules allow it, even if it may not be done at the moment: what was said before a pause stays said.
    pub fn is_granted(self) -> bool {
        match self {
            Self::Allowed(_) | Self::Paused(_) => true,
            Self::Denied(_) | Self::NoRule | Self::Reserved | Self::NoSuchUser => false,
        }
    }

    /// The rule that decides, if one does.
    pub fn rule(self) -> Option<RuleId> {
        match self {
            Self::Allowed(id) | Self::Denied(id) | Self::Paused(id) => Some(id),
            Self::NoRule | Self::Reserved | Self::NoSuchUser => None,
        }
    }

    /// Why not, for a verdict that is not "allowed".
    pub fn reason(self) -> Reason {
        match self {
            Self::Allowed(_) | Self::NoRule => Reason::NotAllowed,
            Self::Denied(_) => Reason::Denied,
            Self::Reserved => Reason::ReservedTopic,
            Self::Paused(_) => Reason::ClassPaused,
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
    classes: BTreeMap<UserName, Vec<ClassName>>,
    paused: BTreeSet<UserName>,
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

    /// The same policy with these classes.
    #[must_use]
    pub fn with_classes(mut self, classes: &[PolicyClass]) -> Self {
        for class in classes {
            for member in class.members() {
                self.classes.entry(member.clone()).or_default().push(class.name.clone());
            }
            if class.course == Course::Paused {
                self.paused.extend(class.students.iter().cloned());
            }
        }
        self
    }

    /// The classes of a user, as teacher or as student.
    pub fn classes_of(&self, user: &UserName) -> &[ClassName] {
        self.classes.get(user).map(Vec::as_slice).unwrap_or_default()
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
        let classes = user.map(|name| self.classes_of(name)).unwrap_or_default();
        let expand = |rules: Option<&Vec<Rule>>| -> Vec<Grant> {
            let rules = rules.map(Vec::as_slice).unwrap_or_default().iter();
            let grants = |rule: &Rule| {
                let filters = rule.pattern.expand(user, classes, client_id).into_iter();
                filters.map(|filter| Grant::new(rule, filter)).collect::<Vec<_>>()
            };
            rules.flat_map(grants).collect()
        };
        Rights {
            known: true,
            paused: user.is_some_and(|name| self.paused.contains(name)),
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
    paused: bool,
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
        match self.decide(permission, |filter| filter.matches(topic)) {
            Verdict::Allowed(id) if permission == Permission::Publish && self.paused => Verdict::Paused(id),
            verdict => verdict,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::access::rule::TopicPattern;
    use crate::protocol::Text;

    /// A policy of rules such as `Student allow pubsub a/#`, for the users `ann` and `off`, who is disabled.
    fn policy(rules: &[&str]) -> Policy {
        let role = RoleName::new("Student").unwrap();
        let user = |name: &str, enabled| PolicyUser { name: UserName::new(name).unwrap(), role: role.clone(), enabled };
        let rule = |(number, words): (i64, &&str)| {
            let words: Vec<&str> = words.split(' ').collect();
            let [subject, effect, permissions, pattern] = words[..] else { panic!("not a rule: {words:?}") };
            Rule {
                id: RuleId(number),
                subject: match subject {
                    "Student" => Subject::Role(role.clone()),
                    name => Subject::User(UserName::new(name).unwrap()),
                },
                pattern: TopicPattern::new(pattern).unwrap(),
                publish: permissions.contains("pub"),
                subscribe: permissions.contains("sub"),
                effect: if effect == "allow" { RuleEffect::Allow } else { RuleEffect::Deny },
            }
        };
        Policy::new(1, vec![user("ann", true), user("off", false)], (1..).zip(rules).map(rule).collect())
    }

    fn rights(rules: &[&str], user: &str) -> Rights {
        let client_id = ClientId::new(Text::try_from("c").unwrap()).unwrap();
        policy(rules).rights(&Principal::User(UserName::new(user).unwrap()), &client_id)
    }

    fn topic(name: &str) -> TopicName {
        TopicName::try_from(name).unwrap()
    }

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::try_from(text).unwrap()
    }

    #[test]
    fn rules_of_the_user_come_first_and_a_denial_beats_every_permission_beside_it() {
        let rules = [
            "Student allow pubsub a/#",
            "Student deny pub a/secret",
            "ann allow pub a/secret",
            "ann deny sub a/quiet",
            "ann allow sub a/quiet",
        ];
        let ann = rights(&rules, "ann");
        assert_eq!(ann.verdict(Permission::Publish, &topic("a/x")), Verdict::Allowed(RuleId(1)));
        assert_eq!(ann.verdict(Permission::Publish, &topic("a/secret")), Verdict::Allowed(RuleId(3)));
        assert_eq!(ann.verdict(Permission::Subscribe, &topic("a/secret")), Verdict::Allowed(RuleId(1)));
        assert_eq!(ann.verdict(Permission::Subscribe, &topic("a/quiet")), Verdict::Denied(RuleId(4)));
        assert_eq!(ann.verdict(Permission::Publish, &topic("b")), Verdict::NoRule);
    }

    fn class(name: &str, course: Course) -> PolicyClass {
        let members = |name: &str| [UserName::new(name).unwrap()].into();
        PolicyClass { name: ClassName::new(name).unwrap(), teachers: members("tina"), students: members("ann"), course }
    }

    fn in_classes(rules: &[&str], classes: &[PolicyClass]) -> Rights {
        let client_id = ClientId::new(Text::try_from("c").unwrap()).unwrap();
        let policy = policy(rules).with_classes(classes);
        policy.rights(&Principal::User(UserName::new("ann").unwrap()), &client_id)
    }

    #[test]
    fn a_rule_with_a_class_speaks_of_each_class_of_the_user_and_of_no_other() {
        let rules = ["Student allow pubsub c/%g/u/%u/#", "Student allow sub c/%g/announce/#"];
        let classes = [class("7b", Course::Running), class("chess", Course::Running)];
        let mut other = class("8a", Course::Running);
        other.students = [UserName::new("bob").unwrap()].into();
        let ann = in_classes(&rules, &[classes.as_slice(), &[other]].concat());
        for (name, permission, is_allowed) in [
            ("c/7b/u/ann/x", Permission::Publish, true),
            ("c/chess/u/ann/x", Permission::Publish, true),
            ("c/8a/u/ann/x", Permission::Publish, false),
            ("c/7b/u/bob/x", Permission::Subscribe, false),
            ("c/7b/announce/x", Permission::Publish, false),
            ("c/chess/announce/x", Permission::Subscribe, true),
            ("c/8a/announce/x", Permission::Subscribe, false),
        ] {
            assert_eq!(ann.verdict(permission, &topic(name)).is_allowed(), is_allowed, "{name}");
        }
        assert!(!in_classes(&rules, &[]).verdict(Permission::Subscribe, &topic("c/7b/announce/x")).is_allowed());
    }

    #[test]
    fn a_student_of_a_paused_class_hears_and_publishes_nothing() {
        let rules = ["Student allow pubsub a/#", "Student deny pub a/secret"];
        let classes = [class("7b", Course::Paused), class("chess", Course::Running)];
        let ann = in_classes(&rules, &classes);
        let paused = ann.verdict(Permission::Publish, &topic("a/x"));
        assert_eq!((paused, paused.reason()), (Verdict::Paused(RuleId(1)), Reason::ClassPaused));
        assert!(paused.is_granted() && !paused.is_allowed());
        assert_eq!(ann.verdict(Permission::Publish, &topic("a/secret")), Verdict::Denied(RuleId(2)));
        assert!(ann.verdict(Permission::Subscribe, &topic("a/x")).is_allowed());
        assert!(ann.subscribe_verdict(&filter("a/#")).is_allowed());
        // Whoever teaches it goes on.
        let mut taught = class("7b", Course::Paused);
        std::mem::swap(&mut taught.teachers, &mut taught.students);
        assert!(in_classes(&rules, &[taught]).verdict(Permission::Publish, &topic("a/x")).is_allowed());
    }

    #[test]
    fn nobody_publishes_to_reserved_topics_and_strangers_do_nothing() {
        let rules = ["Student allow pubsub #", "Student allow pubsub $SYS/#", "off allow pubsub #"];
        assert_eq!(rights(&rules, "ann").verdict(Permission::Publish, &topic("$SYS/x")), Verdict::Reserved);
        assert!(rights(&rules, "ann").verdict(Permission::Subscribe, &topic("$SYS/x")).is_allowed());
        for user in ["off", "nobody"] {
            assert_eq!(rights(&rules, user).verdict(Permission::Publish, &topic("a")), Verdict::NoSuchUser);
            assert_eq!(rights(&rules, user).subscribe_verdict(&filter("a")), Verdict::NoSuchUser);
        }
        assert_eq!(rights(&[], "ann").verdict(Permission::Publish, &topic("a")), Verdict::NoRule);
    }

    #[test]
    fn strangers_have_the_rights_of_their_role_and_none_that_name_a_user() {
        let client_id = ClientId::new(Text::try_from("c").unwrap()).unwrap();
        let stranger = Principal::Anonymous(RoleName::new("Student").unwrap());
        let rights = policy(&["Student allow pub open", "Student allow pub %u/x"]).rights(&stranger, &client_id);
        assert!(rights.verdict(Permission::Publish, &topic("open")).is_allowed());
        assert_eq!(rights.verdict(Permission::Publish, &topic("u/x")), Verdict::NoRule);
    }

    #[test]
    fn a_filter_is_granted_if_one_rule_covers_all_of_it() {
        let rules = ["Student allow sub a/#", "Student allow sub b/+", "Student deny sub a/secret/#"];
        let ann = rights(&rules, "ann");
        for (text, is_granted) in [
            ("a/#", true),
            ("a/+/c", true),
            ("a/secret/x", false),
            ("a/secret/#", false),
            ("b/+", true),
            ("b/#", false),
            ("#", false),
            ("+/x", false),
            ("$SYS/#", false),
        ] {
            assert_eq!(ann.subscribe_verdict(&filter(text)).is_allowed(), is_granted, "{text}");
        }
    }

    #[test]
    fn deliveries_are_asked_about_where_a_denial_speaks_of_a_part() {
        let ann = rights(&["Student allow sub #", "ann deny sub a/secret/#", "ann deny pub c"], "ann");
        for (text, must_check) in [("a/#", true), ("#", true), ("+/secret", true), ("a/open", false), ("c", false)] {
            assert_eq!(ann.must_check_delivery(&filter(text)), must_check, "{text}");
        }
    }
}
