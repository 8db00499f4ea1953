//! `securemq user`: the accounts that clients log in with.

use super::administration::{existing_database, record};
use super::context::Context;
use super::database::open;
use super::error::CliError;
use super::input::secret_line;
use super::output::Format;
use crate::admin::rule_in_words;
use crate::audit::time;
use crate::auth::{PasswordCost, generate_password, hash_password};
use crate::broker::{RoleName, Subject, UserName};
use crate::store::{Access, Database, StoreError, StoredUser, UnixMillis};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::io::IsTerminal;

/// Add, change, list and remove users
#[derive(Debug, Args)]
pub struct UserCommand {
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// Add a user
    #[command(after_help = "\
The password is asked for, unless one of the options says where it comes from. It is never an argument: \
others on the machine could read it there.

  securemq user add tina --role Teacher
  securemq user add sam --role Student --generate
  securemq user add lamp-7 --role Student --no-password")]
    Add {
        /// Its name; a client gives it when it connects, or its certificate does
        #[arg(value_parser = UserName::new)]
        name: UserName,
        /// Its role: Admin, Teacher, Student, or one that was added
        #[arg(long, value_parser = RoleName::new)]
        role: RoleName,
        #[command(flatten)]
        source: PasswordSource,
        /// Give it no password: only a client certificate lets it in
        #[arg(long, conflicts_with_all = ["password_stdin", "generate"])]
        no_password: bool,
    },
    /// List all users
    List,
    /// Show a user with the rules that speak of it
    Show {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
    },
    /// Give a user another password
    Passwd {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// Give a user another role
    Role {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
        /// The role
        #[arg(value_parser = RoleName::new)]
        role: RoleName,
    },
    /// Keep a user from connecting; its connections end
    Disable {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
    },
    /// Let a disabled user connect again
    Enable {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
    },
    /// Take away the second factor of a user who has lost it
    ResetTotp {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
    },
    /// Remove a user and its rules; its connections end
    Remove {
        /// Its name
        #[arg(value_parser = UserName::new)]
        name: UserName,
    },
}

/// Where a password comes from.
#[derive(Debug, Clone, Copy, Args)]
struct PasswordSource {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Make up a password and print it once
    #[arg(long, conflicts_with = "password_stdin")]
    generate: bool,
}

impl UserCommand {
    /// Does what was asked for.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = match self.action {
            // The first user may come before the first start.
            UserAction::Add { .. } => open(context).await?.database,
            _ => existing_database(context).await?,
        };
        let now = UnixMillis::now();
        match self.action {
            UserAction::Add { name, role, source, no_password } => {
                let password = if no_password { None } else { Some(NewPassword::from(source, context)?) };
                add(context, &database, name, role, password).await
            }
            UserAction::List => list(context, &database).await,
            UserAction::Show { name } => show(context, &database, &name).await,
            UserAction::Passwd { name, source } => {
                let password = NewPassword::from(source, context)?;
                database.set_password(&name, Some(password.hash()?), now).await?;
                record(&database, "user passwd", name.to_string()).await?;
                password.done(context, &name, format!("user {name} has a new password"))
            }
            UserAction::Role { name, role } => {
                database.set_role(&name, &role, now).await?;
                record(&database, "user role", format!("{name}: {role}")).await?;
                done(context, &name, format!("user {name} has role {role}"))
            }
            UserAction::Disable { name } => {
                database.set_enabled(&name, Access::Disabled, now).await?;
                record(&database, "user disable", name.to_string()).await?;
                done(context, &name, format!("user {name} is disabled"))
            }
            UserAction::Enable { name } => {
                database.set_enabled(&name, Access::Enabled, now).await?;
                record(&database, "user enable", name.to_string()).await?;
                done(context, &name, format!("user {name} is enabled"))
            }
            UserAction::ResetTotp { name } => {
                if !database.remove_second_factor(&name).await? {
                    let remedy = "nothing has to be done: it logs in with its password alone";
                    return Err(CliError::not_found(format_args!("user {name} has no second factor"), remedy));
                }
                record(&database, "totp remove", name.to_string()).await?;
                done(context, &name, format!("user {name} logs in without a second factor"))
            }
            UserAction::Remove { name } => {
                database.remove_user(&name).await?;
                record(&database, "user remove", name.to_string()).await?;
                done(context, &name, format!("user {name} is removed, with its rules"))
            }
        }
    }
}

async fn add(
    context: &Context,
    database: &Database,
    name: UserName,
    role: RoleName,
    password: Option<NewPassword>,
) -> Result<(), CliError> {
    let now = UnixMillis::now();
    let user = StoredUser {
        name: name.clone(),
        role: role.clone(),
        enabled: true,
        password: password.as_ref().map(NewPassword::hash).transpose()?,
        certificate: None,
        created: now,
        changed: now,
    };
    database.add_user(&user).await?;
    record(database, "user add", format!("{name}: {role}")).await?;
    let said = format!("user {name} added with role {role}");
    match password {
        Some(password) => password.done(context, &name, said),
        None => done(context, &name, said),
    }
}

async fn list(context: &Context, database: &Database) -> Result<(), CliError> {
    let users: Vec<_> = database.users().await?.iter().map(ShownUser::of).collect();
    context.output.listing(&["name", "role", "enabled", "password", "certificate", "changed"], &users, |user| {
        vec![
            user.name.clone(),
            user.role.clone(),
            yes(user.enabled),
            yes(user.has_password),
            if user.certificate.is_some() { "pinned" } else { "any" }.to_owned(),
            user.changed.clone(),
        ]
    })
}

async fn show(context: &Context, database: &Database, name: &UserName) -> Result<(), CliError> {
    let directory = database.directory().await?;
    let found = directory.users.iter().find(|user| user.name == *name);
    let user = found.ok_or_else(|| StoreError::UserUnknown(name.clone()))?;
    let speaks = |subject: &Subject| match subject {
        Subject::User(other) => other == name,
        Subject::Role(role) => *role == user.role,
    };
    let rules: Vec<_> = directory.rules.iter().filter(|rule| speaks(&rule.subject)).map(rule_in_words).collect();
    let shown = ShownUser::of(user);
    let output = &context.output;
    if output.format() == Format::Json {
        return output.json(&ShownUserWithRules { user: shown, rules });
    }
    output.line(format_args!("name         {}", shown.name))?;
    output.line(format_args!("role         {}", shown.role))?;
    output.line(format_args!("enabled      {}", yes(shown.enabled)))?;
    output.line(format_args!("password     {}", yes(shown.has_password)))?;
    output.line(format_args!("certificate  {}", shown.certificate.as_deref().unwrap_or("any that names it")))?;
    output.line(format_args!("created      {}", shown.created))?;
    output.line(format_args!("changed      {}", shown.changed))?;
    rules.iter().try_for_each(|rule| output.line(format_args!("rule         {rule}")))
}

/// A user as programs see it. Nothing of the password is in it.
#[derive(Debug, Serialize)]
struct ShownUser {
    name: String,
    role: String,
    enabled: bool,
    has_password: bool,
    certificate: Option<String>,
    created: String,
    changed: String,
}

#[derive(Debug, Serialize)]
struct ShownUserWithRules {
    #[serde(flatten)]
    user: ShownUser,
    rules: Vec<String>,
}

impl ShownUser {
    fn of(user: &StoredUser) -> Self {
        Self {
            name: user.name.to_string(),
            role: user.role.to_string(),
            enabled: user.enabled,
            has_password: user.password.is_some(),
            certificate: user.certificate.map(|fingerprint| data_encoding::HEXUPPER.encode(&fingerprint.0)),
            created: time(user.created),
            changed: time(user.changed),
        }
    }
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// What a command that changed a user prints.
#[derive(Debug, Serialize)]
struct Done<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

fn done(context: &Context, name: &UserName, said: String) -> Result<(), CliError> {
    match context.output.format() {
        Format::Text => context.output.line(said),
        Format::Json => context.output.json(&Done { name: name.as_str(), password: None }),
    }
}

/// A password on its way into the database.
struct NewPassword {
    password: SecretString,
    /// Made up here, so it must be printed: nobody else knows it.
    is_generated: bool,
}

impl NewPassword {
    fn from(source: PasswordSource, context: &Context) -> Result<Self, CliError> {
        if source.generate {
            return Ok(Self { password: generate_password()?, is_generated: true });
        }
        let password = if source.password_stdin { read_password()? } else { ask_for_password()? };
        if password.expose_secret().is_empty() {
            return Err(CliError::usage("the password is empty", "give one, or let --generate make one up"));
        }
        if password.expose_secret().chars().count() < SHORT {
            context.output.warning(format_args!("the password is shorter than {SHORT} characters and easily guessed"));
        }
        Ok(Self { password, is_generated: false })
    }

    fn hash(&self) -> Result<SecretString, CliError> {
        Ok(hash_password(&self.password, PasswordCost::CLIENT)?.into())
    }

    fn done(&self, context: &Context, name: &UserName, said: String) -> Result<(), CliError> {
        if !self.is_generated {
            return done(context, name, said);
        }
        let password = self.password.expose_secret();
        match context.output.format() {
            Format::Text => {
                context.output.line(said)?;
                context.output.line(format_args!("password: {password}"))
            }
            Format::Json => context.output.json(&Done { name: name.as_str(), password: Some(password) }),
        }
    }
}

/// The first line of standard input.
fn read_password() -> Result<SecretString, CliError> {
    secret_line().map_err(|error| {
        CliError::failed(
            format_args!("cannot read the password from standard input: {error}"),
            "pass it as text on the first line of input, or leave out --password-stdin",
        )
    })
}

/// Asks twice on the terminal, without showing what is typed.
fn ask_for_password() -> Result<SecretString, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "there is no terminal to ask for a password on",
            "use --password-stdin to pass it by a pipe, or --generate to have one made up",
        ));
    }
    let asked = dialoguer::Password::new()
        .with_prompt("Password")
        .with_confirmation("The same again", "That was not the same.")
        .interact();
    asked.map(SecretString::from).map_err(|error| {
        CliError::failed(format_args!("no password was given: {error}"), "try again, or use --generate")
    })
}

/// Passwords that people think of and that are shorter than this are found by trying.
const SHORT: usize = 8;
