//! Accounts and roles.

use super::call::{Call, Page, done, json, limit};
use super::problem::AdminError;
use super::scope::Sight;
use super::sessions::PasswordMark;
use crate::auth::{PasswordCost, generate_password, hash_password};
use crate::broker::{ClassName, RoleName, UserName};
use crate::store::{Access, Directory, StoredUser, UnixMillis};
use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_MATCH};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json as object;

/// An account as it is shown. Nothing of the password is in it.
#[derive(Debug, Serialize)]
pub struct ShownUser {
    name: String,
    role: String,
    enabled: bool,
    has_password: bool,
    certificate: Option<String>,
    created: u64,
    changed: u64,
}

impl ShownUser {
    fn of(user: &StoredUser) -> Self {
        Self {
            name: user.name.to_string(),
            role: user.role.to_string(),
            enabled: user.enabled,
            has_password: user.password.is_some(),
            certificate: user.certificate.map(|fingerprint| data_encoding::HEXUPPER.encode(&fingerprint.0)),
            created: user.created.as_millis(),
            changed: user.changed.as_millis(),
        }
    }
}

#[derive(Deserialize)]
struct ListQuery {
    search: Option<String>,
    role: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// A page of the accounts, by name.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let query: ListQuery = call.query()?;
    let directory = call.office.directory().await?;
    let wanted = |user: &&StoredUser| {
        let name = user.name.as_str();
        call.sight.sees(Some(&user.name))
            && query.cursor.as_ref().is_none_or(|after| name > after.as_str())
            && query.search.as_ref().is_none_or(|text| name.to_lowercase().contains(&text.to_lowercase()))
            && query.role.as_ref().is_none_or(|role| role.is_empty() || user.role.as_str() == role)
    };
    let limit = limit(query.limit);
    let mut found: Vec<_> = directory.users.iter().filter(wanted).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|user| user.name.to_string());
    json(&Page { items: found.into_iter().map(ShownUser::of).collect(), next })
}

/// One account, with the tag that a change of it has to name.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let name = UserName::new(call.path("name")).map_err(|_| AdminError::NotFound("user"))?;
    let directory = call.office.directory().await?;
    tagged(seen(&call, &directory, &name)?)
}

/// The account of that name, if the caller may see it; one that it may not see is not there.
fn seen<'a>(call: &Call, directory: &'a Directory, name: &UserName) -> Result<&'a StoredUser, AdminError> {
    find(directory, name)
        .and_then(|user| if call.sight.sees(Some(&user.name)) { Ok(user) } else { Err(AdminError::NotFound("user")) })
}

/// The account of that name, if the caller may change it.
fn managed<'a>(call: &Call, directory: &'a Directory, name: &UserName) -> Result<&'a StoredUser, AdminError> {
    let user = seen(call, directory, name)?;
    if call.sight.manages(name) && is_nobody_elses(call, directory, user) {
        Ok(user)
    } else {
        Err(AdminError::Forbidden)
    }
}

/// Whoever gives an account a password can be it: a teacher would be in classes that others teach, or have what another
/// role may do.
fn is_nobody_elses(call: &Call, directory: &Directory, user: &StoredUser) -> bool {
    let classes = directory.classes.iter().filter(|class| class.students.contains(&user.name));
    call.sight == Sight::Everybody
        || (user.role.as_str() == STUDENT && classes.into_iter().all(|class| call.sight.teaches(&class.name)))
}

fn find<'a>(directory: &'a Directory, name: &UserName) -> Result<&'a StoredUser, AdminError> {
    directory.users.iter().find(|user| user.name == *name).ok_or(AdminError::NotFound("user"))
}

fn tagged(user: &StoredUser) -> Result<HttpResponse, AdminError> {
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((ETAG, etag(user)));
    Ok(response.json(ShownUser::of(user)))
}

fn etag(user: &StoredUser) -> String {
    format!("\"{}-{}\"", user.created.as_millis(), user.changed.as_millis())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: String,
    password: Option<String>,
    #[serde(default)]
    generate: bool,
    class: Option<String>,
}

/// Adds an account, to a class if one is named; a teacher adds students to the own classes. A password that was made up is in the answer, once; without one only a certificate lets it in.
pub async fn add(call: Call) -> Result<HttpResponse, AdminError> {
    let new: NewUser = call.json()?;
    let name = UserName::new(&new.name).map_err(AdminError::name)?;
    let role = RoleName::new(&new.role).map_err(|problem| AdminError::invalid("role", problem))?;
    let class = new.class.as_deref().map(ClassName::new).transpose();
    let class = class.map_err(|problem| AdminError::invalid("class", problem))?;
    demand_own_class(&call, &role, class.as_ref())?;
    // Whoever finds a page open must not make an account of its own that may do more than a student.
    if role.as_str() != STUDENT {
        call.demand_confirmed()?;
    }
    let password = password(new.password, new.generate)?;
    let hash = match &password {
        Some(password) => Some(hash(&call, password.clone()).await?),
        None => None,
    };
    let user = new_user(name.clone(), role, hash);
    let described = match &class {
        Some(class) => {
            call.office.database.add_member(&user, class).await?;
            format!("{name}: {}, class {class}", user.role)
        }
        None => {
            call.office.database.add_user(&user).await?;
            format!("{name}: {}", user.role)
        }
    };
    call.record("user add", described).await?;
    let generated = password.as_ref().filter(|_| new.generate).map(ExposeSecret::expose_secret);
    let mut response = HttpResponse::Created();
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((ETAG, etag(&user)));
    Ok(response.json(object!({ "user": ShownUser::of(&user), "password": generated })))
}

/// Who may not change everybody makes students, and only in a class that is the own.
fn demand_own_class(call: &Call, role: &RoleName, class: Option<&ClassName>) -> Result<(), AdminError> {
    let is_own = class.is_some_and(|class| call.sight.teaches(class)) && role.as_str() == STUDENT;
    if call.sight == Sight::Everybody || is_own { Ok(()) } else { Err(AdminError::Forbidden) }
}

/// An account that begins now.
pub fn new_user(name: UserName, role: RoleName, password: Option<SecretString>) -> StoredUser {
    let now = UnixMillis::now();
    StoredUser { name, role, enabled: true, password, certificate: None, created: now, changed: now }
}

fn password(given: Option<String>, generate: bool) -> Result<Option<SecretString>, AdminError> {
    match (given, generate) {
        (None, false) => Ok(None),
        (None, true) => Ok(Some(generate_password()?)),
        (Some(_), true) => Err(AdminError::invalid("password", "give one, or have one made up")),
        (Some(text), false) => demand_long(text.into()).map(Some),
    }
}

/// People's passwords are looked at here once; what comes from a list is no better.
pub fn demand_long(password: SecretString) -> Result<SecretString, AdminError> {
    let length = password.expose_secret().chars().count();
    if (SHORTEST..=LONGEST).contains(&length) {
        return Ok(password);
    }
    Err(AdminError::invalid("password", format_args!("it must have {SHORTEST} to {LONGEST} characters")))
}

const SHORTEST: usize = 8;
const LONGEST: usize = 1024;

/// Hashes on a thread for what takes long.
pub async fn hash(call: &Call, password: SecretString) -> Result<SecretString, AdminError> {
    let _place = call.office.hashes_waiting.try_acquire().map_err(|_| AdminError::Busy)?;
    let _turn = call.office.hashing.acquire().await.map_err(|_| AdminError::Broken)?;
    let hash = actix_web::web::block(move || hash_password(&password, PasswordCost::CLIENT));
    Ok(hash.await.map_err(|_| AdminError::Broken)??.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    role: Option<String>,
    enabled: Option<bool>,
}

/// Gives an account another role, or lets it connect or not; only if it is still as the caller saw it.
pub async fn change(call: Call) -> Result<HttpResponse, AdminError> {
    let name = UserName::new(call.path("name")).map_err(|_| AdminError::NotFound("user"))?;
    let change: Change = call.json()?;
    let role = change.role.as_deref().map(RoleName::new).transpose();
    let role = role.map_err(|problem| AdminError::invalid("role", problem))?;
    let directory = call.office.directory().await?;
    let user = managed(&call, &directory, &name)?;
    if role.is_some() {
        if call.sight != Sight::Everybody {
            return Err(AdminError::Forbidden);
        }
        call.demand_confirmed()?;
    }
    let expected = call.request.headers().get(IF_MATCH).ok_or(AdminError::IfMatchMissing)?;
    if expected.to_str().ok() != Some(etag(user).as_str()) {
        return Err(AdminError::Changed);
    }
    let stays_admin = role.as_ref().is_none_or(|role| role.as_str() == ADMIN) && change.enabled != Some(false);
    if !stays_admin {
        demand_other_admin(&directory, &name)?;
    }
    let now = UnixMillis::now();
    if let Some(role) = role.filter(|role| *role != user.role) {
        call.office.database.set_role(&name, &role, now).await?;
        call.record("user role", format!("{name}: {role}")).await?;
    }
    if let Some(enabled) = change.enabled.filter(|enabled| *enabled != user.enabled) {
        let access = if enabled { Access::Enabled } else { Access::Disabled };
        call.office.database.set_enabled(&name, access, now).await?;
        let action = if enabled { "user enable" } else { "user disable" };
        call.record(action, name.to_string()).await?;
    }
    let directory = call.office.directory().await?;
    tagged(find(&directory, &name)?)
}

/// Refuses what would leave nobody who can undo it.
fn demand_other_admin(directory: &Directory, name: &UserName) -> Result<(), AdminError> {
    let is_admin = |user: &&StoredUser| user.enabled && user.role.as_str() == ADMIN;
    let was_admin = directory.users.iter().any(|user| user.name == *name && is_admin(&user));
    let others = directory.users.iter().filter(is_admin).any(|user| user.name != *name);
    if was_admin && !others { Err(AdminError::LastAdmin) } else { Ok(()) }
}

const ADMIN: &str = "Admin";
const STUDENT: &str = "Student";

/// Removes an account and its rules.
pub async fn remove(call: Call) -> Result<HttpResponse, AdminError> {
    let name = UserName::new(call.path("name")).map_err(|_| AdminError::NotFound("user"))?;
    let directory = call.office.directory().await?;
    find(&directory, &name)?;
    demand_other_admin(&directory, &name)?;
    call.office.database.remove_user(&name).await?;
    call.record("user remove", name.to_string()).await?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: Option<String>,
    #[serde(default)]
    generate: bool,
}

/// Gives an account another password. One that was made up is in the answer, once.
pub async fn set_password(call: Call) -> Result<HttpResponse, AdminError> {
    let name = UserName::new(call.path("name")).map_err(|_| AdminError::NotFound("user"))?;
    let new: NewPassword = call.json()?;
    managed(&call, &*call.office.directory().await?, &name)?;
    let chosen = password(new.password, new.generate)?;
    let chosen = chosen.ok_or_else(|| AdminError::invalid("password", "give one, or have one made up"))?;
    let hash = hash(&call, chosen.clone()).await?;
    if let Some(login) = call.login.as_ref().filter(|login| login.session.person.name == name) {
        call.office.sessions.expect_password(&login.secret, PasswordMark::of(hash.expose_secret()));
    }
    call.office.database.set_password(&name, Some(hash), UnixMillis::now()).await?;
    call.record("user passwd", name.to_string()).await?;
    let generated = Some(chosen.expose_secret()).filter(|_| new.generate);
    json(&object!({ "name": name.as_str(), "password": generated }))
}

/// All roles.
pub async fn roles(call: Call) -> Result<HttpResponse, AdminError> {
    let directory = call.office.directory().await?;
    let roles = directory.roles.iter();
    let items: Vec<_> = roles.map(|role| object!({ "name": role.name.as_str(), "built_in": role.built_in })).collect();
    json(&Page { items, next: None })
}
