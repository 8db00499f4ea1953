//! The configuration as it holds. No option is a secret: keys and passwords are never in it, only files that hold them.

use super::call::{Call, Page, json};
use super::problem::AdminError;
use actix_web::HttpResponse;
use serde_json::json as object;

/// Every option, its value, and who said so.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let settings = call.office.settings.iter();
    let items = settings
        .map(|setting| object!({ "key": setting.key, "value": setting.value, "source": setting.source.to_string() }));
    json(&Page { items: items.collect(), next: None })
}

/// How the pages look here, also for those who have yet to log in.
pub async fn look(call: Call) -> Result<HttpResponse, AdminError> {
    json(&call.office.look)
}
