//! From the definition as written to the plan: defaults that depend on each other, paths, the environment, credentials.
//! What cannot be resolved becomes a diagnostic, and the plan goes on without it, so that one run finds everything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use crate::check::Code;
use crate::command_line::CommandLine;
use crate::definition::{
    Account, Alert, Breaker, Credential, Definition, EnvironmentValue, Fallback, FallbackUntil, INHERITED_BY_DEFAULT,
    INHERITED_BY_DEFAULT_ON_WINDOWS, Inherit, PERSONAL_ON_WINDOWS, Probe, ProbeKind, Probes, Reload, Restart,
    RestartPolicy, SecretText, Service, ServiceName, ServiceType, WINDOWS,
};
use crate::diagnostic::Diagnostic;
use crate::facts::{Facts, Logon, System};
use crate::fingerprint::{Fingerprint, fingerprint, of_files};
use crate::load::Input;
use crate::placeholder::is_name;
use crate::plan::{
    AlertPlan, AlertRoute, BreakerPlan, FallbackPlan, HttpCheck, Plan, ProbeCheck, ProbePlan, ProbePlans, ReloadPlan,
    RestartPlan, ServicePlan,
};
use crate::ports;
use crate::secret::{Secret, Secrets, looks_secret};
use crate::source::Span;
use crate::value::Node;

/// How long a service of type `notify` may take to say READY=1 when the definition does not say; systemd's own default.
pub(crate) const NOTIFY_START_TIMEOUT: Duration = Duration::from_secs(90);

/// Where things are written, and which of them could not be read.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub tree: &'a Node,
    pub faulty: &'a [Vec<String>],
}

impl Places<'_> {
    /// The place of a value, or of the nearest thing around it that is written.
    pub(crate) fn value(&self, path: &[&str]) -> Option<Span> {
        (1..=path.len()).rev().find_map(|length| self.exact(&path[..length]))
    }

    /// The place of a value, if it is written.
    pub(crate) fn exact(&self, path: &[&str]) -> Option<Span> {
        self.tree.at(path.iter().copied()).map(|node| node.span)
    }

    /// The place of a key, or of the nearest thing around it that is written.
    pub(crate) fn key(&self, path: &[&str]) -> Option<Span> {
        let Some((last, parents)) = path.split_last() else { return self.value(path) };
        let table = self.tree.at(parents.iter().copied()).and_then(Node::as_table);
        table.and_then(|table| table.get(*last)).map(|entry| entry.key).or_else(|| self.value(parents))
    }

    /// Whether a mistake in this value, or in something in it, is reported already.
    pub(crate) fn is_faulty(&self, path: &[&str]) -> bool {
        self.faulty.iter().any(|faulty| faulty.iter().zip(path).all(|(left, right)| left == right))
    }
}

/// Builds the plan. What is wrong is added to `diagnostics`.
pub(crate) fn build(
    definition: &Definition,
    input: &Input,
    places: &Places<'_>,
    facts: &dyn Facts,
    diagnostics: &mut Vec<Diagnostic>,
) -> Plan {
    let mut builder = Builder { input, places, facts, diagnostics };
    let services = definition
        .service
        .iter()
        .map(|(name, service)| (name.clone(), Arc::new(builder.service(name, service))))
        .collect();
    let alerts = definition
        .alert
        .iter()
        .filter_map(|(name, alert)| builder.alert(name, alert).map(|plan| (name.clone(), Arc::new(plan))))
        .collect();
    Plan {
        name: definition.guard.name.clone().unwrap_or_else(|| name_of_folder(&input.folder)),
        folder: input.folder.clone(),
        access: definition.guard.access.clone(),
        journal: definition.guard.journal.clone(),
        services,
        alerts,
        texts: Arc::default(),
    }
}

/// The folder's name with what no name may have left out, or `default`.
fn name_of_folder(folder: &Path) -> ServiceName {
    let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed: String = folder
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .collect();
    let trimmed = allowed.trim_start_matches(['.', '_', '-']);
    let cut = &trimmed[..trimmed.len().min(crate::definition::NAME_LENGTH_MAX)];
    cut.parse().or_else(|_| "default".parse()).expect("'default' is a name")
}

struct Builder<'a> {
    input: &'a Input,
    places: &'a Places<'a>,
    facts: &'a dyn Facts,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Builder<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn service(&mut self, name: &ServiceName, service: &Service) -> ServicePlan {
        let mut secrets = Secrets::default();
        self.collect_expanded_secrets(&["service", name.as_str()], &mut secrets);
        let folder = &self.input.folder;
        let directory = service.directory.as_ref().map_or_else(|| folder.clone(), |directory| folder.join(directory));
        let command = service.command.clone().unwrap_or_default();
        let mut environment = self.inherited_environment(service);
        let own_environment = self.own_environment(name, service, &directory, &mut secrets);
        environment.extend(own_environment.clone());
        environment.iter().filter(|(key, _)| looks_secret(key)).for_each(|(_, value)| secrets.add(value));
        let password = self.password(name, service, &directory, &mut secrets);
        let probes = self.probes(name, &service.probe, &directory, &mut secrets);
        let listens = listened_ports(&command, &probes);
        let mut plan = ServicePlan {
            name: name.clone(),
            description: service.description.clone(),
            display_name: service.display_name.clone().unwrap_or_else(|| name.to_string()),
            command,
            user: service.user.clone(),
            password,
            group: service.group.clone(),
            groups: service.groups.clone(),
            umask: service.umask,
            nice: service.nice,
            environment,
            depends_on: service.depends_on.0.clone(),
            start: service.start,
            kind: service.kind,
            essential: service.essential,
            start_timeout: service
                .start_timeout
                .or((service.kind == ServiceType::Notify).then_some(NOTIFY_START_TIMEOUT)),
            fd_store: service.fd_store,
            probes,
            restart: restart(&service.restart, service.kind),
            breaker: breaker(&service.breaker, &listens),
            stop: service.stop.clone(),
            reload: self.reload(&service.reload, &directory),
            log: service.log.clone(),
            limits: service.limits.clone(),
            directory,
            secrets,
            fingerprint: Fingerprint::default(),
            configuration: None,
        };
        plan.fingerprint = fingerprint(&plan, &service.inherit, &own_environment);
        plan.configuration = of_files(&plan.reload.files);
        plan
    }

    /// Values of a service or an alert that came from a placeholder whose name looks like that of a secret.
    fn collect_expanded_secrets(&self, path: &[&str], secrets: &mut Secrets) {
        fn walk(node: &Node, values: &mut dyn FnMut(&str)) {
            let is_secret = node.expansions.iter().any(|expansion| looks_secret(&expansion.name));
            match &node.value {
                crate::value::Value::String(text) if is_secret => values(text),
                crate::value::Value::Array(items) => items.iter().for_each(|item| walk(item, values)),
                crate::value::Value::Table(table) => table.values().for_each(|entry| walk(&entry.node, values)),
                crate::value::Value::String(_)
                | crate::value::Value::Integer(_)
                | crate::value::Value::Float(_)
                | crate::value::Value::Boolean(_)
                | crate::value::Value::Datetime(_) => {}
            }
        }
        if let Some(node) = self.places.tree.at(path.iter().copied()) {
            walk(node, &mut |value| secrets.add(value));
        }
    }

    /// What comes from the guard's own environment, unless [`Self::own_environment`] says otherwise.
    fn inherited_environment(&self, service: &Service) -> BTreeMap<String, String> {
        let mut environment = self.inherited(&service.inherit);
        let is_windows = self.facts.system() == System::Windows;
        let is_own = |user: &Account| self.facts.user(&user.0).is_some_and(|user| user.logon == Logon::Own);
        if is_windows && service.user.as_ref().is_some_and(|user| !is_own(user)) {
            leave_out_personal(&mut environment, &service.inherit);
        }
        environment
    }

    /// What comes from the definition: the account's variables, those of the file, and those that are named.
    fn own_environment(
        &mut self,
        name: &ServiceName,
        service: &Service,
        directory: &Path,
        secrets: &mut Secrets,
    ) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        let user = service.user.as_ref().and_then(|user| self.facts.user(&user.0));
        if let Some(user) = user.filter(|_| self.facts.system() != System::Windows) {
            environment.insert("HOME".to_owned(), user.home.to_string_lossy().into_owned());
            environment.insert("SHELL".to_owned(), user.shell.to_string_lossy().into_owned());
            environment.insert("USER".to_owned(), user.name.clone());
            environment.insert("LOGNAME".to_owned(), user.name);
        }
        if let Some(path) = &service.env_file {
            // What is wrong with the file was reported when placeholders were expanded.
            let text = self.facts.read(&directory.join(path)).unwrap_or_default();
            environment.extend(crate::env_file::parse(&text).0);
        }
        for (key, EnvironmentValue(value)) in &service.environment {
            let path = ["service", name.as_str(), "environment", key.as_str()];
            if !is_variable_name(key) {
                let message = format!("'{key}' cannot be the name of an environment variable");
                let span = self.places.key(&path);
                self.report(
                    Diagnostic::new(Code::BadName, message).at(span).help("leave out '=', NUL bytes and blanks"),
                );
                continue;
            }
            if let Some(value) = self.secret_text(value, &path, directory, secrets) {
                environment.insert(key.clone(), value);
            }
        }
        environment
    }

    fn password(
        &mut self,
        name: &ServiceName,
        service: &Service,
        directory: &Path,
        secrets: &mut Secrets,
    ) -> Option<Secret> {
        let Credential(source) = service.password.as_ref()?;
        let path = ["service", name.as_str(), "password"];
        self.secret_text(&SecretText::Credential(source.clone()), &path, directory, secrets).map(Secret)
    }

    fn inherited(&self, inherit: &Inherit) -> BTreeMap<String, String> {
        let ours = &self.input.environment;
        let pick = |names: &mut dyn Iterator<Item = &str>| {
            names
                .filter_map(|name| ours.get_key_value(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let on_windows: &[&str] = if ours.contains_key(WINDOWS) { &INHERITED_BY_DEFAULT_ON_WINDOWS } else { &[] };
        let standard: Vec<&str> = INHERITED_BY_DEFAULT.iter().chain(on_windows).copied().collect();
        match inherit {
            Inherit::All => ours.clone(),
            Inherit::Standard => pick(&mut standard.iter().copied()),
            Inherit::Names(names) => pick(&mut standard.iter().copied().chain(names.iter().map(String::as_str))),
        }
    }

    fn secret_text(
        &mut self,
        text: &SecretText,
        path: &[&str],
        directory: &Path,
        secrets: &mut Secrets,
    ) -> Option<String> {
        let source = match text {
            SecretText::Plain(text) => return Some(text.clone()),
            SecretText::Credential(source) => source,
        };
        let file = directory.join(source.strip_prefix("file:").unwrap_or(source));
        match self.facts.read(&file) {
            Ok(text) => {
                let value = text.strip_suffix('\n').unwrap_or(&text);
                let value = value.strip_suffix('\r').unwrap_or(value);
                secrets.add(value);
                Some(value.to_owned())
            }
            Err(why) => {
                let message = format!("the credential {} cannot be read: {why}", file.display());
                let span = self.places.value(path);
                self.report(
                    Diagnostic::new(Code::Credential, message)
                        .at(span)
                        .help("create the file, readable for the guard alone"),
                );
                None
            }
        }
    }

    fn probes(&mut self, name: &ServiceName, probes: &Probes, directory: &Path, secrets: &mut Secrets) -> ProbePlans {
        let mut one = |kind: ProbeKind, probe: &Option<Probe>| {
            probe.as_ref().and_then(|probe| {
                self.probe(&["service", name.as_str(), "probe", kind.as_str()], kind, probe, directory, secrets)
            })
        };
        ProbePlans {
            startup: one(ProbeKind::Startup, &probes.startup),
            liveness: one(ProbeKind::Liveness, &probes.liveness),
            readiness: one(ProbeKind::Readiness, &probes.readiness),
        }
    }

    fn probe(
        &mut self,
        path: &[&str],
        kind: ProbeKind,
        probe: &Probe,
        directory: &Path,
        secrets: &mut Secrets,
    ) -> Option<ProbePlan> {
        let named: Vec<&str> = probe.methods().into_iter().filter_map(|(key, there)| there.then_some(key)).collect();
        if named.len() != 1 {
            if !self.places.is_faulty(path) {
                let message = match named.as_slice() {
                    [] => format!("the {kind} probe does not say what to probe"),
                    several => format!("the {kind} probe names {}; it can have one", several.join(" and ")),
                };
                let help = "give it exactly one of http, tcp, exec, grpc, notify, file, log";
                self.report(Diagnostic::new(Code::ProbeMethod, message).at(self.places.key(path)).help(help));
            }
            return None;
        }
        if kind != ProbeKind::Readiness && probe.success != 1 {
            let span = self.places.value(&[path, &["success"]].concat());
            let message = format!("`success` of a {kind} probe is always 1");
            self.report(
                Diagnostic::new(Code::BadValue, message).at(span).help("leave it out; only readiness can ask for more"),
            );
        }
        let check = self.probe_check(path, probe, directory, secrets)?;
        self.refuse_zero(path, probe);
        Some(ProbePlan {
            check,
            interval: probe.interval.max(Duration::from_millis(1)),
            timeout: probe.timeout.max(Duration::from_millis(1)),
            success: probe.success.max(1),
            failure: probe.failure.max(1),
            delay: probe.delay,
        })
    }

    fn refuse_zero(&mut self, path: &[&str], probe: &Probe) {
        let zeros = [
            ("interval", probe.interval.is_zero()),
            ("timeout", probe.timeout.is_zero()),
            ("success", probe.success == 0),
            ("failure", probe.failure == 0),
        ];
        for (key, _) in zeros.into_iter().filter(|(_, zero)| *zero) {
            let span = self.places.value(&[path, &[key]].concat());
            self.report(Diagnostic::new(Code::BadValue, format!("`{key}` of a probe cannot be 0")).at(span));
        }
    }

    fn probe_check(
        &mut self,
        path: &[&str],
        probe: &Probe,
        directory: &Path,
        secrets: &mut Secrets,
    ) -> Option<ProbeCheck> {
        if let Some(url) = &probe.http {
            return self.http_check(path, url, probe, directory, secrets);
        }
        if let Some(target) = &probe.tcp {
            return Some(ProbeCheck::Tcp(target.clone()));
        }
        if let Some(command) = &probe.exec {
            if command.is_empty() {
                let span = self.places.value(&[path, &["exec"]].concat());
                self.report(Diagnostic::new(Code::EmptyCommand, "the command of this probe is empty").at(span));
            }
            return Some(ProbeCheck::Exec(command.clone()));
        }
        if let Some(target) = &probe.grpc {
            return Some(ProbeCheck::Grpc {
                target: target.clone(),
                service: probe.grpc_service.clone().unwrap_or_default(),
            });
        }
        if let Some(file) = &probe.file {
            return Some(ProbeCheck::File { path: directory.join(file), younger_than: probe.younger_than });
        }
        if let Some(pattern) = &probe.log {
            self.check_pattern(&[path, &["log"]].concat(), pattern);
            return Some(ProbeCheck::Log(pattern.clone()));
        }
        Some(ProbeCheck::Notify)
    }

    fn http_check(
        &mut self,
        path: &[&str],
        url: &str,
        probe: &Probe,
        directory: &Path,
        secrets: &mut Secrets,
    ) -> Option<ProbeCheck> {
        let at = |key: &'static str| [path, &[key]].concat();
        if let Err(why) = check_url(url) {
            let span = self.places.value(&at("http"));
            self.report(
                Diagnostic::new(Code::BadValue, format!("'{url}' is not a URL to probe: {why}"))
                    .at(span)
                    .help("write http://127.0.0.1:8080/healthz"),
            );
            return None;
        }
        let method = probe.method.as_deref().unwrap_or("GET");
        if http::Method::from_bytes(method.as_bytes()).is_err() {
            let span = self.places.value(&at("method"));
            self.report(Diagnostic::new(Code::BadValue, format!("'{method}' is not an HTTP method")).at(span));
        }
        if let Some(pattern) = &probe.body {
            self.check_pattern(&at("body"), pattern);
        }
        let headers = self.headers(&at("headers"), &probe.headers, directory, secrets);
        Some(ProbeCheck::Http(Box::new(HttpCheck {
            url: url.to_owned(),
            method: method.to_owned(),
            headers,
            status: probe.status.clone(),
            body: probe.body.clone(),
        })))
    }

    fn headers(
        &mut self,
        path: &[&str],
        headers: &IndexMap<String, SecretText>,
        directory: &Path,
        secrets: &mut Secrets,
    ) -> Vec<(String, String)> {
        let mut resolved = Vec::new();
        for (name, value) in headers {
            let path = [path, &[name.as_str()]].concat();
            let Some(value) = self.secret_text(value, &path, directory, secrets) else { continue };
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() || http::HeaderValue::from_str(&value).is_err() {
                let span = self.places.key(&path);
                self.report(
                    Diagnostic::new(Code::BadValue, format!("'{name}' cannot be sent as an HTTP header")).at(span),
                );
                continue;
            }
            if looks_secret(name) {
                secrets.add(&value);
            }
            resolved.push((name.clone(), value));
        }
        resolved
    }

    fn check_pattern(&mut self, path: &[&str], pattern: &str) {
        if let Err(error) = regex::Regex::new(pattern) {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let span = self.places.value(path);
            self.report(Diagnostic::new(Code::BadValue, format!("this is not a regular expression: {why}")).at(span));
        }
    }

    fn reload(&self, reload: &Reload, directory: &Path) -> ReloadPlan {
        let with_digest = |file: &String| {
            let path = directory.join(file);
            let digest = self.facts.digest(&path);
            (path, digest)
        };
        ReloadPlan { signal: reload.signal, files: reload.files.iter().map(with_digest).collect() }
    }

    fn alert(&mut self, name: &ServiceName, alert: &Alert) -> Option<AlertPlan> {
        let path = ["alert", name.as_str()];
        let mut secrets = Secrets::default();
        self.collect_expanded_secrets(&path, &mut secrets);
        let folder = self.input.folder.clone();
        let route = match (&alert.webhook, &alert.exec) {
            (Some(url), None) => {
                let url = self.secret_text(url, &[&path[..], &["webhook"]].concat(), &folder, &mut secrets)?;
                if let Err(why) = check_url(&url) {
                    let span = self.places.value(&[&path[..], &["webhook"]].concat());
                    self.report(
                        Diagnostic::new(Code::BadValue, format!("this is not a URL to call: {why}"))
                            .at(span)
                            .help("write https://…"),
                    );
                    return None;
                }
                let headers = self.headers(&[&path[..], &["headers"]].concat(), &alert.headers, &folder, &mut secrets);
                AlertRoute::Webhook { url, headers }
            }
            (None, Some(command)) if !command.is_empty() => AlertRoute::Exec(command.clone()),
            (None, Some(_)) => {
                let span = self.places.value(&[&path[..], &["exec"]].concat());
                self.report(Diagnostic::new(Code::EmptyCommand, "the command of this alert is empty").at(span));
                return None;
            }
            (None, None) | (Some(_), Some(_)) => {
                if !self.places.is_faulty(&path) {
                    let diagnostic =
                        Diagnostic::new(Code::AlertRoute, format!("alert '{name}' needs either `webhook` or `exec`"));
                    self.report(diagnostic.at(self.places.key(&path)).help("give it exactly one of the two"));
                }
                return None;
            }
        };
        Some(AlertPlan {
            route,
            on: alert.on.clone(),
            services: alert.services.clone(),
            repeat_after: alert.repeat_after,
            retries: alert.retries,
            timeout: alert.timeout.max(Duration::from_millis(1)),
            secrets,
        })
    }
}

/// Takes out what is the guard's own and not the account's, which Windows knows when the program starts. What the definition
/// names stays.
fn leave_out_personal(environment: &mut BTreeMap<String, String>, inherit: &Inherit) {
    let named: &[String] = match inherit {
        Inherit::Names(names) => names,
        Inherit::Standard | Inherit::All => &[],
    };
    environment.retain(|name, _| {
        let is_personal = PERSONAL_ON_WINDOWS.iter().any(|personal| personal.eq_ignore_ascii_case(name));
        !is_personal || named.contains(name)
    });
}

fn is_variable_name(name: &str) -> bool {
    is_name(name) || (!name.is_empty() && !name.contains(['=', '\0', ' ', '\n']))
}

/// Why a text is not an `http` or `https` URL.
fn check_url(url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        Some("http" | "https") => Err("it names no host".to_owned()),
        Some(other) => Err(format!("'{other}' is neither http nor https")),
        None => Err("it does not start with http:// or https://".to_owned()),
    }
}

fn restart(restart: &Restart, kind: ServiceType) -> RestartPlan {
    let policy = restart.policy.unwrap_or(match kind {
        ServiceType::Daemon | ServiceType::Notify => RestartPolicy::Always,
        ServiceType::Oneshot => RestartPolicy::OnFailure,
    });
    RestartPlan { policy, rules: Restart { policy: Some(policy), ..restart.clone() } }
}

fn breaker(breaker: &Breaker, listens: &std::collections::BTreeSet<u16>) -> BreakerPlan {
    let fallback = breaker.fallback.as_ref().map(|Fallback { command, until }| {
        let shares_port = ports::listened_by(command).iter().any(|port| listens.contains(port));
        let default = if shares_port { FallbackUntil::Trial } else { FallbackUntil::Ready };
        FallbackPlan { command: command.clone(), until: until.unwrap_or(default) }
    });
    BreakerPlan {
        failures: breaker.failures,
        within: breaker.within,
        open_for: breaker.open_for,
        max_open: breaker.max_open,
        close_after: breaker.close_after,
        give_up_after: breaker.give_up_after,
        fallback,
    }
}

/// The ports a service seems to listen on: from its command, and from probes of this machine.
pub(crate) fn listened_ports(command: &CommandLine, probes: &ProbePlans) -> std::collections::BTreeSet<u16> {
    let mut listens = ports::listened_by(command);
    let probed =
        ProbeKind::ALL.into_iter().filter_map(|kind| probes.get(kind)).filter_map(|probe| match &probe.check {
            ProbeCheck::Http(http) => ports::url_target(&http.url).as_ref().and_then(ports::local_port),
            ProbeCheck::Tcp(target) | ProbeCheck::Grpc { target, .. } => ports::local_port(target),
            ProbeCheck::Exec(_) | ProbeCheck::Notify | ProbeCheck::File { .. } | ProbeCheck::Log(_) => None,
        });
    listens.extend(probed);
    listens
}

/// The program a service would run, as a path where that can be told without looking: relative paths start at the directory.
pub(crate) fn program_path(program: &str, directory: &Path) -> Option<PathBuf> {
    let has_folder = program.contains('/') || program.contains('\\');
    has_folder.then(|| directory.join(program))
}
