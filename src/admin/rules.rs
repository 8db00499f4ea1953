//! The rules of access, and why somebody may or may not do something.

use super::call::{Call, Page, done, json};
use super::problem::AdminError;
use crate::broker::{Permission, Principal, RoleName, Rule, RuleEffect, RuleId, Subject, TopicPattern, UserName};
use crate::protocol::{ClientId, SharedFilter, Text, TopicFilter, TopicName};
use crate::store::{Directory, NewRule};
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use serde_json::json as object;
use std::sync::Arc;

/// A rule as programs see it.
#[derive(Debug, Serialize)]
pub struct ShownRule {
    id: i64,
    subject: ShownSubject,
    topic: String,
    publish: bool,
    subscribe: bool,
    effect: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum ShownSubject {
    User(String),
    Role(String),
}

impl ShownRule {
    /// As programs see it.
    pub fn of(rule: &Rule) -> Self {
        Self {
            id: rule.id.0,
            subject: match &rule.subject {
                Subject::User(name) => ShownSubject::User(name.to_string()),
                Subject::Role(name) => ShownSubject::Role(name.to_string()),
            },
            topic: rule.pattern.to_string(),
            publish: rule.publish,
            subscribe: rule.subscribe,
            effect: match rule.effect {
                RuleEffect::Allow => "allow",
                RuleEffect::Deny => "deny",
            },
        }
    }
}

/// A rule in words: `rule 7: user sam may not subscribe to "school/exams/#"`.
pub fn rule_in_words(rule: &Rule) -> String {
    let deeds = match (rule.publish, rule.subscribe) {
        (true, true) => "publish and subscribe to",
        (true, false) => "publish to",
        (false, true) => "subscribe to",
        (false, false) => "do nothing with",
    };
    let may = match rule.effect {
        RuleEffect::Allow => "may",
        RuleEffect::Deny => "may not",
    };
    format!("rule {}: {} {may} {deeds} \"{}\"", rule.id, rule.subject, rule.pattern)
}

/// All rules.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let directory = call.office.directory().await?;
    json(&Page { items: directory.rules.iter().map(ShownRule::of).collect(), next: None })
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AskedSubject {
    User(String),
    Role(String),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AskedEffect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedRule {
    subject: AskedSubject,
    topic: String,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    subscribe: bool,
    effect: AskedEffect,
}

impl AskedSubject {
    fn parse(&self) -> Result<Subject, AdminError> {
        let wrong = |problem| AdminError::invalid("subject", problem);
        match self {
            Self::User(name) => UserName::new(name).map(Subject::User).map_err(wrong),
            Self::Role(name) => RoleName::new(name).map(Subject::Role).map_err(wrong),
        }
    }
}

impl AskedRule {
    fn parse(&self) -> Result<NewRule, AdminError> {
        if !self.publish && !self.subscribe {
            return Err(AdminError::invalid("publish", "a rule speaks of publishing, of subscribing, or of both"));
        }
        Ok(NewRule {
            subject: self.subject.parse()?,
            pattern: TopicPattern::new(&self.topic).map_err(|problem| AdminError::invalid("topic", problem))?,
            publish: self.publish,
            subscribe: self.subscribe,
            effect: match self.effect {
                AskedEffect::Allow => RuleEffect::Allow,
                AskedEffect::Deny => RuleEffect::Deny,
            },
        })
    }
}

fn numbered(id: RuleId, new: NewRule) -> Rule {
    let NewRule { subject, pattern, publish, subscribe, effect } = new;
    Rule { id, subject, pattern, publish, subscribe, effect }
}

/// Adds a rule.
pub async fn add(call: Call) -> Result<HttpResponse, AdminError> {
    let new = call.json::<AskedRule>()?.parse()?;
    let id = call.office.database.add_rule(new.clone()).await?;
    let rule = numbered(id, new);
    call.record("acl add", rule_in_words(&rule)).await?;
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(ShownRule::of(&rule)))
}

/// Removes a rule.
pub async fn remove(call: Call) -> Result<HttpResponse, AdminError> {
    let id = call.path("id").parse().map(RuleId).map_err(|_| AdminError::NotFound("rule"))?;
    let rule = call.office.database.remove_rule(id).await?;
    call.record("acl remove", rule_in_words(&rule)).await?;
    done()
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deed {
    Publish,
    Subscribe,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    user: Option<String>,
    role: Option<String>,
    client_id: Option<String>,
    action: Deed,
    topic: String,
}

/// Where somebody wants to do something.
enum Place {
    Topic(TopicName),
    Filter(TopicFilter),
}

impl Place {
    fn of(deed: Deed, topic: &str) -> Result<Self, AdminError> {
        let wrong = |problem: crate::protocol::InvalidTopic| AdminError::invalid("topic", problem);
        match deed {
            Deed::Publish => TopicName::try_from(topic).map(Self::Topic).map_err(wrong),
            Deed::Subscribe => {
                let text = Text::try_from(topic).map_err(|problem| wrong(problem.into()))?;
                // A shared subscription is authorised as its filter.
                Ok(Self::Filter(SharedFilter::new(&text).map_err(wrong)?.filter))
            }
        }
    }
}

/// Whether something may be done, which rule decides it, and why each other one does not. It asks the function that the
/// broker asks. Everybody may ask about themselves.
pub async fn check(call: Call) -> Result<HttpResponse, AdminError> {
    let question: Question = call.json()?;
    let directory = call.office.directory().await?;
    let principal = principal(&directory, &question)?;
    if !call.sight.sees(principal.user()) {
        return Err(AdminError::Forbidden);
    }
    let client_id = client_id(question.client_id.as_deref().unwrap_or("client"))?;
    let policy = directory.policy();
    let rights = policy.rights(&principal, &client_id);
    let place = Place::of(question.action, &question.topic)?;
    let (verdict, partly) = match &place {
        Place::Topic(topic) => (rights.verdict(Permission::Publish, topic), false),
        Place::Filter(filter) => {
            let verdict = rights.subscribe_verdict(filter);
            (verdict, verdict.is_allowed() && rights.must_check_delivery(filter))
        }
    };
    let deciding = verdict.rule();
    let classes = principal.user().map(|name| policy.classes_of(name)).unwrap_or_default();
    let expanded = |rule: &Rule| rule.pattern.expand(principal.user(), classes, &client_id);
    let speaks = |rule: &&Rule| speaks_of(&directory, &rule.subject, &principal);
    let considered = directory.rules.iter().filter(speaks).map(|rule| {
        let why = why(rule, &expanded(rule), question.action, &place);
        object!({ "rule": ShownRule::of(rule), "matches": why == Why::Matches, "why": why.name(), "decides": deciding == Some(rule.id) })
    });
    json(&object!({
        "verdict": if verdict.is_allowed() { "allowed" } else { "denied" },
        "partly_denied": partly,
        "reason": (!verdict.is_allowed()).then(|| verdict.reason().to_string()),
        "reason_number": (!verdict.is_allowed()).then(|| verdict.reason().number()),
        "rule": deciding.map(|id| id.0),
        "considered": considered.collect::<Vec<_>>(),
    }))
}

fn principal(directory: &Directory, question: &Question) -> Result<Principal, AdminError> {
    match (&question.user, &question.role) {
        (Some(name), None) => {
            let name = UserName::new(name).map_err(|problem| AdminError::invalid("user", problem))?;
            // Whether there is somebody of that name is for those to know who may ask; the verdict says it to them.
            Ok(Principal::User(name))
        }
        (None, Some(name)) => {
            let name = RoleName::new(name).map_err(|problem| AdminError::invalid("role", problem))?;
            let is_known = directory.roles.iter().any(|role| role.name == name);
            is_known.then_some(Principal::Anonymous(name)).ok_or(AdminError::NotFound("role"))
        }
        (None, None) | (Some(_), Some(_)) => Err(AdminError::invalid("user", "either a user or a role is expected")),
    }
}

fn speaks_of(directory: &Directory, subject: &Subject, principal: &Principal) -> bool {
    match (subject, principal) {
        (Subject::User(name), Principal::User(other)) => name == other,
        (Subject::Role(name), Principal::Anonymous(other)) => name == other,
        (Subject::Role(role), Principal::User(name)) => {
            directory.users.iter().any(|user| user.name == *name && user.role == *role)
        }
        (Subject::User(_), Principal::Anonymous(_)) => false,
    }
}

/// What a rule has to do with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Matches,
    OtherAction,
    OtherTopic,
    /// A placeholder has no name to stand for.
    NoName,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::OtherAction => "other-action",
            Self::OtherTopic => "other-topic",
            Self::NoName => "no-name",
        }
    }
}

fn why(rule: &Rule, filters: &[TopicFilter], deed: Deed, place: &Place) -> Why {
    let speaks = match deed {
        Deed::Publish => rule.publish,
        Deed::Subscribe => rule.subscribe,
    };
    if !speaks {
        return Why::OtherAction;
    }
    if filters.is_empty() {
        return Why::NoName;
    }
    let applies = filters.iter().any(|filter| match place {
        Place::Topic(topic) => filter.matches(topic),
        Place::Filter(asked) => filter.covers(asked),
    });
    if applies { Why::Matches } else { Why::OtherTopic }
}

/// A client identifier out of a request.
pub fn client_id(text: &str) -> Result<ClientId, AdminError> {
    let wrong = |problem: &dyn std::fmt::Display| AdminError::invalid("client_id", problem);
    let text = Text::try_from(text).map_err(|problem| wrong(&problem))?;
    ClientId::new(text).map_err(|problem| wrong(&problem))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    add: Option<AskedRule>,
    remove: Option<i64>,
}

/// Which subscriptions of clients that are connected now would bring less, or nothing, if the rules were changed so.
pub async fn preview(call: Call) -> Result<HttpResponse, AdminError> {
    let plan: Plan = call.json()?;
    let directory = call.office.directory().await?;
    let mut rules = directory.rules.clone();
    if let Some(id) = plan.remove {
        rules.retain(|rule| rule.id.0 != id);
    }
    if let Some(add) = &plan.add {
        rules.push(numbered(RuleId(i64::MAX), add.parse()?));
    }
    let policy = Arc::new(directory.policy_with(rules));
    let losses = call.broker()?.losses(policy, MOST_SHOWN).await?;
    let shown = losses.iter().map(|loss| {
        object!({
            "client_id": loss.key.client_id.as_str(),
            "user": loss.key.principal.user().map(UserName::as_str),
            "filter": loss.filter,
        })
    });
    json(&object!({ "cut_off": shown.collect::<Vec<_>>(), "more": losses.len() == MOST_SHOWN }))
}

/// More would not be read.
const MOST_SHOWN: usize = 500;
