//! How the broker is doing, in numbers, and what somebody should look at.

use super::call::{Call, json};
use super::problem::AdminError;
use super::scope::Sight;
use crate::auth::CertificateSummary;
use crate::server::Step;
use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};
use std::time::SystemTime;

/// What the broker is doing now.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let report = call.broker()?.report().await?;
    let shards = &report.shards;
    let dropped: Map<String, Value> =
        shards.counters.dropped.iter().map(|(reason, count)| (reason.words().to_owned(), (*count).into())).collect();
    let drops: Vec<Value> = shards
        .counters
        .dropped
        .iter()
        .map(|(reason, count)| object!({ "reason": reason.number(), "count": count }))
        .collect();
    let path = call.office.database.path().to_owned();
    let tls = call.office.tls.clone();
    let on_disk = actix_web::web::block(move || {
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |data| data.len());
        let mut wal = path.clone().into_os_string();
        wal.push("-wal");
        (size(&path) + size(std::path::Path::new(&wal)), attention(&tls))
    });
    let (store_bytes, attention) = on_disk.await.map_err(|_| AdminError::Broken)?;
    let rounded = |number: f64| (number * 10.0).round() / 10.0;
    json(&object!({
        "connections": shards.connections,
        "sessions": shards.sessions,
        "subscriptions": shards.subscriptions,
        "retained": shards.retained,
        "retained_bytes": shards.retained_bytes,
        "queued": shards.queued,
        "received": shards.counters.received,
        "sent": shards.counters.sent,
        "received_per_s": rounded(report.now.received),
        "sent_per_s": rounded(report.now.sent),
        "bytes_in_per_s": rounded(report.now.bytes_in),
        "bytes_out_per_s": rounded(report.now.bytes_out),
        "dropped": dropped,
        "drops": drops,
        "commit_ms_p50": report.commit_ms[0],
        "commit_ms_p99": report.commit_ms[1],
        "store_bytes": store_bytes,
        "rss_bytes": resident_bytes(),
        "uptime_s": report.uptime.as_secs(),
        "workers": report.workers,
        // It names users.
        "attention": if call.sight == Sight::Everybody { attention } else { Vec::new() },
    }))
}

/// Certificates that end soon, or have.
fn attention(tls: &crate::auth::TlsFolder) -> Vec<Value> {
    let Ok(certificates) = CertificateSummary::list(tls, SystemTime::now()) else { return Vec::new() };
    let ending = certificates.into_iter().filter(|certificate| certificate.days_left < SOON_DAYS);
    ending
        .map(|certificate| {
            let level = if certificate.days_left < VERY_SOON_DAYS { "error" } else { "warning" };
            let days_left = certificate.days_left.max(0);
            let text = format!("the certificate {} has {days_left} days left", certificate.name);
            object!({
                "level": level, "code": "certificate-ends", "name": certificate.name, "days_left": days_left, "text": text,
            })
        })
        .collect()
}

const SOON_DAYS: i64 = 30;
const VERY_SOON_DAYS: i64 = 7;

/// The memory that this process has, where the system says so.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    resident.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

#[derive(Deserialize)]
struct Range {
    range: Option<String>,
}

/// The course of the last while.
pub async fn history(call: Call) -> Result<HttpResponse, AdminError> {
    let Range { range } = call.query()?;
    let seconds = match range.as_deref() {
        None | Some("" | "15m") => 900,
        Some("1h") => 3600,
        Some("24h") => 24 * 3600,
        Some(_) => return Err(AdminError::invalid("range", "15m, 1h or 24h")),
    };
    let chart = call.broker()?.chart(seconds);
    let length = u64::try_from(chart.steps.len()).unwrap_or(u64::MAX).saturating_mul(u64::from(chart.step_secs) * 1000);
    let now = call.office.clock.wall_of(call.office.clock.now());
    let series = |of: fn(&Step) -> f64| chart.steps.iter().map(of).collect::<Vec<_>>();
    json(&object!({
        "step_s": chart.step_secs,
        "from": now.saturating_sub(length),
        "series": {
            "received": series(|step| step.received),
            "sent": series(|step| step.sent),
            "dropped": series(|step| step.dropped),
            "bytes_in": series(|step| step.bytes_in),
            "bytes_out": series(|step| step.bytes_out),
            "connections": chart.steps.iter().map(|step| step.connections).collect::<Vec<_>>(),
        },
    }))
}
