//! The contract as an OpenAPI 3.1 document, whose schemas are JSON Schema 2020-12.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use crate::endpoint::{Answer, Contract, Endpoint};
use crate::problem::{MEDIA_TYPE, Problem};

/// The document.
#[must_use]
pub fn document() -> Json {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for endpoint in Endpoint::ALL {
        let contract = endpoint.contract();
        let operation = operation(*endpoint, &contract, &mut generator);
        let path = paths.entry(contract.path).or_insert_with(|| json!({}));
        path[contract.method.as_str().to_lowercase()] = operation;
    }
    let problem = json!({
        "description": "An error, with a stable `code`.",
        "content": { MEDIA_TYPE: { "schema": generator.subschema_for::<Problem>() } },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Menshen control",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Spoken over a guard's control socket: a Unix socket, or a named pipe on Windows. Who calls is known from the kernel.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true), "responses": { "Problem": problem } },
    })
}

fn operation(endpoint: Endpoint, contract: &Contract, generator: &mut SchemaGenerator) -> Json {
    let mut parameters = Vec::new();
    if contract.path.contains("{name}") {
        let schema = json!({ "type": "string" });
        parameters.push(json!({ "name": "name", "in": "path", "required": true, "description": "The service's name.", "schema": schema }));
    }
    if let Some(query) = contract.query {
        parameters.extend(query_parameters(query(generator), generator));
    }
    if contract.method == http::Method::POST {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string", "maxLength": 255 },
            "description": "The same key with the same request is carried out once and answered the same again.",
        }));
    }
    if matches!(contract.answer, Answer::Events(..)) {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false, "schema": { "type": "integer" },
            "description": "Go on after the event of this number.",
        }));
    }
    let name = endpoint.name();
    let mut operation = json!({
        "operationId": format!("{}{}", name[..1].to_lowercase(), &name[1..]),
        "summary": contract.summary,
        "parameters": parameters,
        "responses": {
            "200": { "description": contract.summary, "content": content(contract.answer, generator) },
            "default": { "$ref": "#/components/responses/Problem" },
        },
        "x-role": contract.role.map(crate::endpoint::Role::as_str),
    });
    if let Some(body) = contract.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body(generator) } } });
    }
    operation
}

/// Each property of a query type is a parameter.
fn query_parameters(reference: schemars::Schema, generator: &SchemaGenerator) -> Vec<Json> {
    let reference = reference.to_value();
    let name = reference["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let schema = generator.definitions().get(name).cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties
        .into_iter()
        .map(|(name, mut schema)| {
            let description =
                schema.as_object_mut().and_then(|schema| schema.shift_remove("description")).unwrap_or_default();
            json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
        })
        .collect()
}

fn content(answer: Answer, generator: &mut SchemaGenerator) -> Json {
    match answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Answer::Lines(schema) => json!({ "application/x-ndjson": { "schema": schema(generator) } }),
        Answer::Events(page, event) => json!({
            "application/json": { "schema": page(generator) },
            "text/event-stream": { "schema": event(generator) },
        }),
        Answer::AnyJson => json!({ "application/json": { "schema": { "type": "object" } } }),
        Answer::Text(media_type) => json!({ media_type: { "schema": { "type": "string" } } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(document: &Json, value: &Json) {
            match value {
                Json::Object(table) => {
                    if let Some(reference) = table.get("$ref").and_then(Json::as_str) {
                        let pointer = reference.trim_start_matches('#');
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    table.values().for_each(|value| walk(document, value));
                }
                Json::Array(items) => items.iter().for_each(|value| walk(document, value)),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
            }
        }
        let document = document();
        walk(&document, &document);
    }

    #[test]
    fn every_endpoint_is_written_down_with_a_name_of_its_own() {
        let document = document();
        let mut names = std::collections::BTreeSet::new();
        for path in document["paths"].as_object().unwrap().values() {
            for operation in path.as_object().unwrap().values() {
                assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
            }
        }
        assert_eq!(names.len(), Endpoint::ALL.len());
    }
}
