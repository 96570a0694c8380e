//! What a reload would change, and what each change costs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use crate::plan::{Plan, ProbeCheck, ServiceName, ServicePlan};
use crate::secret::{MASK, Secret, looks_secret};

/// What a change costs, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// Nothing: it holds from now on.
    Live,
    /// The program gets its reload signal.
    Signal,
    /// The program is stopped and started.
    Restart,
    /// The service is added.
    New,
    /// The service is stopped and removed.
    Gone,
}

/// One changed field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The field: `restart.delay`.
    pub field: String,
    /// What it costs.
    pub cost: Cost,
    /// What it was; null if it was not there. Masked if secret.
    pub old: Json,
    /// What it will be.
    pub new: Json,
}

/// What changes of one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceDiff {
    /// Which service.
    pub name: ServiceName,
    /// The highest cost of its changes.
    pub cost: Cost,
    /// The fields; empty for a new or gone service, and for one that changed while no guard was there.
    pub changes: Vec<Change>,
}

impl ServiceDiff {
    /// The same where what runs is already as it will be: nothing has to be done for what would cost this.
    #[must_use]
    pub fn without(mut self, done: Cost) -> Self {
        let lower = |cost: Cost| if cost == done { Cost::Live } else { cost };
        self.changes.iter_mut().for_each(|change| change.cost = lower(change.cost));
        if self.cost == done {
            self.cost = self.changes.iter().map(|change| change.cost).max().unwrap_or(Cost::Live);
        }
        self
    }
}

/// Everything a reload changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlanDiff {
    /// The guard's own settings and the alerts; all of them are live.
    pub guard: Vec<Change>,
    /// The services that change, in the order of the new plan, gone ones last. Services that do not change are not here.
    pub services: Vec<ServiceDiff>,
}

impl PlanDiff {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guard.is_empty() && self.services.is_empty()
    }
}

/// What changing a field of a service costs. A field is looked up by its longest listed beginning.
const COSTS: [(&str, Cost); 30] = [
    ("breaker", Cost::Live),
    ("command", Cost::Restart),
    ("depends_on", Cost::Live),
    ("description", Cost::Live),
    ("directory", Cost::Restart),
    ("display_name", Cost::Live),
    ("environment", Cost::Restart),
    ("essential", Cost::Live),
    ("fd_store", Cost::Restart),
    ("group", Cost::Restart),
    ("groups", Cost::Restart),
    ("limits.cpu", Cost::Live),
    ("limits.files", Cost::Restart),
    ("limits.memory", Cost::Live),
    ("limits.oom", Cost::Live),
    ("limits.tasks", Cost::Live),
    ("log", Cost::Live),
    ("name", Cost::Restart),
    ("nice", Cost::Restart),
    ("password", Cost::Live),
    ("probes", Cost::Live),
    ("reload.files", Cost::Signal),
    ("reload.signal", Cost::Live),
    ("restart", Cost::Live),
    ("start", Cost::Live),
    ("start_timeout", Cost::Live),
    ("stop", Cost::Live),
    ("type", Cost::Restart),
    ("umask", Cost::Restart),
    ("user", Cost::Restart),
];

/// Compares the running plan with a new one.
#[must_use]
pub fn diff(old: &Plan, new: &Plan) -> PlanDiff {
    let mut services = Vec::new();
    for (name, service) in &new.services {
        match old.services.get(name) {
            None => services.push(ServiceDiff { name: name.clone(), cost: Cost::New, changes: Vec::new() }),
            Some(running) => services.extend(service_diff(running, service)),
        }
    }
    let gone = old.services.keys().filter(|name| !new.services.contains_key(*name));
    services.extend(gone.map(|name| ServiceDiff { name: name.clone(), cost: Cost::Gone, changes: Vec::new() }));
    PlanDiff { guard: guard_changes(old, new), services }
}

/// A field of the plan by the name of its key in a definition.
fn as_defined(field: &str) -> String {
    let Some(probe) = field.strip_prefix("probes.") else { return field.to_owned() };
    let Some((kind, check)) = probe.split_once(".check") else { return format!("probe.{probe}") };
    let key = match check.trim_start_matches('.') {
        // Of these the check itself is what there is to say.
        "" => "notify",
        "http.url" => "http",
        "grpc.target" => "grpc",
        "grpc.service" => "grpc_service",
        "file.path" => "file",
        other => other.rsplit('.').next().unwrap_or(other),
    };
    format!("probe.{kind}.{key}")
}

/// Compares two plans of one service; `None` if nothing changes.
#[must_use]
pub fn service_diff(old: &ServicePlan, new: &ServicePlan) -> Option<ServiceDiff> {
    let protocol_changes = notify_protocol(old) != notify_protocol(new);
    let cost = |field: &str| {
        let listed = COSTS.iter().filter(|(start, _)| is_below(field, start)).max_by_key(|(start, _)| start.len());
        let cost = listed.map_or(Cost::Restart, |(_, cost)| *cost);
        // The program learns of the notify socket and the watchdog from its environment, so it must start anew.
        if protocol_changes && field.starts_with("probes") { Cost::Restart } else { cost }
    };
    let mask_text = |text: &str| new.secrets.mask(&old.secrets.mask(text));
    let mask = |value: &Json| map_texts(value, &mask_text);
    let changes: Vec<Change> = changed_fields(&fields(old), &fields(new))
        .into_iter()
        .map(|(field, old, new)| {
            let secret = field.split('.').next_back().is_some_and(looks_secret);
            let shown =
                |value: Json| if secret && !value.is_null() { Json::String(MASK.to_owned()) } else { mask(&value) };
            Change { cost: cost(&field), old: shown(old), new: shown(new), field: mask_text(&as_defined(&field)) }
        })
        .collect();
    let highest = changes.iter().map(|change| change.cost).max()?;
    Some(ServiceDiff { name: new.name.clone(), cost: highest, changes })
}

/// What the program is told of the notify protocol when it starts: whether it is spoken, and the watchdog's time.
pub(crate) fn notify_protocol(service: &ServicePlan) -> (bool, Option<std::time::Duration>) {
    let watchdog = service.probes.liveness.as_ref().filter(|probe| probe.check == ProbeCheck::Notify);
    (service.uses_notify(), watchdog.map(crate::plan::ProbePlan::window))
}

fn guard_changes(old: &Plan, new: &Plan) -> Vec<Change> {
    let settings = |plan: &Plan| {
        let json = serde_json::json!({ "access": plan.access, "journal": plan.journal, "alert": plan.alerts });
        let mut fields = BTreeMap::new();
        flatten(&json, &mut String::new(), &mut fields);
        fields
    };
    let secrets: Vec<_> = old.alerts.values().chain(new.alerts.values()).map(|alert| &alert.secrets).collect();
    let shown = |value: &Json| {
        secrets.iter().fold(value.clone(), |value, secrets| map_texts(&value, &|text| secrets.mask(text)))
    };
    changed_fields(&settings(old), &settings(new))
        .into_iter()
        .map(|(field, old, new)| Change { cost: Cost::Live, field, old: shown(&old), new: shown(&new) })
        .collect()
}

/// Every field of a service as `restart.delay`; arrays count as one value.
fn fields(service: &ServicePlan) -> BTreeMap<String, Json> {
    let json = serde_json::to_value(service).unwrap_or(Json::Null);
    let mut fields = BTreeMap::new();
    flatten(&json, &mut String::new(), &mut fields);
    // It is in nothing that is written anywhere.
    let password = service.password.as_ref().map(|Secret(password)| Json::String(password.clone()));
    fields.extend(password.map(|password| ("password".to_owned(), password)));
    fields
}

fn flatten(json: &Json, path: &mut String, fields: &mut BTreeMap<String, Json>) {
    match json {
        Json::Null => {}
        Json::Object(table) => {
            for (key, value) in table {
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                flatten(value, path, fields);
                path.truncate(length);
            }
        }
        leaf @ (Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) => {
            fields.insert(path.clone(), leaf.clone());
        }
    }
}

fn changed_fields(old: &BTreeMap<String, Json>, new: &BTreeMap<String, Json>) -> Vec<(String, Json, Json)> {
    let all: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |fields: &BTreeMap<String, Json>, field| fields.get(field).cloned().unwrap_or(Json::Null);
    all.into_iter()
        .map(|field| (field.clone(), value(old, field), value(new, field)))
        .filter(|(_, old, new)| old != new)
        .collect()
}

fn is_below(field: &str, start: &str) -> bool {
    field.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The value with every text in it replaced, and every key: a file's path is one.
pub(crate) fn map_texts(value: &Json, replace: &dyn Fn(&str) -> String) -> Json {
    match value {
        Json::String(text) => Json::String(replace(text)),
        Json::Array(items) => Json::Array(items.iter().map(|item| map_texts(item, replace)).collect()),
        Json::Object(table) => {
            Json::Object(table.iter().map(|(key, value)| (replace(key), map_texts(value, replace))).collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}
