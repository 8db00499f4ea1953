//! The description of the API for programs, made from the table of routes, so that neither has what the other has not.

use super::call::{BASE, Call, Needs, Route, json};
use super::problem::AdminError;
use super::schema;
use super::scope::Access;
use actix_web::HttpResponse;
use serde_json::{Map, Value, json as object};

/// The whole description.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    json(&describe(call.routes))
}

/// Describes these routes.
pub fn describe(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| Value::Object(Map::new()));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.http().as_str().to_ascii_lowercase(), operation(route));
        }
    }
    object!({
        "openapi": "3.1.0",
        "info": {
            "title": "securemq administration",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every refusal is a Problem with a stable code. The order of rules means nothing: a user's own come before those of its role, and a denial before any number of permissions.",
        },
        "servers": [{ "url": BASE }],
        "paths": paths,
        "components": {
            "schemas": schema::named(),
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-sid" },
                "key": { "type": "http", "scheme": "bearer" },
                "csrf": { "type": "apiKey", "in": "header", "name": "X-CSRF-Token" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let text = object!({ "type": "string" });
    let in_path = in_path.map(|name| object!({ "name": name, "in": "path", "required": true, "schema": text }));
    let in_query =
        route.query.iter().map(|name| object!({ "name": name, "in": "query", "required": false, "schema": text }));
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let problem = |text: &str| {
        let schema = object!({ "$ref": "#/components/schemas/Problem" });
        object!({ "description": text, "content": { "application/problem+json": { "schema": schema } } })
    };
    let mut responses = Map::new();
    let (status, success) = success(route.gives);
    responses.insert(status.into(), success);
    // It is stored, but the running broker does not go by it yet.
    if route.method.changes() && status != "202" {
        responses.insert("202".into(), problem("stored, and not in force yet"));
    }
    responses.insert("4XX".into(), problem("refused"));
    responses.insert("5XX".into(), problem("the broker is not running, is busy, or its disk is full"));
    let mut operation = object!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": responses,
        "x-access": route.access.name(),
    });
    if let Some(operation) = operation.as_object_mut() {
        if !route.body.is_empty() {
            let schema = schema::object(route.body, false);
            let body = object!({ "required": true, "content": { "application/json": { "schema": schema } } });
            operation.insert("requestBody".into(), body);
        }
        let security = match (route.access, route.method.changes()) {
            (Access::Anyone, _) => object!([]),
            (_, true) if route.needs == Needs::Login => object!([{ "session": [], "csrf": [] }]),
            (_, false) if route.needs == Needs::Login => object!([{ "session": [] }]),
            (_, true) => object!([{ "session": [], "csrf": [] }, { "key": [] }]),
            (_, false) => object!([{ "session": [] }, { "key": [] }]),
        };
        operation.insert("security".into(), security);
    }
    operation
}

/// The status and what comes with it when all is well.
fn success(gives: &'static str) -> (&'static str, Value) {
    let (status, shape) = gives.split_once(' ').unwrap_or(("200", gives));
    match shape {
        "204" => ("204", object!({ "description": "done" })),
        "101" => ("101", object!({ "description": "a WebSocket begins" })),
        "text" => {
            let text = object!({ "schema": { "type": "string" } });
            let content = object!({ "text/csv; charset=utf-8": text, "application/x-ndjson": text });
            (status, object!({ "description": "done", "content": content }))
        }
        shape => {
            let content = object!({ "application/json": { "schema": schema::of(shape) } });
            (status, object!({ "description": "done", "content": content }))
        }
    }
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split('/').map(|part| part.trim_matches(['{', '}']).replace('.', "_"));
    let words = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    format!("{}_{words}", route.method.http().as_str().to_ascii_lowercase())
}
