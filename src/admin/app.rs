//! From a request to the function that answers it: every check of who may, in one place, for every address.

use super::call::{BASE, Body, Call, KeyLogin, Login, Method, Needs, Place, Route};
use super::forward::{FROM, IN_NAME_OF, pass_on};
use super::guard::{Door, Provenance, check_host, check_origin, harden};
use super::keys::PREFIX;
use super::office::{Live, Office};
use super::problem::AdminError;
use super::routes::ROUTES;
use super::scope::{Access, Scope};
use super::sessions::{Use, tokens_match};
use crate::broker::{Address, UserName};
use crate::store::ApiScopes;
use actix_web::dev::ResourceDef;
use actix_web::http::header::{ALLOW, AUTHORIZATION, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError, guard, web};
use data_encoding::BASE64URL_NOPAD;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// It has to be there by then; a slow one must not keep its place.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Puts the API and the pages behind a door.
pub fn furnish(config: &mut web::ServiceConfig, office: &Arc<Office>, door: Door) {
    for route in ROUTES {
        let office = Arc::clone(office);
        let answer = move |request: HttpRequest, payload: web::Payload| {
            let office = Arc::clone(&office);
            async move { finish(door, answer(route, office, door, request, payload).await) }
        };
        let resource = web::resource(format!("{BASE}{}", route.path)).guard(guard::Method(route.method.http()));
        config.service(resource.to(answer));
    }
    let office = Arc::clone(office);
    config.default_service(web::to(move |request: HttpRequest| {
        let office = Arc::clone(&office);
        async move { finish(door, other(&office, door, &request)) }
    }));
}

fn finish(door: Door, result: Result<HttpResponse, AdminError>) -> HttpResponse {
    let mut response = result.unwrap_or_else(|problem| problem.error_response());
    harden(door, response.headers_mut());
    response
}

/// The pages, or nothing.
fn other(office: &Office, door: Door, request: &HttpRequest) -> Result<HttpResponse, AdminError> {
    check_host(door, request.headers())?;
    if let Some(path) = request.path().strip_prefix(BASE) {
        let known = ROUTES.iter().filter(|route| ResourceDef::new(route.path).is_match(path));
        let methods: Vec<_> = known.map(|route| route.method.http().to_string()).collect();
        if methods.is_empty() {
            return Err(AdminError::NotFound("address"));
        }
        let mut response = AdminError::MethodNotAllowed.error_response();
        // RFC 9110, 15.5.6: whoever is told that it cannot be done so is told how it can.
        if let Ok(methods) = HeaderValue::from_str(&methods.join(", ")) {
            response.headers_mut().insert(ALLOW, methods);
        }
        return Ok(response);
    }
    let is_read = request.method() == actix_web::http::Method::GET;
    let asset = office.assets.answer(request.path(), request.headers(), door).filter(|_| is_read);
    asset.ok_or(AdminError::NotFound("page"))
}

async fn answer(
    route: &'static Route,
    office: Arc<Office>,
    door: Door,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, AdminError> {
    let headers = request.headers();
    check_host(door, headers)?;
    match route.method {
        // No page can make a browser send this header with a WebSocket.
        Method::Socket if headers.contains_key(AUTHORIZATION) => check_origin(door, headers, Provenance::IfSaid)?,
        Method::Socket => check_origin(door, headers, Provenance::MustBeSaid)?,
        method if method.changes() => check_origin(door, headers, Provenance::IfSaid)?,
        _ => {}
    }
    let Caller { scope, login, key, address } = match door {
        Door::Socket => caller_behind_socket(&office, headers).await?,
        Door::Loopback | Door::Plain | Door::Encrypted => caller(&office, door, &request).await?,
    };
    if scope == Scope::Stranger && route.access != Access::Anyone {
        return Err(AdminError::NotLoggedIn);
    }
    if !scope.may_use(route.access) {
        return Err(AdminError::Forbidden);
    }
    // Whoever has only just to say who it is has no token yet.
    if let Some(login) = login.as_ref().filter(|_| route.method.changes() && route.access != Access::Anyone) {
        let token = text(headers, "x-csrf-token").ok_or(AdminError::Csrf)?;
        if !tokens_match(token, &login.csrf) {
            return Err(AdminError::Csrf);
        }
    }
    if let Some(KeyLogin { key, .. }) = &key
        && route.access != Access::Anyone
        && !allows(key.scopes, route.needs)
    {
        return Err(AdminError::KeyScope);
    }
    let body = match route.method {
        Method::Socket => Body::Stream(payload),
        Method::Get | Method::Post | Method::Put | Method::Patch | Method::Delete => Body::Whole(whole(payload).await?),
    };
    let sight = office.sight_of(&scope).await?;
    let call = Call { office, scope, sight, door, login, key, address, request, body, routes: ROUTES };
    if route.needs == Needs::Confirmed {
        call.demand_confirmed()?;
    }
    if route.place == Place::Broker {
        let office = Arc::clone(&call.office);
        if let Live::There(socket) = &office.live {
            return pass_on(call, route, socket).await;
        }
    }
    (route.handler.0)(call).await
}

/// Whether a key is for what a route needs.
fn allows(scopes: ApiScopes, needs: Needs) -> bool {
    match needs {
        Needs::Read => scopes.read,
        Needs::Publish => scopes.publish,
        Needs::Manage | Needs::Confirmed => scopes.manage,
        Needs::Login => false,
    }
}

async fn whole(payload: web::Payload) -> Result<bytes::Bytes, AdminError> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, payload.to_bytes_limited(MAX_BODY)).await;
    let bytes = bytes.map_err(|_| AdminError::TooSlow)?.map_err(|_| AdminError::TooLarge(MAX_BODY))?;
    bytes.map_err(|problem| AdminError::invalid("body", problem))
}

/// Who sends a request.
struct Caller {
    scope: Scope,
    login: Option<Login>,
    key: Option<KeyLogin>,
    address: Address,
}

/// Whoever has the key, or the session of the cookie, if its user is still who it was when it logged in.
async fn caller(office: &Office, door: Door, request: &HttpRequest) -> Result<Caller, AdminError> {
    let address = request.peer_addr().map_or(Address::Local, Address::Network);
    let stranger = Caller { scope: Scope::Stranger, login: None, key: None, address };
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        return with_key(office, header, address).await;
    }
    let Some(cookie) = request.cookie(door.cookie()) else { return Ok(stranger) };
    let is_background = request.headers().contains_key("x-background");
    let how = if is_background { Use::Background } else { Use::Active };
    let secret = cookie.value().to_owned();
    // What was changed since ends sessions, before one is looked for.
    office.directory().await?;
    let Some((session, csrf)) = office.sessions.find(office.clock.now(), &secret, how) else { return Ok(stranger) };
    let scope = Scope::User(session.person.clone());
    if office.scope_of(&session.person.name).await?.as_ref() != Some(&scope) {
        office.sessions.close(&secret);
        return Ok(stranger);
    }
    Ok(Caller { scope, login: Some(Login { secret, session, csrf }), key: None, address })
}

/// Whoever has a key: its owner, as it is now, and never more.
async fn with_key(office: &Office, header: &HeaderValue, address: Address) -> Result<Caller, AdminError> {
    let secret = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    let secret = SecretString::from(secret.map(str::trim).filter(|text| text.starts_with(PREFIX)).unwrap_or_default());
    if let Some(key) = office.key_of(&secret).await?
        && let Some(scope) = office.scope_of(&key.owner).await?
    {
        return Ok(Caller { scope, login: None, key: Some(KeyLogin { secret, key }), address });
    }
    Err(office.guesses.wrong_key(office.clock.now(), address))
}

/// The operator, or the user in whose name the process of the pages asks. Only those come this way who may read the data
/// folder, and with it could do anything anyway.
async fn caller_behind_socket(office: &Office, headers: &HeaderMap) -> Result<Caller, AdminError> {
    let address = text(headers, FROM).and_then(|text| text.parse().ok()).map_or(Address::Local, Address::Network);
    let Some(name) = headers.get(IN_NAME_OF) else {
        return Ok(Caller { scope: Scope::Operator, login: None, key: None, address });
    };
    let name = BASE64URL_NOPAD.decode(name.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name = name.and_then(|name| UserName::new(&name).ok()).ok_or(AdminError::NotLoggedIn)?;
    let scope = office.scope_of(&name).await?.ok_or(AdminError::NotLoggedIn)?;
    Ok(Caller { scope, login: None, key: None, address })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
