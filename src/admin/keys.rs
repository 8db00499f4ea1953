//! Keys that programs use this with: made by whoever is logged in, shown once, never worth more than their owner.

use super::call::{Call, done, json};
use super::login::login;
use super::problem::AdminError;
use super::scope::Sight;
use super::sessions::random;
use crate::store::{ApiKey, ApiKeys, ApiScopes, UnixMillis};
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json as object;
use std::time::Duration;

/// What every key begins with, so that one that got lost is recognised by people and by scanners.
pub const PREFIX: &str = "smq_";

/// A key as it is shown. Nothing of what opens is in it.
#[derive(Debug, Serialize)]
struct ShownKey {
    id: i64,
    user: String,
    name: String,
    scopes: Vec<&'static str>,
    created: u64,
    expires: u64,
    expired: bool,
}

impl ShownKey {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            user: key.owner.to_string(),
            name: key.name.clone(),
            scopes: scope_names(key.scopes),
            created: key.created.as_millis(),
            expires: key.expires.as_millis(),
            expired: key.expires <= UnixMillis::now(),
        }
    }
}

/// The names of what a key is good for.
pub fn scope_names(scopes: ApiScopes) -> Vec<&'static str> {
    let all = [(scopes.read, "read"), (scopes.publish, "publish"), (scopes.manage, "manage")];
    all.into_iter().filter_map(|(is, name)| is.then_some(name)).collect()
}

/// What these names stand for; the answer to others says which there are.
pub fn parse_scopes<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<ApiScopes, &'static str> {
    let mut scopes = ApiScopes::default();
    for name in names {
        match name {
            "read" => scopes.read = true,
            "publish" => scopes.publish = true,
            "manage" => scopes.manage = true,
            _ => return Err("the scopes are read, publish and manage"),
        }
    }
    if scopes == ApiScopes::default() {
        Err("a key needs one of the scopes read, publish and manage")
    } else {
        Ok(scopes)
    }
}

/// What a new key says, and how its row looks before it has a number.
pub fn new_key(
    owner: crate::broker::UserName,
    name: String,
    scopes: ApiScopes,
    days: u32,
) -> Result<(ApiKey, SecretString), AdminError> {
    let length = name.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) {
        return Err(AdminError::invalid("name", format_args!("1 to {LONGEST_NAME} characters of one line")));
    }
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(AdminError::invalid("days", format_args!("1 to {MOST_DAYS}")));
    }
    let created = UnixMillis::now();
    let lasts = Duration::from_secs(u64::from(days) * 24 * 3600);
    let millis = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let expires = UnixMillis::from_millis(created.as_millis().saturating_add(millis));
    let secret = SecretString::from(format!("{PREFIX}{}", random::<32>()?));
    Ok((ApiKey { id: 0, owner, name, scopes, created, expires }, secret))
}

const LONGEST_NAME: usize = 100;
const MOST_DAYS: u32 = 366;

/// One's own keys; an administrator sees those of everybody.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let ApiKeys { keys, damaged } = call.office.database.api_keys().await?;
    let keys = keys.iter().filter(|key| is_mine(&call, key));
    // Nobody knows whose they are.
    let damaged = damaged.iter().map(|(id, _)| *id).filter(|_| call.sight == Sight::Everybody);
    let (items, damaged): (Vec<_>, Vec<_>) = (keys.map(ShownKey::of).collect(), damaged.collect());
    json(&object!({ "items": items, "next": null, "damaged": damaged }))
}

fn is_mine(call: &Call, key: &ApiKey) -> bool {
    call.sight == Sight::Everybody || call.scope.user() == Some(&key.owner)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    scopes: Vec<String>,
    #[serde(default = "three_months")]
    days: u32,
}

fn three_months() -> u32 {
    90
}

/// Makes a key for the caller. It is in the answer, once.
pub async fn add(call: Call) -> Result<HttpResponse, AdminError> {
    use secrecy::ExposeSecret;
    call.demand_confirmed()?;
    let NewKey { name, scopes, days } = call.json()?;
    let scopes = parse_scopes(scopes.iter().map(String::as_str));
    let scopes = scopes.map_err(|problem| AdminError::invalid("scopes", problem))?;
    let (key, secret) = new_key(login(&call)?.session.person.name.clone(), name, scopes, days)?;
    let key = call.office.database.add_api_key(key, &secret).await?;
    call.record("apikey add", in_words(&key)).await?;
    let answer = object!({ "key": secret.expose_secret(), "info": ShownKey::of(&key) });
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// A key in words: `3 of sam: report (read)`.
pub fn in_words(key: &ApiKey) -> String {
    format!("{} of {}: {} ({})", key.id, key.owner, key.name, scope_names(key.scopes).join(", "))
}

/// A key that is gone, in words, if it could be read.
pub fn removed_in_words(id: i64, key: Option<&ApiKey>) -> String {
    key.map_or_else(|| format!("{id}, which was damaged"), in_words)
}

/// Removes a key; it opens nothing from then on.
pub async fn remove(call: Call) -> Result<HttpResponse, AdminError> {
    let id: i64 = call.path("id").parse().map_err(|_| AdminError::NotFound("key"))?;
    let ApiKeys { keys, damaged } = call.office.database.api_keys().await?;
    let is_damaged = call.sight == Sight::Everybody && damaged.iter().any(|(damaged, _)| *damaged == id);
    if !is_damaged && !keys.iter().any(|key| key.id == id && is_mine(&call, key)) {
        return Err(AdminError::NotFound("key"));
    }
    let key = call.office.database.remove_api_key(id).await?;
    call.record("apikey remove", removed_in_words(id, key.as_ref())).await?;
    done()
}
