//! The JSON Schema of a definition, for editors that complete it.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value as Json, json};

use crate::definition::Definition;

/// The JSON Schema (2020-12) of `menshen.toml`.
#[must_use]
pub fn schema() -> Json {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Definition>();
    schema.insert("title".to_owned(), json!("Menshen definition"));
    AsWritten.transform(&mut schema);
    schema.to_value()
}

/// What the types do not say: TOML has no null, and numbers and booleans may be written with a placeholder.
struct AsWritten;

impl Transform for AsWritten {
    fn transform(&mut self, schema: &mut Schema) {
        drop_null(schema);
        transform_subschemas(self, schema);
        let scalar = schema
            .get("type")
            .and_then(Json::as_str)
            .is_some_and(|kind| matches!(kind, "integer" | "number" | "boolean"));
        if scalar && schema.get("description").is_some() {
            allow_placeholder(schema);
        }
    }
}

fn drop_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Json::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if object.get("default") == Some(&Json::Null) {
        object.remove("default");
    }
    if let Some(Json::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&json!("null")));
        if let [only] = choices.as_slice() {
            let only = only.as_object().cloned().unwrap_or_default();
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

fn allow_placeholder(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let kept = ["description", "default"];
    let mut scalar = std::mem::take(object);
    for key in kept {
        if let Some(value) = scalar.remove(key) {
            object.insert(key.to_owned(), value);
        }
    }
    object.insert("anyOf".to_owned(), json!([scalar, { "type": "string", "pattern": "\\$\\{.+\\}" }]));
}
