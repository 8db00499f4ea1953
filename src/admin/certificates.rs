//! Certificates: how long each is valid, and new ones for users.

use super::call::{Call, Page, json};
use super::problem::AdminError;
use crate::auth::{Authority, CertificateSummary, Made, Purpose};
use crate::broker::UserName;
use crate::store::PrivateFile;
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::time::SystemTime;

/// All certificates, with the days they have left.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let tls = call.office.tls.clone();
    let listed = actix_web::web::block(move || CertificateSummary::list(&tls, SystemTime::now()));
    let certificates = listed.await.map_err(|_| AdminError::Broken)??;
    json(&Page { items: certificates.iter().map(shown).collect(), next: None })
}

fn shown(summary: &CertificateSummary) -> Value {
    let purpose = match summary.purpose {
        Purpose::Authority => "authority",
        Purpose::Server => "server",
        Purpose::Client => "client",
    };
    object!({
        "purpose": purpose,
        "name": summary.name,
        "alternatives": summary.alternatives,
        "days_left": summary.days_left,
        "expires": u64::try_from(summary.not_after).unwrap_or_default().saturating_mul(1000),
        "fingerprint": summary.fingerprint.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user: String,
    #[serde(default = "a_year")]
    days: u32,
}

fn a_year() -> u32 {
    365
}

/// The longest key file, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Issues a certificate for a user. Its key is in the answer if it was made for it, and never again.
pub async fn issue(call: Call) -> Result<HttpResponse, AdminError> {
    let Wanted { user, days } = call.json()?;
    let user = UserName::new(&user).map_err(|problem| AdminError::invalid("user", problem))?;
    let directory = call.office.directory().await?;
    if !directory.users.iter().any(|known| known.name == user) {
        return Err(AdminError::NotFound("user"));
    }
    let (tls, name) = (call.office.tls.clone(), user.clone());
    let issued = actix_web::web::block(move || {
        let issued = Authority::open(&tls)?.issue_client(&name, days, &tls.clients(), SystemTime::now())?;
        let certificate = std::fs::read_to_string(&issued.certificate).map_err(|_| AdminError::Broken)?;
        let key = match issued.key_made {
            Made::Found => None,
            Made::Created | Made::Renewed => {
                let bytes = PrivateFile::read(&issued.key, LONGEST)?;
                Some(String::from_utf8(bytes.to_vec()).map_err(|_| AdminError::Broken)?)
            }
        };
        Ok::<_, AdminError>((issued, certificate, key))
    });
    let (issued, certificate, key) = issued.await.map_err(|_| AdminError::Broken)??;
    call.record("cert issue", format!("user {user}, SHA-256 {}", issued.fingerprint)).await?;
    let answer = object!({
        "user": user.as_str(),
        "certificate": certificate,
        "key": key,
        "fingerprint": issued.fingerprint.to_string(),
        "days_left": issued.days_left,
    });
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}
