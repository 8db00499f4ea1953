//! Answers of the API beside its own description: every answer that any test gets has to be as it says.

use super::pages::Answer;
use serde_json::Value;

/// Why an answer is not as described; nothing if it is, or if there is no such address or method.
pub fn difference(description: &Value, method: &str, target: &str, answer: &Answer) -> Option<String> {
    let path = target.split('?').next().unwrap();
    let paths = description["paths"].as_object().unwrap();
    let matching = paths.iter().filter(|(template, _)| matches(template, path));
    // A fixed name comes before one in its place.
    let (_, operations) = matching.min_by_key(|(template, _)| template.matches('{').count())?;
    let operation = operations.get(method.to_ascii_lowercase())?;
    let status = answer.status.to_string();
    let responses = operation["responses"].as_object().unwrap();
    let response = responses.get(&status).or_else(|| responses.get(&format!("{}XX", &status[..1])));
    let Some(response) = response else { return Some(format!("status {status} is not described")) };
    let Some(content) = response.get("content").and_then(Value::as_object) else {
        return (!answer.body.is_empty()).then(|| "there is a body".to_owned());
    };
    let kind = answer.header("content-type");
    let Some(media) = content.get(kind) else { return Some(format!("{kind:?} is not described")) };
    if !kind.ends_with("json") || kind.ends_with("ndjson") {
        return None;
    }
    let Ok(body) = serde_json::from_str(&answer.body) else { return Some("the body is no JSON".to_owned()) };
    violation(description, &media["schema"], &body).map(|text| format!("body{text}"))
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(known, found)| known.starts_with('{') || known == found)
}

/// Where a value is not what its schema says: the part of JSON Schema that our description uses, and no other.
fn violation(description: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = schema.as_object().expect("a schema is an object");
    for keyword in schema.keys() {
        let known = ["$ref", "anyOf", "type", "enum", "items", "properties", "required", "additionalProperties"];
        assert!(known.contains(&keyword.as_str()), "{keyword} is not checked");
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap();
        return violation(description, &description["components"]["schemas"][name], value);
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let problems: Vec<_> = any.iter().map(|schema| violation(description, schema, value)).collect();
        return if problems.contains(&None) { None } else { problems.into_iter().next().flatten() };
    }
    let is_of_type = match schema.get("type").and_then(Value::as_str) {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some(other) => panic!("type {other} is not checked"),
    };
    if !is_of_type {
        return Some(format!(": {value} is no {}", schema["type"]));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|values| !values.contains(value)) {
        return Some(format!(": {value} is none of {}", schema["enum"]));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        let mut problems = values
            .iter()
            .enumerate()
            .filter_map(|(place, value)| violation(description, items, value).map(|text| format!("[{place}]{text}")));
        return problems.next();
    }
    let object = value.as_object()?;
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return Some(format!(".{name} is missing"));
        }
    }
    for (name, value) in object {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        match (property, schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                if let Some(text) = violation(description, schema, value) {
                    return Some(format!(".{name}{text}"));
                }
            }
            (None, Some(Value::Bool(false))) => return Some(format!(".{name} is not described")),
            (None, _) => {}
        }
    }
    None
}

#[test]
fn an_answer_that_is_not_as_described_is_told() {
    let description = serde_json::json!({
        "paths": { "/a/{id}": { "get": { "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/x/A" } } } } } } } },
        "components": { "schemas": { "A": {
            "type": "object", "required": ["n"], "additionalProperties": false,
            "properties": { "n": { "type": "integer" }, "s": { "anyOf": [{ "type": "string", "enum": ["x"] }, { "type": "null" }] } },
        } } },
    });
    let told = |status, body: &str| {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        difference(&description, "GET", "/a/7?q=1", &Answer { status, headers, body: body.to_owned() })
    };
    assert_eq!(told(200, r#"{"n":1,"s":null}"#), None);
    for (status, body, difference) in [
        (201, "{}", "status 201 is not described"),
        (200, "", "the body is no JSON"),
        (200, "{}", "body.n is missing"),
        (200, r#"{"n":"1"}"#, "body.n: \"1\" is no \"integer\""),
        (200, r#"{"n":1,"s":"y"}"#, "body.s: \"y\" is none of [\"x\"]"),
        (200, r#"{"n":1,"more":1}"#, "body.more is not described"),
    ] {
        assert_eq!(told(status, body).as_deref(), Some(difference));
    }
    assert_eq!(
        difference(&description, "GET", "/b", &Answer { status: 404, headers: vec![], body: String::new() }),
        None
    );
}
