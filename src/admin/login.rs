//! Logging in and out, and the sessions of one's own.

use super::call::{Call, Login, done, json};
use super::changes::append;
use super::guard::Door;
use super::office::{Live, password_of};
use super::problem::AdminError;
use super::scope::Scope;
use super::sessions::{Opened, PasswordMark, WebSession};
use crate::auth::{self, LoginRequest, Method, Rehash};
use crate::broker::{AuditEvent, EventKind, Reason, UserName, Who};
use crate::protocol::Text;
use crate::store::UnixMillis;
use actix_web::HttpResponse;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{CACHE_CONTROL, USER_AGENT};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json as object};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: String,
    password: String,
    code: Option<String>,
}

/// Opens a session for a user and its password, and a code if it has a second factor: that one is needed is said only to
/// whoever has the password.
pub async fn log_in(call: Call) -> Result<HttpResponse, AdminError> {
    let Credentials { user, password, code } = call.json()?;
    let (name, proved) = prove(&call, &user, password).await?;
    prove_second(&call, &name, code).await?;
    // The account may have gone since its password was right.
    let Some(Scope::User(person)) = call.office.scope_of(&name).await? else { return Err(AdminError::LoginFailed) };
    let browser = call.request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let browser: String = browser.chars().take(200).collect();
    let before = call.request.cookie(call.door.cookie()).map(|cookie| cookie.value().to_owned());
    let now = call.office.clock.now();
    let address = match call.address {
        crate::broker::Address::Network(address) => address.ip().to_string(),
        crate::broker::Address::Local => String::from("local"),
    };
    let opened = call.office.sessions.open(now, person, proved, address, browser, before.as_deref())?;
    // Looked at once the session is there: it ends with every change from here on, and this is every change until here.
    if password_of(&*call.office.directory().await?, &opened.session.person) != Some(proved) {
        call.office.sessions.close(&opened.secret);
        return Err(AdminError::LoginFailed);
    }
    let kind = EventKind::Administered { action: "web login".into(), target: name.to_string() };
    let who = Who { user: Text::try_from(name.as_str()).ok(), client_id: None, address: Some(call.address) };
    remember(&call, AuditEvent { who, kind }).await;
    let Opened { secret, session, csrf } = opened;
    let shown = shown_session(&call, &session, &csrf).await;
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store")).cookie(cookie(call.door, secret));
    Ok(response.json(shown))
}

/// The user whose password it is, and which one that is. Whatever is wrong, the answer is the same and takes as long.
async fn prove(call: &Call, user: &str, password: String) -> Result<(UserName, PasswordMark), AdminError> {
    let request = LoginRequest {
        method: Method::Password,
        certificate: None,
        user_name: Some(Text::try_from(user).map_err(|_| AdminError::LoginFailed)?),
        password: Some(Bytes::from(password.into_bytes())),
        address: call.address,
        anonymous_role: None,
    };
    let who = Who { user: request.user_name.clone(), client_id: None, address: Some(call.address) };
    let login = match call.office.authenticator.authenticate(call.office.clock.now(), request).await {
        Ok(login) => login,
        Err(refused) => {
            let problem = match refused.peer {
                Reason::LoginThrottled => return Err(AdminError::Throttled),
                Reason::LoginBusy => return Err(AdminError::Busy),
                _ => AdminError::LoginFailed,
            };
            let kind = EventKind::ConnectRefused { reason: refused.log, detail: Some("at the web pages".into()) };
            remember(call, AuditEvent { who, kind }).await;
            return Err(problem);
        }
    };
    let mut proved = login.checked.as_deref().map(PasswordMark::of);
    if let Some(Rehash { user, old, new }) = login.rehash {
        call.office.database.replace_password_hash(&user, &old, &new).await?;
        proved = Some(PasswordMark::of(&new));
    }
    let name = UserName::new(user).map_err(|_| AdminError::LoginFailed)?;
    Ok((name, proved.ok_or(AdminError::LoginFailed)?))
}

/// Proves the second factor of a user that has one.
async fn prove_second(call: &Call, name: &UserName, code: Option<String>) -> Result<(), AdminError> {
    if call.office.database.second_factor(name).await?.is_none() {
        return Ok(());
    }
    let code = code.filter(|code| !code.is_empty()).ok_or(AdminError::TotpRequired)?;
    let attempt = call.office.guesses.attempt(call.office.clock.now(), name)?;
    let now = UnixMillis::now();
    let proved = call.office.database.use_second_factor(name, |factor| auth::prove(factor, &code, now)).await?;
    if proved == Some(false) {
        let who = Who { user: Text::try_from(name.as_str()).ok(), client_id: None, address: Some(call.address) };
        let detail = Some("at the web pages, a wrong code".into());
        let kind = EventKind::ConnectRefused { reason: Reason::BadUserNameOrPassword, detail };
        remember(call, AuditEvent { who, kind }).await;
        return Err(AdminError::TotpWrong);
    }
    call.office.guesses.forgive(attempt);
    Ok(())
}

/// Refuses whoever does not give the password of this user, who is logged in.
pub async fn demand_password(call: &Call, name: &UserName, password: String) -> Result<(), AdminError> {
    match prove(call, name.as_str(), password).await {
        // Of a session that is open nobody has to be told to log in.
        Err(AdminError::LoginFailed) => Err(AdminError::PasswordWrong),
        Err(other) => Err(other),
        Ok(_) => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    password: String,
}

/// Takes the password once more, so that for some minutes the session may do what cannot be undone.
pub async fn confirm(call: Call) -> Result<HttpResponse, AdminError> {
    let Again { password } = call.json()?;
    let Login { secret, session, .. } = login(&call)?;
    demand_password(&call, &session.person.name, password).await?;
    let (session, csrf) =
        call.office.sessions.confirm(call.office.clock.now(), secret).ok_or(AdminError::NotLoggedIn)?;
    json(&shown_session(&call, &session, &csrf).await)
}

/// Puts into the log who came and went. Whoever comes to make room on a full disk is let in without.
async fn remember(call: &Call, event: AuditEvent) {
    if let Err(error) = append(&call.office.database, event).await {
        tracing::error!(%error, "a login at the web pages is missing in the log");
    }
}

/// Of this browser, until it is closed: how long the session lasts is our business.
fn cookie(door: Door, secret: String) -> Cookie<'static> {
    let cookie = Cookie::build(door.cookie(), secret).path("/").http_only(true).same_site(SameSite::Strict);
    cookie.secure(door.is_encrypted()).finish()
}

/// The session of the request.
pub fn login(call: &Call) -> Result<&Login, AdminError> {
    // The operator behind the broker's socket has no session to speak of.
    call.login.as_ref().ok_or(AdminError::NotFound("session"))
}

/// The session of the request, with the token that every change has to carry.
pub async fn session(call: Call) -> Result<HttpResponse, AdminError> {
    let Login { session, csrf, .. } = login(&call)?;
    json(&shown_session(&call, session, csrf).await)
}

async fn shown_session(call: &Call, session: &WebSession, csrf: &str) -> Value {
    let wall = |moment| call.office.clock.wall_of(moment);
    object!({
        "id": session.id,
        "user": session.person.name.as_str(),
        "role": session.person.role.as_str(),
        "csrf": csrf,
        "since": wall(session.since),
        "idle_until": wall(session.idle_until()),
        "absolute_until": wall(session.absolute_until()),
        "confirmed_until": wall(session.confirmed_until()),
        "encrypted": call.door.is_encrypted(),
        "version": env!("CARGO_PKG_VERSION"),
        "broker": if is_running(&call.office.live).await { "running" } else { "stopped" },
    })
}

async fn is_running(live: &Live) -> bool {
    match live {
        Live::Here(_) => true,
        Live::There(socket) => tokio::net::UnixStream::connect(socket).await.is_ok(),
    }
}

/// Ends the session of the request.
pub async fn log_out(call: Call) -> Result<HttpResponse, AdminError> {
    let Login { secret, session, .. } = login(&call)?;
    call.office.sessions.close(secret);
    let name = session.person.name.to_string();
    let kind = EventKind::Administered { action: "web logout".into(), target: name };
    remember(&call, AuditEvent { who: call.who(), kind }).await;
    forget_cookie(&call)
}

fn forget_cookie(call: &Call) -> Result<HttpResponse, AdminError> {
    let mut gone = cookie(call.door, String::new());
    gone.make_removal();
    Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).cookie(gone).finish())
}

/// The sessions of the caller.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let Login { session: own, .. } = login(&call)?;
    let wall = |moment| call.office.clock.wall_of(moment);
    let sessions = call.office.sessions.of(call.office.clock.now(), &own.person);
    let shown = sessions.iter().map(|session| {
        object!({
            "id": session.id,
            "since": wall(session.since),
            "last_used": wall(session.last_used),
            "address": session.address,
            "browser": session.browser,
            "current": session.id == own.id,
        })
    });
    json(&object!({ "items": shown.collect::<Vec<_>>(), "next": null }))
}

/// Ends one session of the caller.
pub async fn end(call: Call) -> Result<HttpResponse, AdminError> {
    let Login { session: own, .. } = login(&call)?;
    if call.office.sessions.close_named(&own.person, call.path("id")) {
        return done();
    }
    Err(AdminError::NotFound("session"))
}

/// Ends all sessions of the caller, this one included.
pub async fn end_all(call: Call) -> Result<HttpResponse, AdminError> {
    call.office.sessions.close_all(&login(&call)?.session.person);
    forget_cookie(&call)
}
