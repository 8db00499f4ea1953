//! Every address of the API: what it is for, who may use it, and where it is answered. There is no other list.

use super::call::{Handler, Method, Needs, Place, Route};
use super::scope::Access;
use super::{
    certificates, classes, clients, connect, import, keys, log_feed, log_histogram, login, logs, messages, openapi,
    overview, retained, rules, second_factor, settings, users,
};

/// What a route needs if it says nothing of it: reading to look, managing to change.
macro_rules! needs {
    (Get) => {
        Needs::Read
    };
    (Socket) => {
        Needs::Read
    };
    ($method:ident) => {
        Needs::Manage
    };
    ($method:ident $needs:ident) => {
        Needs::$needs
    };
}

macro_rules! routes {
    ($($method:ident $path:literal, $access:ident, $place:ident, $handler:path, $summary:literal
       $(, query [$($query:literal),*])? $(, body [$($body:literal),*])? $(, needs $needs:ident)?, gives $gives:literal;)*) => {
        /// All routes. One with a fixed name comes before one with a name in its place.
        pub const ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            place: Place::$place,
            handler: Handler(|call| Box::pin($handler(call))),
            needs: needs!($method $($needs)?),
            summary: $summary,
            query: &[$($($query),*)?],
            body: &[$($($body),*)?],
            gives: $gives,
        }),*];
    };
}

routes! {
    Post "/login", Anyone, Pages, login::log_in, "log in", body ["user: string", "password: string", "code?: string?"], gives "Session";
    Get "/session", LoggedIn, Pages, login::session, "who is logged in here, and the token for changes", needs Login, gives "Session";
    Post "/logout", LoggedIn, Pages, login::log_out, "log out here", needs Login, gives "204";
    Get "/sessions", LoggedIn, Pages, login::list, "one's own sessions", needs Login, gives "Page<OwnSession>";
    Delete "/sessions/{id}", LoggedIn, Pages, login::end, "end one of one's own sessions", needs Login, gives "204";
    Delete "/sessions", LoggedIn, Pages, login::end_all, "log out everywhere", needs Login, gives "204";
    Post "/session/confirm", LoggedIn, Pages, login::confirm, "give the password again, to do what cannot be undone", body ["password: string"], needs Login, gives "Session";
    Get "/totp", LoggedIn, Pages, second_factor::show, "whether one has a second factor", needs Login, gives "SecondFactor";
    Post "/totp", LoggedIn, Pages, second_factor::begin, "begin to set a second factor up", body ["password: string"], needs Login, gives "NewSecret";
    Post "/totp/confirm", LoggedIn, Pages, second_factor::confirm, "prove that the app has the secret; from now on logins need a code", body ["code: string"], needs Login, gives "RecoveryCodes";
    Post "/totp/remove", LoggedIn, Pages, second_factor::remove, "take one's second factor away", body ["password: string"], needs Login, gives "204";
    Get "/keys", LoggedIn, Store, keys::list, "the keys of one's programs; for an administrator all", needs Login, gives "Keys";
    Post "/keys", LoggedIn, Store, keys::add, "make a key for a program of one's own", body ["name: string", "scopes: [read|publish|manage]", "days?: integer"], needs Login, gives "201 NewKey";
    Delete "/keys/{id}", LoggedIn, Store, keys::remove, "remove a key", needs Login, gives "204";
    Get "/overview", Teacher, Broker, overview::show, "how the broker is doing", gives "Overview";
    Get "/overview/history", Teacher, Broker, overview::history, "how it was doing lately", query ["range"], gives "History";
    Get "/clients", LoggedIn, Broker, clients::list, "the clients one may see", query ["search", "state", "class", "cursor", "limit"], gives "Page<Client>";
    Get "/clients/{id}", LoggedIn, Broker, clients::show, "one client with its subscriptions and latest events", gives "ClientDetail";
    Post "/clients/{id}/disconnect", Teacher, Broker, clients::disconnect, "end a client's connection", gives "204";
    Delete "/clients/{id}", Admin, Broker, clients::end, "end a client's connection and session", gives "204";
    Get "/retained", LoggedIn, Broker, retained::list, "the retained messages one may receive", query ["filter", "cursor", "limit"], gives "Page<Retained>";
    Post "/retained/clear", LoggedIn, Broker, retained::clear_branch, "clear a branch, or say how much that is", body ["filter: string", "preview?: boolean"], needs Publish, gives "Cleared";
    Get "/retained/{topic}", LoggedIn, Broker, retained::show, "one retained message", gives "RetainedValue";
    Put "/retained/{topic}", LoggedIn, Broker, retained::replace, "replace a retained message", body ["payload?: string", "encoding?: text|base64", "qos?: integer"], needs Publish, gives "204";
    Delete "/retained/{topic}", LoggedIn, Broker, retained::clear, "clear a retained message", needs Publish, gives "204";
    Post "/publish", LoggedIn, Broker, messages::publish, "publish under one's own rules", body ["topic?: string", "payload?: string", "encoding?: text|base64", "qos?: integer", "retain?: boolean"], needs Publish, gives "Published";
    Socket "/live", LoggedIn, Broker, messages::watch, "messages as they pass, under one's own rules", gives "101";
    Get "/users", Teacher, Store, users::list, "the accounts one may see", query ["search", "role", "cursor", "limit"], gives "Page<User>";
    Post "/users", Teacher, Store, users::add, "add an account", body ["name: string", "role: string", "class?: string?", "password?: string?", "generate?: boolean"], gives "201 NewUser";
    Post "/users/import", Admin, Store, import::import, "look at a list of accounts, or add it", body ["csv: string", "preview?: boolean"], needs Confirmed, gives "Imported";
    Get "/users/{name}", Teacher, Store, users::show, "one account", gives "User";
    Patch "/users/{name}", Teacher, Store, users::change, "change an account's role, enable or disable it", body ["role?: string?", "enabled?: boolean?"], gives "User";
    Delete "/users/{name}", Admin, Store, users::remove, "remove an account and its rules", needs Confirmed, gives "204";
    Post "/users/{name}/password", Teacher, Store, users::set_password, "give an account another password", body ["password?: string?", "generate?: boolean"], needs Confirmed, gives "NewPassword";
    Delete "/users/{name}/totp", Admin, Store, second_factor::reset, "take another's second factor away", needs Confirmed, gives "204";
    Get "/roles", Admin, Store, users::roles, "the roles", gives "Page<Role>";
    Get "/me", LoggedIn, Store, classes::own, "who one is, and one's classes", gives "Me";
    Get "/connect", LoggedIn, Store, connect::show, "how a device gets to the broker", gives "Connect";
    Get "/classes", LoggedIn, Store, classes::list, "the classes that one teaches or is in", gives "Page<Class>";
    Post "/classes", Admin, Store, classes::add, "add a class", body ["name: string"], gives "201 Class";
    Get "/classes/{class}", LoggedIn, Store, classes::show, "one class, for its teachers with its members", gives "ClassDetail";
    Delete "/classes/{class}", Admin, Store, classes::remove, "remove a class", gives "204";
    Post "/classes/{class}/members", Admin, Store, classes::assign, "put users into a class", body ["users: [string]"], gives "Class";
    Delete "/classes/{class}/members/{name}", Teacher, Store, classes::unassign, "take a user out of a class", gives "204";
    Post "/classes/{class}/pause", Teacher, Store, classes::pause, "let the students of a class publish nothing for now", gives "Class";
    Post "/classes/{class}/resume", Teacher, Store, classes::resume, "let a paused class go on", gives "Class";
    Get "/rules", Admin, Store, rules::list, "the rules", gives "Page<Rule>";
    Post "/rules", Admin, Store, rules::add, "add a rule", body ["subject: Subject", "topic: string", "publish?: boolean", "subscribe?: boolean", "effect: allow|deny"], needs Confirmed, gives "201 Rule";
    Post "/rules/check", LoggedIn, Store, rules::check, "may somebody do something, and why", body ["user?: string?", "role?: string?", "client_id?: string?", "action: publish|subscribe", "topic: string"], needs Read, gives "Checked";
    Post "/rules/preview", Admin, Broker, rules::preview, "whom a change would cut off", body ["add?: NewRule?", "remove?: integer?"], needs Read, gives "Preview";
    Delete "/rules/{id}", Admin, Store, rules::remove, "remove a rule", needs Confirmed, gives "204";
    Get "/logs", LoggedIn, Store, logs::list, "the events one may see", query ["action", "user", "client", "class", "topic", "failed", "since", "until", "text", "cursor", "limit"], gives "Page<Event>";
    Socket "/logs/live", LoggedIn, Store, log_feed::watch, "the events one may see, as they happen", query ["action", "user", "client", "class", "topic", "failed", "text", "since"], gives "101";
    Get "/logs/histogram", LoggedIn, Store, log_histogram::show, "how many events one may see there were when", query ["action", "user", "client", "class", "topic", "failed", "since", "until", "text", "buckets"], gives "Histogram";
    Get "/logs/export", LoggedIn, Store, logs::export, "all events one may see, as a file", query ["format", "action", "user", "client", "class", "topic", "failed", "since", "until", "text"], gives "text";
    Get "/certificates", Admin, Store, certificates::list, "the certificates", gives "Page<Certificate>";
    Post "/certificates", Admin, Store, certificates::issue, "issue a certificate for a user", body ["user: string", "days?: integer"], needs Confirmed, gives "201 NewCertificate";
    Get "/settings", Admin, Store, settings::list, "the configuration as it holds", gives "Page<Setting>";
    Get "/look", Anyone, Pages, settings::look, "how the pages look here", gives "Look";
    Get "/openapi.json", Anyone, Pages, openapi::show, "this description", gives "any";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside adding an account that may do more than a student, which `users::add` asks for itself, and making a key.
    #[test]
    fn what_gives_or_takes_power_asks_for_the_password_again() {
        let asking = ROUTES.iter().filter(|route| route.needs == Needs::Confirmed);
        let asking: Vec<_> = asking.map(|route| (route.method, route.path)).collect();
        assert_eq!(
            asking,
            [
                (Method::Post, "/users/import"),
                (Method::Delete, "/users/{name}"),
                (Method::Post, "/users/{name}/password"),
                (Method::Delete, "/users/{name}/totp"),
                (Method::Post, "/rules"),
                (Method::Delete, "/rules/{id}"),
                (Method::Post, "/certificates"),
            ]
        );
    }
}
