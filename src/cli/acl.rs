//! `securemq acl`: the rules of who may publish and subscribe where.

use super::administration::{existing_database, record};
use super::context::Context;
use super::error::CliError;
use super::output::Format;
use super::promise::ShownPromise;
use crate::admin::rule_in_words;
use crate::broker::{
    Permission, Principal, Reason, Rights, RoleName, Rule, RuleEffect, RuleId, Subject, TopicPattern, UserName, Verdict,
};
use crate::protocol::{ClientId, InvalidTopic, SharedFilter, Text, TopicName};
use crate::store::{Database, Directory, NewRule, StoreError};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde::Serialize;

/// Add, list, remove and try out the rules of access
#[derive(Debug, Args)]
pub struct AclCommand {
    #[command(subcommand)]
    action: AclAction,
}

#[derive(Debug, Subcommand)]
enum AclAction {
    /// Add a rule
    #[command(after_help = "\
What no rule allows is denied. A user's own rules come before those of its role, and among the rules of one, a denial \
before any number of permissions: their order means nothing. In the topic, + and # are wildcards, %u is the user's \
name, %g each class of the user, and %c the client id.

  securemq acl add --role Student --topic 'students/%u/#' --publish --subscribe
  securemq acl add --user sam --topic 'school/exams/#' --subscribe --deny")]
    #[command(group = ArgGroup::new("what").args(["publish", "subscribe"]).required(true).multiple(true))]
    Add {
        #[command(flatten)]
        subject: RuleSubject,
        /// The topics it speaks of, as a filter
        #[arg(long, value_name = "FILTER", value_parser = TopicPattern::new)]
        topic: TopicPattern,
        /// It speaks of publishing
        #[arg(long)]
        publish: bool,
        /// It speaks of subscribing and receiving
        #[arg(long)]
        subscribe: bool,
        /// It denies instead of allowing
        #[arg(long)]
        deny: bool,
    },
    /// List the rules
    List {
        /// Only those of this user
        #[arg(long, value_name = "NAME", value_parser = UserName::new)]
        user: Option<UserName>,
        /// Only those of this role
        #[arg(long, value_name = "ROLE", value_parser = RoleName::new)]
        role: Option<RoleName>,
    },
    /// Remove a rule
    Remove {
        /// Its number, as `acl list` shows it
        id: i64,
    },
    /// Say whether something may be done, and which rule decides it
    #[command(after_help = "\
Ends with 0 if it is allowed and with 4 if it is denied. It asks the same function that the broker asks. Where \
publishing is allowed, it also says what an acknowledgement promises, and which option decides that.

  securemq acl check --user sam --topic students/sam/lamp --action publish
  securemq acl check --user sam --client lamp-7 --topic 'school/#' --action subscribe")]
    Check {
        #[command(flatten)]
        subject: RuleSubject,
        /// The client id, for rules with %c
        #[arg(long, value_name = "ID", default_value = "client", value_parser = client_id)]
        client: ClientId,
        /// The topic to publish to, or the filter to subscribe with
        #[arg(long)]
        topic: String,
        /// What to do there
        #[arg(long)]
        action: Deed,
    },
}

/// One of the two.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct RuleSubject {
    /// A user
    #[arg(long, value_name = "NAME", value_parser = UserName::new)]
    user: Option<UserName>,
    /// A role
    #[arg(long, value_name = "ROLE", value_parser = RoleName::new)]
    role: Option<RoleName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deed {
    Publish,
    Subscribe,
}

impl AclCommand {
    /// Does what was asked for.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = existing_database(context).await?;
        match self.action {
            AclAction::Add { subject, topic, publish, subscribe, deny } => {
                let effect = if deny { RuleEffect::Deny } else { RuleEffect::Allow };
                let rule = NewRule { subject: subject.subject()?, pattern: topic, publish, subscribe, effect };
                add(context, &database, rule).await
            }
            AclAction::List { user, role } => list(context, &database, user, role).await,
            AclAction::Remove { id } => {
                let rule = database.remove_rule(RuleId(id)).await?;
                let words = rule_in_words(&rule);
                record(&database, "acl remove", words.clone()).await?;
                match context.output.format() {
                    Format::Text => context.output.line(format_args!("removed {words}")),
                    Format::Json => context.output.json(&ShownRule::of(&rule)),
                }
            }
            AclAction::Check { subject, client, topic, action } => {
                let directory = database.directory().await?;
                let question = Question { client, topic, action };
                check(context, &directory, &subject.subject()?, &question)
            }
        }
    }
}

impl RuleSubject {
    fn subject(self) -> Result<Subject, CliError> {
        match (self.user, self.role) {
            (Some(name), None) => Ok(Subject::User(name)),
            (None, Some(name)) => Ok(Subject::Role(name)),
            (None, None) | (Some(_), Some(_)) => {
                Err(CliError::usage("either a user or a role is expected", "give one of --user and --role"))
            }
        }
    }
}

async fn add(context: &Context, database: &Database, new: NewRule) -> Result<(), CliError> {
    let id = database.add_rule(new.clone()).await?;
    let NewRule { subject, pattern, publish, subscribe, effect } = new;
    let rule = Rule { id, subject, pattern, publish, subscribe, effect };
    let words = rule_in_words(&rule);
    record(database, "acl add", words.clone()).await?;
    match context.output.format() {
        Format::Text => context.output.line(format_args!("added {words}")),
        Format::Json => context.output.json(&ShownRule::of(&rule)),
    }
}

async fn list(
    context: &Context,
    database: &Database,
    user: Option<UserName>,
    role: Option<RoleName>,
) -> Result<(), CliError> {
    let wanted = |subject: &Subject| match subject {
        _ if user.is_none() && role.is_none() => true,
        Subject::User(name) => user.as_ref() == Some(name),
        Subject::Role(name) => role.as_ref() == Some(name),
    };
    let rules = database.rules().await?;
    let rules: Vec<_> = rules.iter().filter(|rule| wanted(&rule.subject)).map(ShownRule::of).collect();
    context.output.listing(&["id", "subject", "effect", "access", "topic"], &rules, |rule| {
        let subject = rule.user.as_ref().map(|name| format!("user {name}"));
        let subject = subject.or_else(|| rule.role.as_ref().map(|name| format!("role {name}")));
        vec![
            rule.id.to_string(),
            subject.unwrap_or_default(),
            rule.effect.to_owned(),
            rule.access.join(", "),
            rule.topic.clone(),
        ]
    })
}

/// What `check` asks.
struct Question {
    client: ClientId,
    topic: String,
    action: Deed,
}

fn check(context: &Context, directory: &Directory, subject: &Subject, question: &Question) -> Result<(), CliError> {
    let principal = principal(directory, subject)?;
    let rights = directory.policy().rights(&principal, &question.client);
    let Answer { verdict, partly } = answer(&rights, question)?;
    let rule = verdict.rule().and_then(|id| directory.rules.iter().find(|rule| rule.id == id));
    let because = match (verdict, rule) {
        (Verdict::Allowed(_) | Verdict::Denied(_), Some(rule)) => rule_in_words(rule),
        (Verdict::NoSuchUser, _) => Reason::UserDisabled.to_string(),
        (verdict, _) => verdict.reason().to_string(),
    };
    let promise = match question.action {
        Deed::Publish if verdict.is_allowed() => TopicName::try_from(question.topic.as_str()).ok(),
        Deed::Publish | Deed::Subscribe => None,
    };
    let promise = promise.map(|topic| ShownPromise::of(&context.config, &topic));
    match context.output.format() {
        Format::Text => {
            let verdict = if verdict.is_allowed() { "allowed" } else { "denied" };
            context.output.line(format_args!("{verdict}: {because}"))?;
            if partly {
                context.output.line("but a denial speaks of some of its topics: their messages are not delivered")?;
            }
            for line in promise.iter().flat_map(ShownPromise::lines) {
                context.output.line(line)?;
            }
        }
        Format::Json => context.output.json(&ShownVerdict {
            allowed: verdict.is_allowed(),
            partly_denied: partly,
            reason: because,
            rule: rule.map(ShownRule::of),
            durability: promise,
        })?,
    }
    if verdict.is_allowed() {
        return Ok(());
    }
    let deed = match question.action {
        Deed::Publish => "publish to",
        Deed::Subscribe => "subscribe to",
    };
    let remedy = match verdict {
        Verdict::Paused(_) => "`securemq class list` shows which class is paused, `securemq class resume` ends it",
        _ => "`securemq acl add` adds a rule that allows it, `securemq acl list` shows those that there are",
    };
    Err(CliError::denied(format_args!("{subject} may not {deed} {:?}", question.topic), remedy))
}

fn principal(directory: &Directory, subject: &Subject) -> Result<Principal, CliError> {
    match subject {
        Subject::User(name) if directory.users.iter().any(|user| user.name == *name) => {
            Ok(Principal::User(name.clone()))
        }
        Subject::User(name) => Err(StoreError::UserUnknown(name.clone()).into()),
        Subject::Role(name) if directory.roles.iter().any(|role| role.name == *name) => {
            Ok(Principal::Anonymous(name.clone()))
        }
        Subject::Role(name) => {
            let known = directory.roles.iter().map(|role| role.name.clone()).collect();
            Err(StoreError::RoleUnknown { name: name.clone(), known }.into())
        }
    }
}

struct Answer {
    verdict: Verdict,
    /// Allowed, but a denial covers a part of it.
    partly: bool,
}

fn answer(rights: &Rights, question: &Question) -> Result<Answer, CliError> {
    let wrong = |problem: InvalidTopic| {
        CliError::usage(
            format_args!("the topic {:?} {problem}", question.topic),
            "to publish, name a topic without wildcards; to subscribe, a filter",
        )
    };
    match question.action {
        Deed::Publish => {
            let topic = TopicName::try_from(question.topic.as_str()).map_err(wrong)?;
            Ok(Answer { verdict: rights.verdict(Permission::Publish, &topic), partly: false })
        }
        Deed::Subscribe => {
            let text = Text::try_from(question.topic.as_str()).map_err(|problem| wrong(problem.into()))?;
            // A shared subscription is authorised as its filter.
            let filter = SharedFilter::new(&text).map_err(wrong)?.filter;
            let verdict = rights.subscribe_verdict(&filter);
            Ok(Answer { verdict, partly: verdict.is_allowed() && rights.must_check_delivery(&filter) })
        }
    }
}

/// A rule as programs see it.
#[derive(Debug, Serialize)]
struct ShownRule {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    effect: &'static str,
    access: Vec<&'static str>,
    topic: String,
}

impl ShownRule {
    fn of(rule: &Rule) -> Self {
        let (user, role) = match &rule.subject {
            Subject::User(name) => (Some(name.to_string()), None),
            Subject::Role(name) => (None, Some(name.to_string())),
        };
        let access = [(rule.publish, "publish"), (rule.subscribe, "subscribe")];
        Self {
            id: rule.id.0,
            user,
            role,
            effect: match rule.effect {
                RuleEffect::Allow => "allow",
                RuleEffect::Deny => "deny",
            },
            access: access.into_iter().filter_map(|(is, name)| is.then_some(name)).collect(),
            topic: rule.pattern.to_string(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ShownVerdict {
    allowed: bool,
    partly_denied: bool,
    reason: String,
    rule: Option<ShownRule>,
    /// What an acknowledgement promises there.
    durability: Option<ShownPromise>,
}

fn client_id(text: &str) -> Result<ClientId, String> {
    let text = Text::try_from(text).map_err(|problem| format!("it {problem}"))?;
    ClientId::new(text).map_err(|problem| problem.to_string())
}
