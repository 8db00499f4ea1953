//! What goes wrong in the administration, and the one mapping from that to HTTP: problem details that the pages translate.

use crate::auth::AuthError;
use crate::broker::{InvalidName, Reason, RuleId};
use crate::server::Unanswered;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody is logged in, or no longer.
    #[error("log in first")]
    NotLoggedIn,
    /// One text for an unknown user, a disabled one, and a wrong password.
    #[error("the user name or the password is wrong")]
    LoginFailed,
    /// The password is right, and a code is missing.
    #[error("a code of the second factor is needed")]
    TotpRequired,
    /// The code is wrong, or was used before.
    #[error("the code is wrong or was used before")]
    TotpWrong,
    /// There is one already.
    #[error("there is a second factor already; remove it first")]
    TotpOn,
    /// It cannot be undone, and the password was given too long ago.
    #[error("enter your password again")]
    ConfirmRequired,
    /// The password of whoever is logged in is another.
    #[error("the password is wrong")]
    PasswordWrong,
    /// The key is not for this.
    #[error("this key is not for that")]
    KeyScope,
    /// Too many failed logins.
    #[error("too many failed logins, wait a while")]
    Throttled,
    /// Too many logins at once.
    #[error("too many logins at once, try again")]
    Busy,
    /// The role may not do this.
    #[error("your role may not do this")]
    Forbidden,
    /// The rules do not allow it.
    #[error("{reason}")]
    NotAllowed {
        /// Why.
        reason: Reason,
        /// The rule that denied it.
        rule: Option<RuleId>,
    },
    /// The request was not made by our page.
    #[error("the request does not come from this page")]
    ForeignOrigin,
    /// The request lacks the token of the session.
    #[error("the token of the session is missing or wrong")]
    Csrf,
    /// The name in the address bar is not one of ours.
    #[error("this server is not known by that name")]
    UnknownHost,
    /// There is nothing of that name.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The address exists, but not with this method.
    #[error("this cannot be done here")]
    MethodNotAllowed,
    /// Something in the request makes no sense.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Longer than is taken.
    #[error("the request is longer than {0} bytes")]
    TooLarge(usize),
    /// The body does not come.
    #[error("the request takes too long")]
    TooSlow,
    /// The body is not declared to be JSON.
    #[error("the body must be application/json")]
    NotJson,
    /// Somebody else has changed it meanwhile.
    #[error("it was changed meanwhile")]
    Changed,
    /// The request does not say what it was made from.
    #[error("If-Match is missing")]
    IfMatchMissing,
    /// Nobody would be left to administer.
    #[error("no enabled user with the role Admin would be left")]
    LastAdmin,
    /// The change is stored, but the running broker was not seen to go by it in time.
    #[error("this is stored, but the running broker has not said within 10 seconds that it goes by it")]
    NotInForce,
    /// What is asked for is known to the running broker alone.
    #[error("the broker is not running")]
    BrokerStopped,
    /// It runs and does not answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// More of something than is allowed.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Certificates and passwords.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A thread of ours ended early, or the system gives no more of something.
    #[error("the server has found a fault in itself")]
    Broken,
}

impl AdminError {
    /// A part of the request makes no sense.
    pub fn invalid(field: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Invalid { field, problem: problem.to_string() }
    }

    /// A name is none.
    pub fn name(problem: InvalidName) -> Self {
        Self::invalid("name", problem)
    }

    /// What the page goes by, and the status for everybody else.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotLoggedIn => (StatusCode::UNAUTHORIZED, "not-logged-in"),
            Self::LoginFailed => (StatusCode::UNAUTHORIZED, "login-failed"),
            Self::TotpRequired => (StatusCode::UNAUTHORIZED, "totp-required"),
            Self::TotpWrong => (StatusCode::UNAUTHORIZED, "totp-wrong"),
            Self::TotpOn => (StatusCode::CONFLICT, "totp-on"),
            Self::ConfirmRequired => (StatusCode::FORBIDDEN, "confirm-required"),
            Self::PasswordWrong => (StatusCode::FORBIDDEN, "password-wrong"),
            Self::KeyScope => (StatusCode::FORBIDDEN, "key-scope"),
            Self::Throttled => (StatusCode::TOO_MANY_REQUESTS, "throttled"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotAllowed { .. } => (StatusCode::FORBIDDEN, "not-allowed"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign-origin"),
            Self::Csrf => (StatusCode::FORBIDDEN, "csrf"),
            Self::UnknownHost => (StatusCode::MISDIRECTED_REQUEST, "unknown-host"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json"),
            Self::Changed => (StatusCode::PRECONDITION_FAILED, "changed"),
            Self::IfMatchMissing => (StatusCode::PRECONDITION_REQUIRED, "if-match-missing"),
            Self::LastAdmin => (StatusCode::CONFLICT, "last-admin"),
            Self::NotInForce => (StatusCode::ACCEPTED, "not-in-force"),
            Self::BrokerStopped => (StatusCode::SERVICE_UNAVAILABLE, "broker-stopped"),
            Self::Unanswered(_) => (StatusCode::SERVICE_UNAVAILABLE, "no-answer"),
            Self::TooMany(_) => (StatusCode::CONFLICT, "too-many"),
            Self::Store(error) => match error {
                StoreError::UserUnknown(_)
                | StoreError::RoleUnknown { .. }
                | StoreError::RuleUnknown(_)
                | StoreError::ClassUnknown(_)
                | StoreError::NotInClass { .. }
                | StoreError::ApiKeyUnknown(_) => (StatusCode::NOT_FOUND, "not-found"),
                StoreError::UserExists(_) => (StatusCode::CONFLICT, "user-exists"),
                StoreError::ClassExists(_) => (StatusCode::CONFLICT, "class-exists"),
                StoreError::TooMany { .. } => (StatusCode::CONFLICT, "too-many"),
                StoreError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                StoreError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk-full"),
                _ => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
            },
            Self::Auth(error) => match error {
                AuthError::Days { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
                AuthError::NoAuthority { .. } | AuthError::AuthorityExpired { .. } => {
                    (StatusCode::CONFLICT, "no-authority")
                }
                _ => (StatusCode::INTERNAL_SERVER_ERROR, "certificates"),
            },
            Self::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "broken"),
        }
    }

    /// Whoever is told how the inside looks learns more than is needed.
    fn detail(&self, status: StatusCode) -> Value {
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            Value::Null
        } else {
            self.to_string().into()
        }
    }
}

impl ResponseError for AdminError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code) = self.kind();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "a request of the administration failed");
        }
        let mut problem = json!({
            "type": format!("urn:securemq:problem:{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.detail(status),
        });
        if let (Self::NotAllowed { rule, reason }, Some(object)) = (self, problem.as_object_mut()) {
            object.insert("rule".into(), rule.map(|rule| rule.0).into());
            object.insert("reason".into(), reason.number().into());
        }
        if let (Self::Invalid { field, .. }, Some(object)) = (self, problem.as_object_mut()) {
            object.insert("field".into(), (*field).into());
        }
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, "application/problem+json")).insert_header((CACHE_CONTROL, "no-store"));
        let wait = match self {
            Self::Throttled => Some("6"),
            Self::Busy | Self::Unanswered(_) => Some("1"),
            _ => None,
        };
        if let Some(wait) = wait {
            response.insert_header((RETRY_AFTER, HeaderValue::from_static(wait)));
        }
        response.body(problem.to_string())
    }
}
