//! The shapes of what comes and goes, in a notation that is read at a glance, and as JSON Schema.
//!
//! `string`, `integer`, `number`, `boolean`, `null` and `any` are what they say, `a|b` is one of these texts, `[X]` a list,
//! `{X}` an object of any names, `X?` also null, `Page<X>` some of many, and everything else the name of a shape. A field
//! is `name: X`, or `name?: X` if it may be missing.

use serde_json::{Map, Value, json};

/// All shapes with names.
pub fn named() -> Map<String, Value> {
    SHAPES.iter().map(|(name, fields)| ((*name).to_owned(), object(fields, is_open(name)))).collect()
}

/// Whether an object has more fields than are listed: what an event adds depends on its kind.
fn is_open(name: &str) -> bool {
    name == "Event" || name == "Problem"
}

/// An object of these fields.
pub fn object(fields: &[&str], is_open: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let Some((name, shape)) = field.split_once(": ") else { continue };
        let plain = name.trim_end_matches('?');
        if plain == name {
            required.push(name);
        }
        properties.insert(plain.to_owned(), of(shape));
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": is_open })
}

/// One shape.
pub fn of(shape: &str) -> Value {
    let inner = |open: &str, close: &str| shape.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(shape) = shape.strip_suffix('?') {
        return json!({ "anyOf": [of(shape), { "type": "null" }] });
    }
    if let Some(item) = inner("[", "]") {
        return json!({ "type": "array", "items": of(item) });
    }
    if let Some(value) = inner("{", "}") {
        return json!({ "type": "object", "additionalProperties": of(value) });
    }
    if let Some(item) = inner("Page<", ">") {
        let items = json!({ "type": "array", "items": of(item) });
        let next = of("string?");
        return json!({ "type": "object", "properties": { "items": items, "next": next }, "required": ["items", "next"], "additionalProperties": false });
    }
    match shape {
        "any" => json!({}),
        "string" | "integer" | "number" | "boolean" | "null" => json!({ "type": shape }),
        _ if shape.contains('|') => json!({ "type": "string", "enum": shape.split('|').collect::<Vec<_>>() }),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

const CLASS: &[&str] =
    &["name: string", "paused: boolean", "teachers: [string]", "students: [string]?", "topics: Topics"];

const CLASS_DETAIL: &[&str] = &[
    "name: string",
    "paused: boolean",
    "teachers: [string]",
    "students: [string]?",
    "topics: Topics",
    "members: [Member]",
];

macro_rules! client {
    ($($more:literal),*) => {
        &[
            "id: string", "client_id: string", "user: string?", "role: string?", "address: string", "connected: boolean",
            "version: string?", "transport: tcp|tls|websocket|secure-websocket|pages|secure-pages?", "encrypted: boolean?", "since: integer?", "gone_since: integer?", "keep_alive: integer?",
            "expiry_s: integer", "subscriptions: integer", "inflight: integer", "queued: integer",
            "queued_bytes: integer", "sent: integer?", "received: integer?" $(, $more)*
        ]
    };
}

macro_rules! retained {
    ($($more:literal),*) => {
        &[
            "id: string", "topic: string", "size: integer", "qos: integer", "publisher: Publisher?",
            "expires: integer?" $(, $more)*
        ]
    };
}

const RULE: &[&str] = &[
    "id: integer",
    "subject: Subject",
    "topic: string",
    "publish: boolean",
    "subscribe: boolean",
    "effect: allow|deny",
];

const SHAPES: &[(&str, &[&str])] = &[
    ("Problem", &["type: string", "title: string?", "status: integer", "code: string", "detail?: string?"]),
    (
        "Session",
        &[
            "id: string",
            "user: string",
            "role: string",
            "csrf: string",
            "since: integer",
            "idle_until: integer",
            "absolute_until: integer",
            "confirmed_until: integer",
            "encrypted: boolean",
            "version: string",
            "broker: running|stopped",
        ],
    ),
    (
        "OwnSession",
        &[
            "id: string",
            "since: integer",
            "last_used: integer",
            "address: string",
            "browser: string",
            "current: boolean",
        ],
    ),
    ("SecondFactor", &["enabled: boolean", "recovery_left: integer"]),
    ("NewSecret", &["secret: string", "uri: string"]),
    ("RecoveryCodes", &["recovery: [string]"]),
    (
        "Key",
        &[
            "id: integer",
            "user: string",
            "name: string",
            "scopes: [read|publish|manage]",
            "created: integer",
            "expires: integer",
            "expired: boolean",
        ],
    ),
    ("NewKey", &["key: string", "info: Key"]),
    (
        "Overview",
        &[
            "connections: integer",
            "sessions: integer",
            "subscriptions: integer",
            "retained: integer",
            "retained_bytes: integer",
            "queued: integer",
            "received: integer",
            "sent: integer",
            "received_per_s: number",
            "sent_per_s: number",
            "bytes_in_per_s: number",
            "bytes_out_per_s: number",
            "dropped: {integer}",
            "drops: [Drops]",
            "commit_ms_p50: number?",
            "commit_ms_p99: number?",
            "store_bytes: integer",
            "rss_bytes: integer?",
            "uptime_s: integer",
            "workers: integer",
            "attention: [Attention]",
        ],
    ),
    ("Drops", &["reason: integer", "count: integer"]),
    ("Attention", &["level: warning|error", "code: string", "name: string", "days_left: integer", "text: string"]),
    ("History", &["step_s: integer", "from: integer", "series: {[number]}"]),
    ("Client", client!()),
    ("ClientDetail", client!("subscription_list: [Subscription]", "will: Will?", "events: [Event]")),
    ("Subscription", &["filter: string", "share: string?", "qos: integer", "options: {boolean}"]),
    ("Will", &["topic: string", "qos: integer", "retain: boolean", "delay_s: integer"]),
    (
        "Event",
        &[
            "time: string",
            "action: string",
            "event: integer",
            "ok: boolean",
            "user: string?",
            "client: string?",
            "address: string?",
            "text: string",
        ],
    ),
    ("Histogram", &["from: integer", "step_ms: integer", "buckets: [Bucket]", "complete: boolean"]),
    ("Bucket", &["ok: integer", "failed: integer"]),
    ("Keys", &["items: [Key]", "next: string?", "damaged: [integer]"]),
    ("Publisher", &["user: string?", "client_id: string"]),
    ("Retained", retained!()),
    ("RetainedValue", retained!("payload: string", "text: string?")),
    ("Cleared", &["count: integer", "more: boolean", "cleared: integer"]),
    ("Published", &["matched: integer", "reason: null"]),
    (
        "User",
        &[
            "name: string",
            "role: string",
            "enabled: boolean",
            "has_password: boolean",
            "certificate: string?",
            "created: integer",
            "changed: integer",
        ],
    ),
    ("NewUser", &["user: User", "password: string?"]),
    ("NewPassword", &["name: string", "password: string?"]),
    ("Imported", &["rows: [ImportedRow]", "written: integer", "right: boolean"]),
    (
        "ImportedRow",
        &["line: integer", "name: string", "role: string", "error: string?", "code: string?", "password?: string"],
    ),
    ("Role", &["name: string", "built_in: boolean"]),
    ("Me", &["user: string", "role: string?", "paused: boolean", "classes: [Class]", "sees_everybody: boolean"]),
    ("Look", &["accent: string?", "logo: string?"]),
    ("Connect", &["urls: [string]", "authority: Authority?"]),
    ("Authority", &["fingerprint: string", "certificate: string"]),
    ("Class", CLASS),
    ("ClassDetail", CLASS_DETAIL),
    ("Topics", &["all: string", "own: string?", "shared: string", "announce: string"]),
    ("Member", &["name: string", "seat: teacher|student", "role: string", "enabled: boolean"]),
    ("Subject", &["user?: string", "role?: string"]),
    ("Rule", RULE),
    (
        "NewRule",
        &["subject: Subject", "topic: string", "publish?: boolean", "subscribe?: boolean", "effect: allow|deny"],
    ),
    (
        "Checked",
        &[
            "verdict: allowed|denied",
            "partly_denied: boolean",
            "reason: string?",
            "reason_number: integer?",
            "rule: integer?",
            "considered: [Considered]",
        ],
    ),
    (
        "Considered",
        &["rule: Rule", "matches: boolean", "why: matches|other-action|other-topic|no-name", "decides: boolean"],
    ),
    ("Preview", &["cut_off: [Loss]", "more: boolean"]),
    ("Loss", &["client_id: string", "user: string?", "filter: string"]),
    (
        "Certificate",
        &[
            "purpose: authority|server|client",
            "name: string",
            "alternatives: [string]",
            "days_left: integer",
            "expires: integer",
            "fingerprint: string",
        ],
    ),
    (
        "NewCertificate",
        &["user: string", "certificate: string", "key: string?", "fingerprint: string", "days_left: integer"],
    ),
    ("Setting", &["key: string", "value: any", "source: string"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::routes::ROUTES;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_shape_that_is_named_is_there_and_used() {
        let shapes = named();
        let mut found = Vec::new();
        references(&Value::Object(shapes.clone()), &mut found);
        for route in ROUTES {
            references(&object(route.body, false), &mut found);
            let gives = route.gives.split_once(' ').map_or(route.gives, |(_, shape)| shape);
            if !matches!(gives, "204" | "101" | "text") {
                references(&of(gives), &mut found);
            }
            assert!(route.body.iter().all(|field| field.contains(": ")), "{}", route.path);
        }
        found.push("#/components/schemas/Problem".to_owned());
        for name in &found {
            assert!(shapes.contains_key(name.trim_start_matches("#/components/schemas/")), "{name}");
        }
        for name in shapes.keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is of no use");
        }
    }

    #[test]
    fn the_notation_is_read_as_it_says() {
        assert_eq!(of("[a|b]"), json!({ "type": "array", "items": { "type": "string", "enum": ["a", "b"] } }));
        assert_eq!(of("User?"), json!({ "anyOf": [{ "$ref": "#/components/schemas/User" }, { "type": "null" }] }));
        let field = object(&["a: integer", "b?: {[number]}"], false);
        assert_eq!(field["required"], json!(["a"]));
        assert_eq!(field["properties"]["b"]["additionalProperties"]["items"]["type"], "number");
    }
}
