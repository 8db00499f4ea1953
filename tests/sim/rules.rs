//! Who may what in the simulated world, written down once for the broker and once, naively, for the oracle.

use crate::random::Random;
use securemq::broker::{
    Permission, Policy, PolicyUser, RoleName, Rule, RuleEffect, RuleId, SessionKey, Subject, TopicPattern, UserName,
};
use std::sync::Arc;

/// The users whose rights change. `root` may always do everything.
pub const USERS: [&str; 2] = ["ann", "bob"];

/// One policy.
#[derive(Clone)]
pub struct Rules {
    pub generation: u64,
    users: Vec<(&'static str, bool)>,
    lines: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    /// A user, or the role that all have.
    subject: &'static str,
    allows: bool,
    publish: bool,
    subscribe: bool,
    pattern: &'static str,
}

const ROLE: &str = "Student";

impl Rules {
    /// Everybody may do everything.
    pub fn open(generation: u64) -> Self {
        let everything = |subject, pattern| Line { subject, allows: true, publish: true, subscribe: true, pattern };
        Self {
            generation,
            users: USERS.iter().map(|&name| (name, true)).collect(),
            lines: vec![everything(ROLE, "#"), everything("root", "#")],
        }
    }

    /// Some users are disabled or removed, some topics allowed to or taken away from some.
    pub fn random(generation: u64, random: &mut Random) -> Self {
        let mut rules = Self::open(generation);
        if random.chance(30) {
            return rules;
        }
        if random.chance(10) {
            rules.users.remove(random.below(USERS.len()));
        } else if random.chance(20) {
            rules.users[random.below(USERS.len())].1 = false;
        }
        if random.chance(20) {
            rules.lines[0].pattern = random.pick(&["a/#", "+/+", "j/#"]);
        }
        for _ in 0..random.below(3) {
            let (publish, subscribe) = random.pick(&[(true, false), (false, true), (true, true)]);
            rules.lines.push(Line {
                subject: random.pick(&["ann", "bob", ROLE]),
                allows: random.chance(30),
                publish,
                subscribe,
                pattern: random.pick(&["a", "a/b", "a/#", "b", "+/+", "j/1", "%u/#", "a/%c", "#"]),
            });
        }
        rules
    }

    /// The same for the broker.
    pub fn policy(&self) -> Arc<Policy> {
        let role = RoleName::new(ROLE).unwrap();
        let user = |name: &str, enabled| PolicyUser { name: UserName::new(name).unwrap(), role: role.clone(), enabled };
        let mut users: Vec<PolicyUser> = self.users.iter().map(|&(name, enabled)| user(name, enabled)).collect();
        users.push(user("root", true));
        let rule = |(number, line): (i64, &Line)| Rule {
            id: RuleId(number),
            subject: match line.subject {
                ROLE => Subject::Role(role.clone()),
                name => Subject::User(UserName::new(name).unwrap()),
            },
            pattern: TopicPattern::new(line.pattern).unwrap(),
            publish: line.publish,
            subscribe: line.subscribe,
            effect: if line.allows { RuleEffect::Allow } else { RuleEffect::Deny },
        };
        Arc::new(Policy::new(self.generation, users, (1..).zip(&self.lines).map(rule).collect()))
    }

    /// Whether a user is there and enabled.
    pub fn knows(&self, user: &str) -> bool {
        user == "root" || self.users.contains(&(user_name(user), true))
    }

    /// Whether a user is there at all.
    pub fn has(&self, user: &str) -> bool {
        user == "root" || self.users.iter().any(|(name, _)| *name == user)
    }

    /// Whether this session may publish to, or be sent a message of, this topic.
    pub fn may(&self, permission: Permission, key: &SessionKey, topic: &str) -> bool {
        let user = key.principal.user().map_or("", |name| name.as_str());
        if !self.knows(user) || (permission == Permission::Publish && topic.starts_with('$')) {
            return false;
        }
        for subject in [user, ROLE] {
            let speaking = self.lines.iter().filter(|line| {
                let speaks = if permission == Permission::Publish { line.publish } else { line.subscribe };
                let pattern = line.pattern.replace("%u", user).replace("%c", key.client_id.as_str());
                line.subject == subject && speaks && matches(&pattern, topic)
            });
            let verdicts: Vec<bool> = speaking.map(|line| line.allows).collect();
            if !verdicts.is_empty() {
                return verdicts.iter().all(|&allows| allows);
            }
        }
        false
    }
}

fn user_name(user: &str) -> &'static str {
    USERS.iter().find(|name| **name == user).copied().unwrap_or_default()
}

/// Whether a filter, without a share name, matches a topic: straight from the specification. [v5:MQTT-4.7.2-1]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    levels_match(&filter, &topic)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => level == name && levels_match(filter, topic),
        (_, _) => false,
    }
}
