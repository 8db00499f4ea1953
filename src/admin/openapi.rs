//! The description of the API for programs, made from the table of routes, so that neither has what the other has not.

use super::call::{BASE, Call, Method, Place, Route, json};
use super::problem::AdminError;
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
        "info": { "title": "securemq administration", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": BASE }],
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "code"],
                    "properties": {
                        "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
                        "code": { "type": "string" }, "detail": { "type": ["string", "null"] },
                    },
                },
            },
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-sid" },
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
    let success = if route.method == Method::Socket { "101" } else { "2XX" };
    responses.insert(success.into(), object!({ "description": "done" }));
    responses.insert("4XX".into(), problem("refused"));
    if route.place == Place::Broker {
        responses.insert("503".into(), problem("the broker is not running"));
    }
    let mut operation = object!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": responses,
        "x-access": route.access.name(),
    });
    if let Some(operation) = operation.as_object_mut() {
        if !route.body.is_empty() {
            let properties: Map<String, Value> =
                route.body.iter().map(|name| ((*name).to_owned(), Value::Object(Map::new()))).collect();
            let schema = object!({ "type": "object", "properties": properties, "additionalProperties": false });
            let body = object!({ "required": true, "content": { "application/json": { "schema": schema } } });
            operation.insert("requestBody".into(), body);
        }
        let security = match (route.access, route.method.changes()) {
            (Access::Anyone, _) => object!([]),
            (_, true) => object!([{ "session": [], "csrf": [] }]),
            (_, false) => object!([{ "session": [] }]),
        };
        operation.insert("security".into(), security);
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split('/').map(|part| part.trim_matches(['{', '}']).replace('.', "_"));
    let words = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    format!("{}_{words}", route.method.http().as_str().to_ascii_lowercase())
}
