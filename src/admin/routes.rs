//! Every address of the API: what it is for, who may use it, and where it is answered. There is no other list.

use super::call::{Handler, Method, Place, Route};
use super::scope::Access;
use super::{
    certificates, classes, clients, import, log_feed, login, logs, messages, openapi, overview, retained, rules,
    settings, users,
};

macro_rules! routes {
    ($($method:ident $path:literal, $access:ident, $place:ident, $handler:path, $summary:literal
       $(, query [$($query:literal),*])? $(, body [$($body:literal),*])?;)*) => {
        /// All routes. One with a fixed name comes before one with a name in its place.
        pub const ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            place: Place::$place,
            handler: Handler(|call| Box::pin($handler(call))),
            summary: $summary,
            query: &[$($($query),*)?],
            body: &[$($($body),*)?],
        }),*];
    };
}

routes! {
    Post "/login", Anyone, Pages, login::log_in, "log in", body ["user", "password"];
    Get "/session", LoggedIn, Pages, login::session, "who is logged in here, and the token for changes";
    Post "/logout", LoggedIn, Pages, login::log_out, "log out here";
    Get "/sessions", LoggedIn, Pages, login::list, "one's own sessions";
    Delete "/sessions/{id}", LoggedIn, Pages, login::end, "end one of one's own sessions";
    Delete "/sessions", LoggedIn, Pages, login::end_all, "log out everywhere";
    Get "/overview", Teacher, Broker, overview::show, "how the broker is doing";
    Get "/overview/history", Teacher, Broker, overview::history, "how it was doing lately", query ["range"];
    Get "/clients", LoggedIn, Broker, clients::list, "the clients one may see", query ["search", "state", "class", "cursor", "limit"];
    Get "/clients/{id}", LoggedIn, Broker, clients::show, "one client with its subscriptions and latest events";
    Post "/clients/{id}/disconnect", Teacher, Broker, clients::disconnect, "end a client's connection";
    Delete "/clients/{id}", Admin, Broker, clients::end, "end a client's connection and session";
    Get "/retained", LoggedIn, Broker, retained::list, "the retained messages one may receive", query ["filter", "cursor", "limit"];
    Post "/retained/clear", LoggedIn, Broker, retained::clear_branch, "clear a branch, or say how much that is", body ["filter", "preview"];
    Get "/retained/{topic}", LoggedIn, Broker, retained::show, "one retained message";
    Put "/retained/{topic}", LoggedIn, Broker, retained::replace, "replace a retained message", body ["payload", "encoding", "qos"];
    Delete "/retained/{topic}", LoggedIn, Broker, retained::clear, "clear a retained message";
    Post "/publish", LoggedIn, Broker, messages::publish, "publish under one's own rules", body ["topic", "payload", "encoding", "qos", "retain"];
    Socket "/live", LoggedIn, Broker, messages::watch, "messages as they pass, under one's own rules";
    Get "/users", Teacher, Store, users::list, "the accounts one may see", query ["search", "role", "cursor", "limit"];
    Post "/users", Teacher, Store, users::add, "add an account", body ["name", "role", "class", "password", "generate"];
    Post "/users/import", Admin, Store, import::import, "look at a list of accounts, or add it", body ["csv", "preview"];
    Get "/users/{name}", Teacher, Store, users::show, "one account";
    Patch "/users/{name}", Teacher, Store, users::change, "change an account's role, enable or disable it", body ["role", "enabled"];
    Delete "/users/{name}", Admin, Store, users::remove, "remove an account and its rules";
    Post "/users/{name}/password", Teacher, Store, users::set_password, "give an account another password", body ["password", "generate"];
    Get "/roles", Admin, Store, users::roles, "the roles";
    Get "/me", LoggedIn, Store, classes::own, "who one is, and one's classes";
    Get "/classes", LoggedIn, Store, classes::list, "the classes that one teaches or is in";
    Post "/classes", Admin, Store, classes::add, "add a class", body ["name"];
    Get "/classes/{class}", LoggedIn, Store, classes::show, "one class, for its teachers with its members";
    Delete "/classes/{class}", Admin, Store, classes::remove, "remove a class";
    Post "/classes/{class}/members", Admin, Store, classes::assign, "put users into a class", body ["users"];
    Delete "/classes/{class}/members/{name}", Teacher, Store, classes::unassign, "take a user out of a class";
    Post "/classes/{class}/pause", Teacher, Store, classes::pause, "let the students of a class publish nothing for now";
    Post "/classes/{class}/resume", Teacher, Store, classes::resume, "let a paused class go on";
    Get "/rules", Admin, Store, rules::list, "the rules";
    Post "/rules", Admin, Store, rules::add, "add a rule", body ["subject", "topic", "publish", "subscribe", "effect"];
    Post "/rules/check", LoggedIn, Store, rules::check, "may somebody do something, and why", body ["user", "role", "client_id", "action", "topic"];
    Post "/rules/preview", Admin, Broker, rules::preview, "whom a change would cut off", body ["add", "remove"];
    Delete "/rules/{id}", Admin, Store, rules::remove, "remove a rule";
    Get "/logs", LoggedIn, Store, logs::list, "the events one may see", query ["action", "user", "client", "class", "topic", "failed", "since", "until", "text", "cursor", "limit"];
    Socket "/logs/live", LoggedIn, Store, log_feed::watch, "the events one may see, as they happen", query ["action", "user", "client", "class", "topic", "failed", "text", "since"];
    Get "/logs/export", LoggedIn, Store, logs::export, "all events one may see, as a file", query ["format", "action", "user", "client", "class", "topic", "failed", "since", "until", "text"];
    Get "/certificates", Admin, Store, certificates::list, "the certificates";
    Post "/certificates", Admin, Store, certificates::issue, "issue a certificate for a user", body ["user", "days"];
    Get "/settings", Admin, Store, settings::list, "the configuration as it holds";
    Get "/openapi.json", Anyone, Pages, openapi::show, "this description";
}
