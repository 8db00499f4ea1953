//! One request on its way to the function that answers it, and the shape of a route.

use super::guard::Door;
use super::office::{Live, Office};
use super::problem::AdminError;
use super::scope::{Access, Scope, Sight};
use super::sessions::{Use, WebSession};
use crate::broker::{Address, Who};
use crate::protocol::Text;
use crate::server::Handle;
use crate::store::ApiKey;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// One address of the API with one method: who may use it, where it is answered, and by what.
pub struct Route {
    /// What is done.
    pub method: Method,
    /// Where, below [`BASE`].
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Where it is answered.
    pub place: Place,
    /// What the way in has to allow.
    pub needs: Needs,
    /// What answers.
    pub handler: Handler,
    /// What it does, for people.
    pub summary: &'static str,
    /// The parameters behind the question mark.
    pub query: &'static [&'static str],
    /// The fields of the JSON body, each with its shape as `schema.rs` reads it.
    pub body: &'static [&'static str],
    /// What comes back: a shape, with the status in front unless it is 200; `204` is nothing, `text` no JSON.
    pub gives: &'static str,
}

/// What every address of the API begins with.
pub const BASE: &str = "/api/v1";

/// The methods that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Looks.
    Get,
    /// Does.
    Post,
    /// Puts in place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
    /// Looks on over a WebSocket, which begins as GET.
    Socket,
}

impl Method {
    /// As HTTP has it.
    pub fn http(self) -> actix_web::http::Method {
        match self {
            Self::Get | Self::Socket => actix_web::http::Method::GET,
            Self::Post => actix_web::http::Method::POST,
            Self::Put => actix_web::http::Method::PUT,
            Self::Patch => actix_web::http::Method::PATCH,
            Self::Delete => actix_web::http::Method::DELETE,
        }
    }

    /// Whether it changes anything.
    pub fn changes(self) -> bool {
        match self {
            Self::Get | Self::Socket => false,
            Self::Post | Self::Put | Self::Patch | Self::Delete => true,
        }
    }
}

/// Where a route is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By whichever process the browser talks to: it is about its login.
    Pages,
    /// From the store, by any process that can open it.
    Store,
    /// By the process of the broker; others pass it on to its socket.
    Broker,
}

/// What the way in has to allow, beside the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Looking: a key has to be for reading.
    Read,
    /// Publishing messages: a key has to be for that.
    Publish,
    /// Changing something: a key has to be for managing.
    Manage,
    /// The same, and at the pages the password has to have been given lately.
    Confirmed,
    /// A login at the pages: no key does.
    Login,
}

/// What answers.
pub struct Handler(pub fn(Call) -> LocalBoxFuture<'static, Result<HttpResponse, AdminError>>);

/// One request that may be answered: it has passed every check but those of its own contents.
pub struct Call {
    /// What all requests share.
    pub office: Arc<Office>,
    /// Who asks.
    pub scope: Scope,
    /// Whose rows they find.
    pub sight: Sight,
    /// How it came in.
    pub door: Door,
    /// The session it belongs to.
    pub login: Option<Login>,
    /// The key it was made with.
    pub key: Option<KeyLogin>,
    /// Where it comes from.
    pub address: Address,
    /// As it was sent.
    pub request: HttpRequest,
    /// What came with it; for a WebSocket it is still to come.
    pub body: Body,
    /// All routes, for the one that describes them.
    pub routes: &'static [Route],
}

/// The session of a request.
pub struct Login {
    /// Its identifier.
    pub secret: String,
    /// As its owner sees it.
    pub session: WebSession,
    /// What every change has to carry.
    pub csrf: String,
}

/// The key of a request.
pub struct KeyLogin {
    /// What opens.
    pub secret: SecretString,
    /// What it is for.
    pub key: ApiKey,
}

/// What came with a request.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// A WebSocket begins.
    Stream(web::Payload),
}

impl Call {
    /// The parameters behind the question mark.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        web::Query::<T>::from_query(self.request.query_string())
            .map(web::Query::into_inner)
            .map_err(|problem| AdminError::invalid("query", problem))
    }

    /// The JSON body. serde_json goes no deeper than 128 levels, and what is too long does not come this far.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        let is_json = self.request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            kind.to_str().is_ok_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json")
        });
        if !is_json {
            return Err(AdminError::NotJson);
        }
        match &self.body {
            // A list would be taken for the fields in their order.
            Body::Whole(bytes) if bytes.trim_ascii_start().first() != Some(&b'{') => {
                Err(AdminError::invalid("body", "an object is expected"))
            }
            Body::Whole(bytes) => serde_json::from_slice(bytes).map_err(|problem| AdminError::invalid("body", problem)),
            Body::Stream(_) => Err(AdminError::NotJson),
        }
    }

    /// A part of the path.
    pub fn path(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// The running broker.
    pub fn broker(&self) -> Result<&Handle, AdminError> {
        match &self.office.live {
            Live::Here(handle) => Ok(handle),
            Live::There(_) => Err(AdminError::BrokerStopped),
        }
    }

    /// Who did it, for the log.
    pub fn who(&self) -> Who {
        let name = match self.scope.user() {
            Some(name) => name.as_str().to_owned(),
            // No user of the broker has a slash in its name.
            None => format!("uid/{}", rustix::process::getuid().as_raw()),
        };
        Who { user: Text::try_from(name.as_str()).ok(), client_id: None, address: Some(self.address) }
    }

    /// Whether what let it in still does: not logged out, not too long ago, and its user who it was.
    pub async fn still_holds(&self) -> bool {
        let is_same = match self.scope.user() {
            None => true,
            Some(name) => self.office.scope_of(name).await.is_ok_and(|scope| scope.as_ref() == Some(&self.scope)),
        };
        // Whoever no longer teaches a class must not go on watching it.
        let is_same = is_same && self.office.sight_of(&self.scope).await.is_ok_and(|sight| sight == self.sight);
        let is_open = match (&self.login, &self.key) {
            (None, None) => self.door == Door::Socket,
            (_, Some(KeyLogin { secret, .. })) => self.office.key_of(secret).await.is_ok_and(|key| key.is_some()),
            (Some(login), None) => {
                self.office.sessions.find(self.office.clock.now(), &login.secret, Use::Background).is_some()
            }
        };
        is_same && is_open
    }

    /// Refuses what cannot be undone, unless the password was given lately. Programs with a key were made for it.
    pub fn demand_confirmed(&self) -> Result<(), AdminError> {
        let now = self.office.clock.now();
        let is_late = self.login.as_ref().is_some_and(|login| now >= login.session.confirmed_until());
        if is_late { Err(AdminError::ConfirmRequired) } else { Ok(()) }
    }

    /// Puts into the log what was done, and waits until it holds.
    pub async fn record(&self, action: &str, target: String) -> Result<(), AdminError> {
        super::changes::record_change(&self.office.database, self.who(), action, target).await
    }
}

/// An answer in JSON.
pub fn json(value: &impl Serialize) -> Result<HttpResponse, AdminError> {
    let text = serde_json::to_string(value).map_err(|_| AdminError::Broken)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "application/json")).insert_header((CACHE_CONTROL, "no-store"));
    Ok(response.body(text))
}

/// The answer to what was done and has nothing to show.
pub fn done() -> Result<HttpResponse, AdminError> {
    Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish())
}

/// Some of many, and where to go on.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// Some.
    pub items: Vec<T>,
    /// What to ask with for the next; nothing if there are none.
    pub next: Option<String>,
}

/// How many items a page has.
pub fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(50).clamp(1, 500)
}
