//! How a device gets to the broker: the addresses that are listened on, and the authority whose certificates it trusts.

use super::call::{Call, json};
use super::problem::AdminError;
use crate::auth::{CertificateSummary, Purpose, TlsFolder};
use actix_web::HttpResponse;
use serde_json::{Value, json as object};
use std::time::SystemTime;

/// What a device needs besides its name and password. Nothing of it is a secret: whoever connects is told it anyway.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let listeners = call.office.settings.iter().filter(|setting| is_listener_url(&setting.key));
    let urls: Vec<&str> = listeners.filter_map(|setting| setting.value.as_str()).collect();
    let tls = call.office.tls.clone();
    let authority = actix_web::web::block(move || authority(&tls)).await.map_err(|_| AdminError::Broken)?;
    json(&object!({ "urls": urls, "authority": authority }))
}

/// `listeners[0].url`.
fn is_listener_url(key: &str) -> bool {
    key.strip_prefix("listeners[").and_then(|rest| rest.split_once(']')).is_some_and(|(_, rest)| rest == ".url")
}

/// The certificate of our own authority and its fingerprint; nothing where certificates come from elsewhere.
fn authority(tls: &TlsFolder) -> Option<Value> {
    let certificates = CertificateSummary::list(tls, SystemTime::now()).ok()?;
    let ours = certificates.into_iter().find(|certificate| certificate.purpose == Purpose::Authority)?;
    let pem = std::fs::read_to_string(tls.ca_certificate()).ok()?;
    Some(object!({ "fingerprint": ours.fingerprint.to_string(), "certificate": pem }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_are_told() {
        assert!(is_listener_url("listeners[0].url") && is_listener_url("listeners[12].url"));
        for other in ["listeners[0].authentication", "listeners", "web.url", "listeners[0].certificate.url"] {
            assert!(!is_listener_url(other), "{other}");
        }
    }
}
