//! The second factor of one's own login: set up, used, and taken away again, each time with the password.

use super::call::{Call, done, json};
use super::login::{demand_password, login};
use super::problem::AdminError;
use super::sessions::Pending;
use crate::auth;
use crate::broker::UserName;
use crate::store::UnixMillis;
use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::json as object;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

fn own_name(call: &Call) -> Result<UserName, AdminError> {
    Ok(login(call)?.session.person.name.clone())
}

/// Whether the caller has a second factor, and how many recovery codes are left.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let factor = call.office.database.second_factor(&own_name(&call)?).await?;
    let left = factor.as_ref().map_or(0, |factor| factor.recovery.len());
    json(&object!({ "enabled": factor.is_some(), "recovery_left": left }))
}

/// Begins: makes a secret for the app. Nothing holds before a code proves that the app has it.
pub async fn begin(call: Call) -> Result<HttpResponse, AdminError> {
    let name = own_name(&call)?;
    demand_password(&call, &name, call.json::<Password>()?.password).await?;
    if call.office.database.second_factor(&name).await?.is_some() {
        return Err(AdminError::TotpOn);
    }
    let secret = auth::new_secret()?;
    let (uri, spelt) = (auth::provisioning_uri(&name, &secret), auth::spelt(&secret));
    call.office.sessions.set_pending(Pending { user: name, secret, since: call.office.clock.now() })?;
    json(&object!({ "secret": spelt, "uri": uri }))
}

/// Ends the beginning: a code of the app, and from now on every login needs one. The recovery codes are in the answer,
/// once.
pub async fn confirm(call: Call) -> Result<HttpResponse, AdminError> {
    let name = own_name(&call)?;
    let Code { code } = call.json()?;
    let secret = call.office.sessions.pending(&name, call.office.clock.now()).ok_or(AdminError::NotFound("secret"))?;
    let attempt = call.office.guesses.attempt(call.office.clock.now(), &name)?;
    let Some((factor, codes)) = auth::begin_second_factor(secret, &code, UnixMillis::now())? else {
        return Err(AdminError::TotpWrong);
    };
    call.office.guesses.forgive(attempt);
    call.office.database.set_second_factor(&name, &factor).await?;
    call.office.sessions.forget_pending(&name);
    call.record("totp set", name.to_string()).await?;
    json(&object!({ "recovery": codes }))
}

/// Takes the caller's second factor away.
pub async fn remove(call: Call) -> Result<HttpResponse, AdminError> {
    let name = own_name(&call)?;
    demand_password(&call, &name, call.json::<Password>()?.password).await?;
    take_away(&call, &name).await
}

/// Takes that of another away, who has lost both app and codes.
pub async fn reset(call: Call) -> Result<HttpResponse, AdminError> {
    let name = UserName::new(call.path("name")).map_err(|_| AdminError::NotFound("user"))?;
    take_away(&call, &name).await
}

async fn take_away(call: &Call, name: &UserName) -> Result<HttpResponse, AdminError> {
    if !call.office.database.remove_second_factor(name).await? {
        return Err(AdminError::NotFound("second factor"));
    }
    call.record("totp remove", name.to_string()).await?;
    done()
}
