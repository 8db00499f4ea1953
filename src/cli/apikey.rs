//! `securemq apikey`: keys that programs use the administration's API with.

use super::administration::{existing_database, record};
use super::context::Context;
use super::error::CliError;
use super::output::Format;
use crate::admin::{key_in_words, new_key, parse_scopes, removed_key_in_words, scope_names};
use crate::audit::time;
use crate::broker::UserName;
use crate::store::{ApiKey, ApiKeys};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde::Serialize;

/// Add, list and remove keys for programs that use the API
#[derive(Debug, Args)]
pub struct ApiKeyCommand {
    #[command(subcommand)]
    action: ApiKeyAction,
}

#[derive(Debug, Subcommand)]
enum ApiKeyAction {
    /// Make a key; it is shown once
    #[command(after_help = "\
A program sends it with every request as `Authorization: Bearer smq_...`. It may do what its user may, and of that only \
what its scopes name: read to look, publish to publish messages, manage to change things. A user's keys go with the \
user, and when the user gets another role; those of an administrator stay and may do what the new role may.

  securemq apikey add --user tina --name report --scope read
  securemq apikey add --user root --name sync --scope read --scope manage --days 30")]
    Add {
        /// As whom the program acts
        #[arg(long, value_parser = UserName::new)]
        user: UserName,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it is good for: read, publish or manage; repeatable
        #[arg(long = "scope", required = true, value_parser = ["read", "publish", "manage"])]
        scopes: Vec<String>,
        /// How many days it lasts
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
    },
    /// List all keys
    List,
    /// Remove a key; it opens nothing from then on
    Remove {
        /// Its number, as `apikey list` shows it
        id: i64,
    },
}

impl ApiKeyCommand {
    /// Does what was asked for.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = existing_database(context).await?;
        match self.action {
            ApiKeyAction::Add { user, name, scopes, days } => {
                let scopes = parse_scopes(scopes.iter().map(String::as_str));
                let scopes = scopes.map_err(|problem| CliError::usage(problem, "give one or more with --scope"))?;
                let (key, secret) = new_key(user, name, scopes, days)?;
                let key = database.add_api_key(key, &secret).await?;
                record(&database, "apikey add", key_in_words(&key)).await?;
                let secret = secret.expose_secret();
                match context.output.format() {
                    Format::Text => {
                        context.output.line(format_args!("added key {}", key_in_words(&key)))?;
                        context.output.line(format_args!("key: {secret}"))
                    }
                    Format::Json => context.output.json(&Added { key: secret, info: ShownKey::of(&key) }),
                }
            }
            ApiKeyAction::List => {
                let ApiKeys { keys, damaged } = database.api_keys().await?;
                let keys: Vec<_> = keys.iter().map(ShownKey::of).collect();
                context.output.listing(&["id", "user", "name", "scopes", "expires"], &keys, |key| {
                    let (user, name, expires) = (key.user.clone(), key.name.clone(), key.expires.clone());
                    vec![key.id.to_string(), user, name, key.scopes.join(", "), expires]
                })?;
                match damaged.first() {
                    None => Ok(()),
                    Some((id, problem)) => {
                        let remedy = format!("it opens nothing; remove it with `securemq apikey remove {id}`");
                        Err(CliError::failed(problem, remedy))
                    }
                }
            }
            ApiKeyAction::Remove { id } => {
                let key = database.remove_api_key(id).await?;
                let words = removed_key_in_words(id, key.as_ref());
                record(&database, "apikey remove", words.clone()).await?;
                match (context.output.format(), &key) {
                    (Format::Text, _) => context.output.line(format_args!("removed key {words}")),
                    (Format::Json, Some(key)) => context.output.json(&ShownKey::of(key)),
                    (Format::Json, None) => context.output.json(&serde_json::json!({ "id": id, "damaged": true })),
                }
            }
        }
    }
}

/// A key as programs see it. Nothing of what opens is in it.
#[derive(Debug, Serialize)]
struct ShownKey {
    id: i64,
    user: String,
    name: String,
    scopes: Vec<&'static str>,
    created: String,
    expires: String,
}

#[derive(Debug, Serialize)]
struct Added<'a> {
    key: &'a str,
    info: ShownKey,
}

impl ShownKey {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            user: key.owner.to_string(),
            name: key.name.clone(),
            scopes: scope_names(key.scopes),
            created: time(key.created),
            expires: time(key.expires),
        }
    }
}
