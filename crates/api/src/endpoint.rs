//! Every endpoint, once. The server routes by this table, so there is no route that is not in the contract.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::percent;
use crate::types;

/// What somebody may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See states, logs and events.
    Viewer,
    /// Start, stop and signal services.
    Operator,
    /// Change the definition and stop the guard.
    Admin,
}

impl Role {
    /// The name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// How an endpoint answers.
#[derive(Clone, Copy)]
pub enum Answer {
    /// With JSON of this type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// With one JSON value of this type per line.
    Lines(fn(&mut SchemaGenerator) -> Schema),
    /// With JSON of the first type, or, if the caller accepts `text/event-stream`, with server-sent events of the second.
    Events(fn(&mut SchemaGenerator) -> Schema, fn(&mut SchemaGenerator) -> Schema),
    /// With JSON that has no fixed shape.
    AnyJson,
    /// With text of this media type.
    Text(&'static str),
}

/// What is fixed about an endpoint.
pub struct Contract {
    /// `GET` or `POST`.
    pub method: http::Method,
    /// The path, with `{name}` where a service's name stands.
    pub path: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Who may; `None` for everybody who can connect.
    pub role: Option<Role>,
    /// Its query parameters.
    pub query: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Its body.
    pub body: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Its answer.
    pub answer: Answer,
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! endpoints {
    ($($endpoint:ident = $method:ident $path:literal $role:expr, $query:expr, $body:expr, $answer:expr, $summary:literal;)+) => {
        /// An endpoint.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Endpoint {
            $(#[doc = $summary] $endpoint,)+
        }

        impl Endpoint {
            /// Every endpoint.
            pub const ALL: &'static [Self] = &[$(Self::$endpoint),+];

            /// The name of the operation, for generated clients.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$endpoint => stringify!($endpoint),)+
                }
            }

            /// What is fixed about it.
            #[must_use]
            pub const fn contract(self) -> Contract {
                match self {
                    $(Self::$endpoint => Contract {
                        method: http::Method::$method,
                        path: $path,
                        summary: $summary,
                        role: $role,
                        query: $query,
                        body: $body,
                        answer: $answer,
                    },)+
                }
            }
        }
    };
}

const VIEWER: Option<Role> = Some(Role::Viewer);
const OPERATOR: Option<Role> = Some(Role::Operator);
const ADMIN: Option<Role> = Some(Role::Admin);
const WAIT: Option<fn(&mut SchemaGenerator) -> Schema> = Some(schema::<types::WaitQuery>);
const SERVICE: Answer = Answer::Json(schema::<types::Service>);

endpoints! {
    GetGuard = GET "/v1/guard" VIEWER, None, None, Answer::Json(schema::<types::GuardInfo>), "The guard itself.";
    ListServices = GET "/v1/services" VIEWER, Some(schema::<types::ListQuery>), None, Answer::Json(schema::<types::ServiceList>), "Every service.";
    GetService = GET "/v1/services/{name}" VIEWER, WAIT, None, Answer::Json(schema::<types::ServiceDetail>), "Everything about one service.";
    StartService = POST "/v1/services/{name}/start" OPERATOR, WAIT, None, SERVICE, "Run it, and keep it running.";
    StopService = POST "/v1/services/{name}/stop" OPERATOR, WAIT, None, SERVICE, "Stop it, and keep it stopped.";
    RestartService = POST "/v1/services/{name}/restart" OPERATOR, WAIT, None, SERVICE, "Stop it if it runs, then run it.";
    PauseService = POST "/v1/services/{name}/pause" OPERATOR, WAIT, None, SERVICE, "Freeze it.";
    ContinueService = POST "/v1/services/{name}/continue" OPERATOR, WAIT, None, SERVICE, "Thaw it.";
    ResetService = POST "/v1/services/{name}/reset" OPERATOR, WAIT, None, SERVICE, "Forget its restarts, its failures and its breaker, and go on as wanted.";
    SignalService = POST "/v1/services/{name}/signal" OPERATOR, None, Some(schema::<types::SignalRequest>), SERVICE, "Send a signal to its main process.";
    ReloadService = POST "/v1/services/{name}/reload" OPERATOR, None, None, SERVICE, "Send it its reload signal.";
    GetLogs = GET "/v1/services/{name}/logs" VIEWER, Some(schema::<types::LogQuery>), None, Answer::Lines(schema::<types::LogLine>), "What it wrote.";
    ListEvents = GET "/v1/events" VIEWER, Some(schema::<types::EventQuery>), None, Answer::Events(schema::<types::EventList>, schema::<types::Event>), "What happened; as server-sent events, what happens, too.";
    Reload = POST "/v1/reload" ADMIN, Some(schema::<types::ReloadQuery>), None, Answer::Json(schema::<types::ReloadReport>), "Read the definition again and follow it.";
    GetPlan = GET "/v1/plan" VIEWER, None, None, Answer::AnyJson, "The plan the guard follows, with secrets masked.";
    Upgrade = POST "/v1/upgrade" ADMIN, None, Some(schema::<types::UpgradeRequest>), Answer::Json(schema::<types::Upgrading>), "Have another binary take the guard's place; its services run on. The answer comes once it is known that it can.";
    Shutdown = POST "/v1/shutdown" ADMIN, Some(schema::<types::ShutdownQuery>), None, Answer::Json(schema::<types::Accepted>), "Stop every service in order, then the guard.";
    GetHealth = GET "/healthz" None, None, None, Answer::Json(schema::<types::Health>), "Whether the guard itself works.";
    GetReadiness = GET "/readyz" None, None, None, Answer::Json(schema::<types::Health>), "Whether every service that is wanted is ready; 503 with the failing ones if not.";
    GetMetrics = GET "/metrics" VIEWER, None, None, Answer::Text("application/openmetrics-text; version=1.0.0; charset=utf-8"), "Metrics in the OpenMetrics format.";
    GetOpenApi = GET "/openapi.json" None, None, None, Answer::AnyJson, "This contract.";
}

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// An endpoint, with the name in its path if it has one.
    Endpoint(Endpoint, Option<String>),
    /// The path is known, but takes other methods.
    OtherMethods(Vec<http::Method>),
    /// Nothing.
    Unknown,
}

impl Endpoint {
    /// Finds the endpoint of a request.
    #[must_use]
    pub fn route(method: &http::Method, path: &str) -> Route {
        let mut others = Vec::new();
        for endpoint in Self::ALL {
            let contract = endpoint.contract();
            let Some(name) = match_path(contract.path, path) else { continue };
            // HEAD asks for what GET would answer.
            if contract.method == *method || (*method == http::Method::HEAD && contract.method == http::Method::GET) {
                return Route::Endpoint(*endpoint, name);
            }
            others.push(contract.method);
        }
        if others.is_empty() { Route::Unknown } else { Route::OtherMethods(others) }
    }

    /// The path with a name in it.
    #[must_use]
    pub fn path(self, name: Option<&str>) -> String {
        self.contract().path.replace("{name}", name.unwrap_or_default())
    }
}

/// The outer `None` if the path is another; the inner one if the pattern has no name in it.
#[expect(clippy::option_option, reason = "whether the path matches and whether it has a name are two questions")]
fn match_path(pattern: &str, path: &str) -> Option<Option<String>> {
    let Some((before, after)) = pattern.split_once("{name}") else { return (pattern == path).then_some(None) };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then(|| percent::decode(name).ok().map(Some))?
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_request_finds_its_endpoint_and_the_name_in_it() {
        let route = |method: Method, path: &str| Endpoint::route(&method, path);
        assert_eq!(route(Method::GET, "/v1/services"), Route::Endpoint(Endpoint::ListServices, None));
        assert_eq!(route(Method::GET, "/v1/services/web"), Route::Endpoint(Endpoint::GetService, Some("web".into())));
        assert_eq!(
            route(Method::POST, "/v1/services/web/start"),
            Route::Endpoint(Endpoint::StartService, Some("web".into()))
        );
        assert_eq!(route(Method::GET, "/v1/services/web/logs"), Route::Endpoint(Endpoint::GetLogs, Some("web".into())));
        assert_eq!(route(Method::GET, "/v1/services/a%20b"), Route::Endpoint(Endpoint::GetService, Some("a b".into())));
        assert_eq!(route(Method::HEAD, "/healthz"), Route::Endpoint(Endpoint::GetHealth, None));
    }

    #[test]
    fn what_is_not_in_the_contract_is_nothing() {
        for path in [
            "/",
            "/v1",
            "/v1/services/",
            "/v1/services/a/b",
            "/v1/services//start",
            "/v1/services/a/b/start",
            "/healthz/",
        ] {
            assert_eq!(Endpoint::route(&Method::GET, path), Route::Unknown, "{path}");
        }
        assert_eq!(Endpoint::route(&Method::DELETE, "/healthz"), Route::OtherMethods(vec![Method::GET]));
        assert_eq!(Endpoint::route(&Method::GET, "/v1/services/web/start"), Route::OtherMethods(vec![Method::POST]));
    }

    #[test]
    fn every_change_needs_more_than_a_viewer() {
        for endpoint in Endpoint::ALL {
            let contract = endpoint.contract();
            if contract.method != Method::GET {
                assert!(contract.role > VIEWER, "{endpoint:?}");
            }
        }
    }
}
