//! From a request to the function that answers it: every check of who may, in one place, for every address.

use super::call::{BASE, Body, Call, Login, Method, Place, Route};
use super::forward::{FROM, IN_NAME_OF, pass_on};
use super::guard::{Door, Provenance, check_host, check_origin, harden};
use super::office::{Live, Office};
use super::problem::AdminError;
use super::routes::ROUTES;
use super::scope::{Access, Scope};
use super::sessions::{Use, tokens_match};
use crate::broker::{Address, UserName};
use actix_web::dev::ResourceDef;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, ResponseError, guard, web};
use data_encoding::BASE64URL_NOPAD;
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
        let is_known = ROUTES.iter().any(|route| ResourceDef::new(route.path).is_match(path));
        return Err(if is_known { AdminError::MethodNotAllowed } else { AdminError::NotFound("address") });
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
        Method::Socket => check_origin(door, headers, Provenance::MustBeSaid)?,
        method if method.changes() => check_origin(door, headers, Provenance::IfSaid)?,
        _ => {}
    }
    let Caller { scope, login, address } = match door {
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
    let body = match route.method {
        Method::Socket => Body::Stream(payload),
        Method::Get | Method::Post | Method::Put | Method::Patch | Method::Delete => Body::Whole(whole(payload).await?),
    };
    let sight = office.sight_of(&scope).await?;
    let call = Call { office, scope, sight, door, login, address, request, body, routes: ROUTES };
    if route.place == Place::Broker {
        let office = Arc::clone(&call.office);
        if let Live::There(socket) = &office.live {
            return pass_on(call, route, socket).await;
        }
    }
    (route.handler.0)(call).await
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
    address: Address,
}

/// Whoever has the session of the cookie, if its user is still who it was when it logged in.
async fn caller(office: &Office, door: Door, request: &HttpRequest) -> Result<Caller, AdminError> {
    let address = request.peer_addr().map_or(Address::Local, Address::Network);
    let stranger = Caller { scope: Scope::Stranger, login: None, address };
    let Some(cookie) = request.cookie(door.cookie()) else { return Ok(stranger) };
    let is_background = request.headers().contains_key("x-background");
    let how = if is_background { Use::Background } else { Use::Active };
    let secret = cookie.value().to_owned();
    let Some((session, csrf)) = office.sessions.find(office.clock.now(), &secret, how) else { return Ok(stranger) };
    let scope = Scope::User(session.person.clone());
    if office.scope_of(&session.person.name).await?.as_ref() != Some(&scope) {
        office.sessions.close(&secret);
        return Ok(stranger);
    }
    Ok(Caller { scope, login: Some(Login { secret, session, csrf }), address })
}

/// The operator, or the user in whose name the process of the pages asks. Only those come this way who may read the data
/// folder, and with it could do anything anyway.
async fn caller_behind_socket(office: &Office, headers: &HeaderMap) -> Result<Caller, AdminError> {
    let address = text(headers, FROM).and_then(|text| text.parse().ok()).map_or(Address::Local, Address::Network);
    let Some(name) = headers.get(IN_NAME_OF) else {
        return Ok(Caller { scope: Scope::Operator, login: None, address });
    };
    let name = BASE64URL_NOPAD.decode(name.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name = name.and_then(|name| UserName::new(&name).ok()).ok_or(AdminError::NotLoggedIn)?;
    let scope = office.scope_of(&name).await?.ok_or(AdminError::NotLoggedIn)?;
    Ok(Caller { scope, login: None, address })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
