//! From a request to its answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use menshen_api::endpoint::Route;
use menshen_api::types::{
    Accepted, EventQuery, GuardInfo, Health, ListQuery, LogQuery, Probe, ReloadQuery, Service, ServiceDetail,
    ServiceList, ShutdownQuery, SignalRequest, UpgradeRequest, Usage, WaitFor, WaitQuery, Wanted,
};
use menshen_api::{Endpoint, Problem, ProblemCode, Role, page, query};
use menshen_core::Command;
use menshen_os::account::UserId;
use menshen_os::local_socket::Caller;
use menshen_plan::plan::{ProbeCheck, ServicePlan};
use serde::de::DeserializeOwned;

use super::answer::{Answer, json, json_with, text, whole};
use super::body::{BodyError, bad, body, duration};
use super::idempotency::{Idempotency, KEY_BYTES_MAX, Verdict};
use super::server::{Parting, half_a_request};
use super::{NO_ANSWER, Shared};
use super::{events, logs, metrics, reload};
use crate::guard::input::{Detail, Request as LoopRequest};
use crate::guard::no_such_service;
use crate::guard::status::word;
use crate::journal::Filter;

/// How many services one page has at most.
const PAGE_MAX: u32 = 1000;
/// How long a command waits for a state where the caller does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// How much of its past the screen about one service shows.
const HISTORY_SHOWN: u32 = 10;
const LOG_LINES_SHOWN: u32 = 10;

/// A request with who sent it.
struct Call {
    endpoint: Endpoint,
    name: String,
    query: Option<String>,
    headers: HeaderMap,
    caller: Caller,
    parting: Parting,
    role: Role,
    shared: Arc<Shared>,
}

/// Answers a request, or says why not.
pub(super) async fn handle(
    request: Request<Incoming>,
    (caller, parting): (&Caller, &Parting),
    role: Option<Role>,
    shared: &Arc<Shared>,
    idempotency: &Idempotency,
) -> Result<Answer, Problem> {
    let (head, incoming) = request.into_parts();
    let path = head.uri.path().to_owned();
    let (endpoint, name) = route(&head.method, &path)?;
    permit(endpoint, role, caller)?;
    let query = head.uri.query().map(str::to_owned);
    let key = idempotency_key(endpoint, &head.headers)?;
    let role = role.unwrap_or(Role::Viewer);
    let name = name.unwrap_or_default();
    let (caller, parting, shared) = (caller.clone(), parting.clone(), Arc::clone(shared));
    let call = Call { endpoint, name, query, headers: head.headers, caller, parting, role, shared };
    let Some(key) = key else { return call.answer(incoming).await };
    let identity = format!("{} {path}?{}", head.method, call.query.as_deref().unwrap_or_default());
    match idempotency.look(call.caller.user(), &key, &identity)? {
        Verdict::Answered(status, answer) => Ok(whole(status, "application/json", answer)),
        Verdict::New => answer_once(call, incoming, idempotency.clone(), key).await,
    }
}

fn route(method: &Method, path: &str) -> Result<(Endpoint, Option<String>), Problem> {
    match Endpoint::route(method, path) {
        Route::Endpoint(endpoint, name) => Ok((endpoint, name)),
        Route::OtherMethods(methods) => {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            Err(Problem::new(ProblemCode::MethodNotAllowed, format!("{path} takes {}", methods.join(", "))))
        }
        Route::Unknown => {
            Err(Problem::new(ProblemCode::NotFound, format!("there is nothing at {path}; see /openapi.json")))
        }
    }
}

fn patience(query: &WaitQuery) -> Result<Duration, Problem> {
    Ok(query.timeout.as_deref().map(duration).transpose()?.unwrap_or(WAIT_DEFAULT))
}

fn permit(endpoint: Endpoint, role: Option<Role>, caller: &Caller) -> Result<(), Problem> {
    let Some(needed) = endpoint.contract().role else { return Ok(()) };
    if role >= Some(needed) {
        return Ok(());
    }
    let has = role.map_or("no role", Role::as_str);
    let detail = format!(
        "user {} has {has} here and this takes {}; see [guard.access] in the definition",
        caller.name(),
        needed.as_str()
    );
    Err(Problem::new(ProblemCode::NotPermitted, detail))
}

fn idempotency_key(endpoint: Endpoint, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key").filter(|_| endpoint.contract().method == Method::POST) else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(bad(format!("Idempotency-Key must have 1 to {KEY_BYTES_MAX} printable characters"))),
    }
}

/// Answers a request with a key, also when the caller hangs up meanwhile: it will ask again with the same key.
async fn answer_once(call: Call, incoming: Incoming, idempotency: Idempotency, key: String) -> Result<Answer, Problem> {
    let answered = tokio::spawn(async move {
        let answer = call.answer(incoming).await;
        remember(&idempotency, call.caller.user(), &key, answer).await
    });
    answered.await.unwrap_or_else(|error| Err(Problem::new(ProblemCode::Internal, error.to_string())))
}

/// Keeps an answer for the next request with its key. What failed may be tried again.
async fn remember(
    idempotency: &Idempotency,
    user: &UserId,
    key: &str,
    answer: Result<Answer, Problem>,
) -> Result<Answer, Problem> {
    let (head, body) = match answer {
        Ok(answer) => answer.into_parts(),
        Err(problem) => {
            idempotency.answered(user, key, None);
            return Err(problem);
        }
    };
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    idempotency.answered(user, key, Some((head.status, bytes.clone())));
    let mut answer = whole(head.status, "application/json", bytes);
    answer.headers_mut().extend(head.headers.get(CONNECTION).map(|value| (CONNECTION, value.clone())));
    Ok(answer)
}

impl Call {
    async fn answer(&self, incoming: Incoming) -> Result<Answer, Problem> {
        match self.endpoint {
            Endpoint::GetGuard => self.guard().await,
            Endpoint::ListServices => self.list().await,
            Endpoint::GetService => self.detail().await,
            Endpoint::StartService => self.command(Command::Start).await,
            Endpoint::StopService => self.command(Command::Stop).await,
            Endpoint::RestartService => self.command(Command::Restart).await,
            Endpoint::PauseService => self.command(Command::Pause).await,
            Endpoint::ContinueService => self.command(Command::Continue).await,
            Endpoint::ResetService => self.command(Command::Reset).await,
            Endpoint::ReloadService => self.command(Command::Reload).await,
            Endpoint::SignalService => self.signal(self.body(incoming).await?).await,
            Endpoint::GetLogs => {
                let query = query::read::<LogQuery>(self.query.as_deref())?;
                logs::answer(&self.shared, &self.caller, &self.name, query).await
            }
            Endpoint::ListEvents => {
                let query = query::read::<EventQuery>(self.query.as_deref())?;
                events::list(&self.shared, &self.caller, query, &self.headers).await
            }
            Endpoint::Reload => self.reload().await,
            Endpoint::GetPlan => self.plan().await,
            Endpoint::Upgrade => self.upgrade(self.body(incoming).await?).await,
            Endpoint::Shutdown => self.shutdown().await,
            Endpoint::GetHealth => Ok(json(&Health { ok: true, failing: [].into() })),
            Endpoint::GetReadiness => self.readiness().await,
            Endpoint::GetMetrics => self.metrics().await,
            Endpoint::GetOpenApi => Ok(json(&menshen_api::openapi::document())),
        }
    }

    /// What the request brings. Who sends half of it is told of.
    async fn body<T: DeserializeOwned>(&self, incoming: Incoming) -> Result<T, Problem> {
        let read = body(incoming).await;
        if matches!(read, Err(BodyError::TooSlow)) {
            self.shared.inputs.send(half_a_request(&self.caller)).await;
        }
        Ok(read?)
    }

    /// Who asks, for the journal.
    fn by(&self) -> String {
        format!("{} (pid {})", self.caller.name(), self.caller.pid)
    }

    async fn ask<T>(&self, request: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> LoopRequest) -> Result<T, Problem> {
        self.shared.inputs.ask(request).await.ok_or_else(|| Problem::new(ProblemCode::ShuttingDown, NO_ANSWER))
    }

    async fn services(&self) -> Result<Vec<Service>, Problem> {
        Ok(self.ask(LoopRequest::List).await?.0)
    }

    async fn guard(&self) -> Result<Answer, Problem> {
        let info = self.ask(LoopRequest::Info).await?;
        let files = self.shared.source.files().unwrap_or_default().into_iter().flatten();
        let from_root = |file: PathBuf| std::path::absolute(&file).unwrap_or(file).display().to_string();
        Ok(json(&GuardInfo {
            instance: self.shared.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: info.started,
            trees: info.trees.to_owned(),
            definition: files.map(from_root).collect(),
            services: u32::try_from(info.services).unwrap_or(u32::MAX),
            shutting_down: info.shutting_down,
            upgraded: info.upgraded,
            binary: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
            service: info.service,
            role: self.role,
        }))
    }

    async fn list(&self) -> Result<Answer, Problem> {
        let query: ListQuery = query::read(self.query.as_deref())?;
        let limit = usize::try_from(query.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX)).unwrap_or(usize::MAX);
        let (services, troubles) = self.ask(LoopRequest::List).await?;
        let begin = match &query.cursor {
            None => 0,
            Some(cursor) => services
                .iter()
                .position(|service| service.name == *cursor)
                .map(|last| last + 1)
                .ok_or_else(|| bad("the cursor's service is gone; begin anew"))?,
        };
        let more = services.len() > begin + limit;
        let as_wanted = Some(services.iter().all(Service::is_as_wanted));
        let services: Vec<Service> = services.into_iter().skip(begin).take(limit).collect();
        let next = services.last().filter(|_| more).map(|service| service.name.clone());
        let list = ServiceList { next, troubles, as_wanted, services };
        Ok(whole(StatusCode::OK, "application/json", page::write(list).unwrap_or_default().into()))
    }

    async fn detail(&self) -> Result<Answer, Problem> {
        let query: WaitQuery = query::read(self.query.as_deref())?;
        if let Some(until) = query.wait {
            self.wait(until, patience(&query)?).await?;
        }
        let name = self.name.clone();
        let detail = self.ask(|reply| LoopRequest::Detail(name, reply)).await?;
        let Detail { service, plan, probes, depends_on, usage, troubles } =
            *detail.ok_or_else(|| no_such_service(&self.name))?;
        let filter = Filter { service: Some(self.name.clone()), limit: HISTORY_SHOWN, last: true, ..Filter::default() };
        let log = LogQuery { tail: Some(LOG_LINES_SHOWN), ..LogQuery::default() };
        let folder = self.shared.logs_folder.join(&self.name);
        Ok(json(&ServiceDetail {
            kind: word(&plan.kind),
            start: word(&plan.start),
            command: plan.command.0.iter().map(|word| plan.secrets.mask(word)).collect(),
            directory: plan.directory.display().to_string(),
            user: plan.user.as_ref().map(|user| user.0.clone()),
            depends_on,
            probes: probes.into_iter().map(|probe| self.probe(probe, &plan)).collect(),
            usage: usage.map(|usage| Usage {
                cpu_seconds: usage.cpu.as_secs_f64(),
                memory_bytes: usage.memory_bytes,
                processes: usage.processes,
                tasks: usage.tasks,
                files: usage.files,
            }),
            history: events::read(&self.shared, filter).await?,
            log: logs::last_lines(&self.shared, &self.name, log).await?,
            log_folder: folder.display().to_string(),
            troubles,
            service,
        }))
    }

    fn probe(&self, status: menshen_core::ProbeStatus, plan: &ServicePlan) -> Probe {
        let check = plan.probes.get(status.kind).map(|probe| plan.secrets.mask(&describe(&probe.check)));
        Probe {
            kind: status.kind.to_string(),
            check: check.unwrap_or_default(),
            successes: status.successes,
            failures: status.failures,
            last_error: status.last_error,
        }
    }

    /// Gives a command, and waits for what the caller wants to wait for.
    async fn command(&self, command: Command) -> Result<Answer, Problem> {
        let query: WaitQuery = if self.endpoint == Endpoint::ReloadService {
            WaitQuery::default()
        } else {
            query::read(self.query.as_deref())?
        };
        let timeout = patience(&query)?;
        let (name, by) = (self.name.clone(), self.by());
        let taken = self.ask(|reply| LoopRequest::Command { name, command, by, reply }).await??;
        let Some(until) = query.wait else { return Ok(json(&taken)) };
        let unremembered = taken.unremembered;
        match self.wait(until, timeout).await {
            Ok(service) => Ok(json(&Service { unremembered, ..service })),
            Err(problem) => Err(unremembered.into_iter().fold(problem, |problem, why| Problem {
                detail: format!("{}; nor could it be remembered that this was asked: {why}", problem.detail),
                ..problem
            })),
        }
    }

    async fn wait(&self, until: WaitFor, timeout: Duration) -> Result<Service, Problem> {
        let name = self.name.clone();
        let waiting = self.ask(|reply| LoopRequest::Wait { name, until, reply });
        match tokio::time::timeout(timeout, waiting).await {
            Ok(answer) => answer?,
            Err(_) => {
                let now = self.services().await?.into_iter().find(|service| service.name == self.name);
                let state = now.map_or_else(String::new, |service| {
                    format!(": it is {} ({})", service.state.as_str(), service.why())
                });
                let detail = format!(
                    "'{}' is not {} after {}{state}",
                    self.name,
                    word(&until),
                    menshen_plan::duration::format(timeout)
                );
                Err(Problem::new(ProblemCode::WaitTimeout, detail))
            }
        }
    }

    async fn signal(&self, request: SignalRequest) -> Result<Answer, Problem> {
        let signal =
            request.signal.parse().map_err(|error: menshen_plan::signal::UnknownSignal| bad(error.to_string()))?;
        self.command(Command::Signal(signal)).await
    }

    async fn reload(&self) -> Result<Answer, Problem> {
        let query: ReloadQuery = query::read(self.query.as_deref())?;
        let loaded = reload::load_aside(&self.shared.source).await?;
        let running = self.ask(LoopRequest::Plan).await?;
        if loaded.plan.name != running.name {
            let detail =
                format!("the guard is named '{}' and cannot become '{}' while it runs", running.name, loaded.plan.name);
            return Err(Problem::new(ProblemCode::DefinitionRefused, detail));
        }
        let (plan, by, applied) = (loaded.plan, self.by(), !query.dry_run);
        let foreseen = self.ask(|reply| match applied {
            true => LoopRequest::Follow { plan, by, reply },
            false => LoopRequest::Foresee { plan, reply },
        });
        Ok(json(&reload::report(foreseen.await?, applied, loaded.warnings)))
    }

    async fn plan(&self) -> Result<Answer, Problem> {
        let plan = self.ask(LoopRequest::Plan).await?;
        Ok(json(&menshen_plan::config::masked_plan(&plan)))
    }

    /// The connection ends with the answer, and only then does the guard make room for the next.
    async fn upgrade(&self, request: UpgradeRequest) -> Result<Answer, Problem> {
        let (binary, by, answered) = (request.binary.into(), self.by(), self.parting.wait());
        let upgrading = self.ask(|reply| LoopRequest::Upgrade { binary, by, reply, answered }).await??;
        let mut answer = json(&upgrading);
        answer.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("close"));
        Ok(answer)
    }

    /// The connection ends with the answer, and only then is the guard gone, however little it has to stop.
    async fn shutdown(&self) -> Result<Answer, Problem> {
        let query: ShutdownQuery = query::read(self.query.as_deref())?;
        self.parting.be_waited_for();
        if let Err(refusal) = self.end(&query).await {
            self.parting.let_go();
            return Err(refusal);
        }
        let mut answer = json(&Accepted { accepted: true });
        answer.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("close"));
        Ok(answer)
    }

    async fn end(&self, query: &ShutdownQuery) -> Result<(), Problem> {
        let by = self.by();
        match (query.leave, query.now) {
            (true, true) => Err(bad("`leave` ends nothing that `now` could kill")),
            (true, false) => self.ask(|reply| LoopRequest::Leave { by, reply }).await?,
            (false, now) => self.ask(|reply| LoopRequest::Shutdown { by, now, reply }).await,
        }
    }

    /// Whether everything that is wanted can be used; what cannot is named.
    async fn readiness(&self) -> Result<Answer, Problem> {
        let services = self.services().await?;
        let failing = services.iter().filter(|service| service.wanted == Wanted::Up && !service.ready);
        let failing =
            failing.map(|service| (service.name.clone(), format!("{}: {}", service.state.as_str(), service.why())));
        let failing: std::collections::BTreeMap<_, _> = failing.collect();
        let health = Health { ok: failing.is_empty(), failing };
        let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok(json_with(status, &health))
    }

    async fn metrics(&self) -> Result<Answer, Problem> {
        let measured = self.ask(LoopRequest::Measure).await?;
        let menshen_api::endpoint::Answer::Text(media_type) = self.endpoint.contract().answer else {
            return Err(Problem::new(ProblemCode::Internal, "metrics are text"));
        };
        Ok(text(media_type, metrics::render(&measured)))
    }
}

fn describe(check: &ProbeCheck) -> String {
    match check {
        ProbeCheck::Http(check) => format!("http {}", check.url),
        ProbeCheck::Tcp(target) => format!("tcp {target}"),
        ProbeCheck::Exec(command) => format!("exec {command}"),
        ProbeCheck::Grpc { target, service } => format!("grpc {target} {service}").trim_end().to_owned(),
        ProbeCheck::Notify => "notify".to_owned(),
        ProbeCheck::File { path, .. } => format!("file {}", path.display()),
        ProbeCheck::Log(pattern) => format!("log {pattern}"),
    }
}
