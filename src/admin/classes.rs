//! Classes: who teaches, who learns, and whether the students publish at the moment.

use super::call::{Call, Page, done, json};
use super::problem::AdminError;
use super::scope::Sight;
use crate::broker::{ClassName, Course, PolicyClass, UserName};
use crate::store::Directory;
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

/// A class as programs see it.
#[derive(Debug, Serialize)]
struct ShownClass {
    name: String,
    paused: bool,
    teachers: Vec<String>,
    /// For whoever teaches it; classmates are none of a student's business.
    students: Option<Vec<String>>,
    topics: Topics,
}

/// Where its members publish and read.
#[derive(Debug, Serialize)]
struct Topics {
    all: String,
    own: Option<String>,
    shared: String,
    announce: String,
}

impl ShownClass {
    fn of(class: &PolicyClass, call: &Call) -> Self {
        let names = |names: &std::collections::BTreeSet<UserName>| names.iter().map(UserName::to_string).collect();
        let name = &class.name;
        let own = call.scope.user().filter(|user| class.students.contains(user));
        Self {
            name: name.to_string(),
            paused: class.course == Course::Paused,
            teachers: names(&class.teachers),
            students: call.sight.teaches(name).then(|| names(&class.students)),
            topics: Topics {
                all: format!("c/{name}/#"),
                own: own.map(|user| format!("c/{name}/u/{user}/#")),
                shared: format!("c/{name}/shared/#"),
                announce: format!("c/{name}/announce/#"),
            },
        }
    }
}

fn is_visible(call: &Call, class: &PolicyClass) -> bool {
    let is_member = |user: &UserName| class.members().any(|member| member == user);
    call.sight.teaches(&class.name) || call.scope.user().is_some_and(is_member)
}

/// The classes that the caller teaches or is in.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let directory = call.office.directory().await?;
    let classes = directory.classes.iter().filter(|class| is_visible(&call, class));
    json(&Page { items: classes.map(|class| ShownClass::of(class, &call)).collect(), next: None })
}

fn name_of(call: &Call) -> Result<ClassName, AdminError> {
    ClassName::new(call.path("class")).map_err(|_| AdminError::NotFound("class"))
}

fn seen<'a>(call: &Call, directory: &'a Directory, name: &ClassName) -> Result<&'a PolicyClass, AdminError> {
    let found = directory.classes.iter().find(|class| class.name == *name && is_visible(call, class));
    found.ok_or(AdminError::NotFound("class"))
}

/// The class of that name, if the caller teaches it; one that it may not see is not there.
fn taught(call: &Call, directory: &Directory) -> Result<ClassName, AdminError> {
    let name = name_of(call)?;
    let class = seen(call, directory, &name)?;
    if call.sight.teaches(&class.name) { Ok(name) } else { Err(AdminError::Forbidden) }
}

/// One class; whoever teaches it sees its students with their accounts.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let directory = call.office.directory().await?;
    let class = seen(&call, &directory, &name_of(&call)?)?;
    let mut shown = serde_json::to_value(ShownClass::of(class, &call)).map_err(|_| AdminError::Broken)?;
    let member = |name: &UserName| {
        let user = directory.user(name).filter(|_| call.sight.sees(Some(name)))?;
        let student = class.students.contains(name);
        let seat = if student { "student" } else { "teacher" };
        Some(object!({ "name": name.as_str(), "seat": seat, "role": user.role.as_str(), "enabled": user.enabled }))
    };
    let members: Vec<Value> = class.members().filter_map(member).collect();
    if let Some(object) = shown.as_object_mut() {
        object.insert("members".into(), members.into());
    }
    json(&shown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClass {
    name: String,
}

/// Adds a class without members.
pub async fn add(call: Call) -> Result<HttpResponse, AdminError> {
    let NewClass { name } = call.json()?;
    let name = ClassName::new(&name).map_err(AdminError::name)?;
    call.office.database.add_class(&name).await?;
    call.record("class add", name.to_string()).await?;
    let directory = call.office.directory().await?;
    let shown = ShownClass::of(seen(&call, &directory, &name)?, &call);
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(shown))
}

/// Removes a class; its members stay users.
pub async fn remove(call: Call) -> Result<HttpResponse, AdminError> {
    let name = name_of(&call)?;
    call.office.database.remove_class(&name).await?;
    call.record("class remove", name.to_string()).await?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    users: Vec<String>,
}

/// Users assigned in one request.
const MOST_AT_ONCE: usize = 500;

/// Puts users into a class, all or none. Only for administrators: who could call anybody a student of theirs could do
/// to anybody what a teacher may do to students.
pub async fn assign(call: Call) -> Result<HttpResponse, AdminError> {
    let Members { users } = call.json()?;
    if users.is_empty() || users.len() > MOST_AT_ONCE {
        return Err(AdminError::invalid("users", format_args!("1 to {MOST_AT_ONCE} at once")));
    }
    let users = users.iter().map(|name| UserName::new(name)).collect::<Result<Vec<_>, _>>();
    let users = users.map_err(|problem| AdminError::invalid("users", problem))?;
    let name = name_of(&call)?;
    call.office.database.assign(&name, &users).await?;
    let names: Vec<_> = users.iter().map(UserName::as_str).collect();
    call.record("class assign", format!("{name}: {}", names.join(", "))).await?;
    let directory = call.office.directory().await?;
    json(&ShownClass::of(seen(&call, &directory, &name)?, &call))
}

/// Takes a user out of a class: teachers their students, administrators everybody.
pub async fn unassign(call: Call) -> Result<HttpResponse, AdminError> {
    let name = taught(&call, &*call.office.directory().await?)?;
    let user = UserName::new(call.path("name")).map_err(|_| AdminError::NotFound("user"))?;
    if !call.sight.manages(&user) {
        return Err(if call.sight.sees(Some(&user)) { AdminError::Forbidden } else { AdminError::NotFound("user") });
    }
    call.office.database.unassign(&name, std::slice::from_ref(&user)).await?;
    call.record("class unassign", format!("{name}: {user}")).await?;
    done()
}

/// Pauses a class: its students stay connected and are sent messages, but publish nothing.
pub async fn pause(call: Call) -> Result<HttpResponse, AdminError> {
    set_course(call, Course::Paused, "class pause").await
}

/// Lets a paused class go on.
pub async fn resume(call: Call) -> Result<HttpResponse, AdminError> {
    set_course(call, Course::Running, "class resume").await
}

async fn set_course(call: Call, course: Course, action: &str) -> Result<HttpResponse, AdminError> {
    let name = taught(&call, &*call.office.directory().await?)?;
    call.office.database.set_course(&name, course).await?;
    call.record(action, name.to_string()).await?;
    let directory = call.office.directory().await?;
    json(&ShownClass::of(seen(&call, &directory, &name)?, &call))
}

/// What a student needs at a glance: who it is, its classes, and whether it may publish at the moment.
pub async fn own(call: Call) -> Result<HttpResponse, AdminError> {
    let directory = call.office.directory().await?;
    let user = call.scope.user().ok_or(AdminError::NotFound("user"))?;
    let mine: Vec<_> = directory.classes.iter().filter(|class| class.members().any(|member| member == user)).collect();
    let is_paused = mine.iter().any(|class| class.course == Course::Paused && class.students.contains(user));
    json(&object!({
        "user": user.as_str(),
        "role": directory.user(user).map(|user| user.role.as_str()),
        "paused": is_paused,
        "classes": mine.iter().map(|class| ShownClass::of(class, &call)).collect::<Vec<_>>(),
        "sees_everybody": call.sight == Sight::Everybody,
    }))
}
