//! Finding running guards and speaking to them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use menshen_api::client::Call;
use menshen_api::types::{GuardInfo, ListQuery, Service, Trouble};
use menshen_api::{Client, ClientError, Endpoint, page};
use menshen_guard::definition::DefinitionSource;
use menshen_guard::{LeftProcess, definition_of, left_processes, left_unknown};
use menshen_os::file::Lock;
use menshen_os::local_socket;
use menshen_os::paths::Paths;
use menshen_plan::Plan;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::error::Elapsed;

use crate::args::Arguments;
use crate::at_hand::{self, AtHand};
use crate::definition::{all_paths, places};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::record::Record;

/// A guard that works answers at once, whatever its services do.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a guard may be neither there nor gone, and how soon it is asked again.
const CHANGES_WITHIN: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A guard that may be running.
pub(crate) struct Guard {
    pub instance: String,
    pub client: Arc<Client>,
    /// What it answered when it was asked whether it is there, to whoever asks next.
    listed: Cell<Option<Bytes>>,
}

/// Every guard that answers.
pub(crate) struct Guards {
    pub all: Vec<Guard>,
    /// Guards that are there but may not be spoken to.
    denied: Vec<String>,
    /// Guards that are there and do not answer.
    silent: Vec<String>,
    looked_in: Vec<PathBuf>,
    wanted: Option<String>,
    /// The definition here, whose guard is meant where nobody says which.
    at_hand: Option<AtHand>,
}

/// A process that runs on without its guard.
#[derive(Debug, Serialize)]
pub(crate) struct Left {
    pub guard: String,
    /// The service it belongs to.
    pub name: String,
    pub pid: u32,
    /// The definition of that guard, as far as it is known.
    pub definition: Option<String>,
}

/// Runs what has to wait for guards.
pub(crate) fn wait_for<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot wait: {}", menshen_os::error::describe(&error))))?;
    // Where it is: it is large, and handing it on would copy it.
    runtime.block_on(pin!(task))
}

/// Speaks to the guard of this name behind a socket.
pub(crate) fn client(instance: &str, socket: PathBuf) -> Client {
    Client::new(instance, move || {
        let socket = socket.clone();
        async move { local_socket::connect(&socket).await }
    })
}

impl Guards {
    /// Looks for guards and asks each whether it is there.
    pub(crate) async fn find(arguments: &Arguments) -> Self {
        Self::find_by(arguments, Endpoint::GetHealth).await
    }

    /// The same for whoever wants to know their services: that is what each is asked.
    pub(crate) async fn find_with_services(arguments: &Arguments) -> Self {
        Self::find_by(arguments, Endpoint::ListServices).await
    }

    async fn find_by(arguments: &Arguments, endpoint: Endpoint) -> Self {
        let mut guards = Self {
            all: Vec::new(),
            denied: Vec::new(),
            silent: Vec::new(),
            looked_in: Vec::new(),
            wanted: arguments.instance.clone(),
            at_hand: AtHand::look(arguments),
        };
        for place in places() {
            let is_wanted = |instance: &String| {
                place.may_have(instance) && arguments.instance.as_ref().is_none_or(|wanted| wanted == instance)
            };
            let paths = &place.paths;
            for instance in local_socket::instances(&paths.run).into_iter().filter(is_wanted) {
                let client = client(&instance, paths.control(&instance));
                let call = Call::new(endpoint);
                match ask(&instance, &client, &call).await {
                    Ok(Ok(answer)) => {
                        let guard = Guard::new(instance, client);
                        if endpoint == Endpoint::ListServices {
                            guard.listed.set(Some(answer));
                        }
                        guards.all.push(guard);
                    }
                    // It is there, and says so again when it is asked for what is wanted of it.
                    Ok(Err(ClientError::Problem(_))) => {
                        guards.all.push(Guard::new(instance, client));
                    }
                    Ok(Err(ClientError::Unreachable(error)))
                        if error.kind() == std::io::ErrorKind::PermissionDenied =>
                    {
                        guards.denied.push(instance);
                    }
                    // A socket nobody listens on was left by a guard that was killed.
                    Ok(Err(_)) => {}
                    Err(_) if answers(&client, endpoint).await => guards.all.push(Guard::new(instance, client)),
                    Err(_) => guards.silent.push(instance),
                }
            }
            guards.looked_in.push(place.paths.run);
        }
        guards
    }

    /// The guards, of which there must be one at least.
    pub(crate) fn some(&self) -> Result<&[Guard], Failure> {
        if self.all.is_empty() { Err(self.none()) } else { Ok(&self.all) }
    }

    /// Whether there is none, not even one that says nothing.
    pub(crate) const fn are_absent(&self) -> bool {
        self.all.is_empty() && self.denied.is_empty() && self.silent.is_empty()
    }

    /// Whether there are guards that say nothing.
    pub(crate) const fn has_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    /// Tells of guards that are there and say nothing.
    pub(crate) fn note_missing(&self) {
        for instance in &self.silent {
            output::note(format_args!("{}; its services are not shown", silent(instance).message));
        }
    }

    /// The one guard a command is about: that of the definition here, or, where there is none, the only one that is running.
    pub(crate) async fn one(&self) -> Result<&Guard, Failure> {
        let guards = self.some()?;
        match (&self.at_hand, guards) {
            (Some(at_hand), _) => at_hand.guard(guards).await.inspect_err(|_| self.note_missing()),
            (None, [only]) => Ok(only),
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|guard| guard.instance.as_str()).collect();
                let message = format!("several guards are running: {}", names.join(", "));
                Err(Failure::new(Exit::Failed, message).help("say which with --instance NAME"))
            }
        }
    }

    fn none(&self) -> Failure {
        if !self.denied.is_empty() {
            let message = format!("you may not speak to the guard '{}'", self.denied.join("', '"));
            return Failure::new(Exit::NotPermitted, message)
                .help("root, the guard's own user and the group 'menshen' may; see [guard.access]");
        }
        if let [only] = self.silent.as_slice() {
            return silent(only);
        }
        if !self.silent.is_empty() {
            let messages: Vec<String> = self.silent.iter().map(|instance| silent(instance).message).collect();
            return Failure::new(Exit::NoGuard, messages.join("; ")).help("say with --instance NAME which you mean");
        }
        let folders: Vec<String> = self.looked_in.iter().map(|path| path.display().to_string()).collect();
        let name = self.wanted.as_ref().map(|name| format!(" named '{name}'")).unwrap_or_default();
        let failure =
            Failure::new(Exit::NoGuard, format!("no guard{name} is running (looked in {})", folders.join(", ")));
        let gone: Vec<(String, String)> = self.gone().filter_map(|name| Some((told_left(&name)?, name))).collect();
        let Some((_, name)) = gone.first() else { return failure.help("start one with `menshen up`") };
        let left: Vec<&str> = gone.iter().map(|(left, _)| left.as_str()).collect();
        failure.help(format!(
            "{}; `menshen up` with its definition takes them over as they run; where that is gone, `menshen up` with one that has \
             nothing but guard.name = \"{name}\" stops them",
            left.join("; ")
        ))
    }

    /// The guards that were here since the machine was started, as far as they are meant.
    fn were_here(&self) -> impl Iterator<Item = String> {
        // One name may have been in several of them.
        let were_here: BTreeSet<String> = self.looked_in.iter().flat_map(|run| were_in(run)).collect();
        were_here.into_iter().filter(|instance| self.wanted.as_ref().is_none_or(|wanted| wanted == instance))
    }

    /// Those of them that are not there any more. Whoever may only ask a guard does not see its locks.
    fn gone(&self) -> impl Iterator<Item = String> {
        let answers = |instance: &String| self.all.iter().any(|guard| guard.instance == *instance);
        let is_there = move |instance: &String| {
            answers(instance) || self.denied.contains(instance) || self.silent.contains(instance) || is_held(instance)
        };
        self.were_here().filter(move |instance| !is_there(instance))
    }

    /// What runs on without a guard.
    pub(crate) fn left(&self) -> Result<Vec<Left>, Failure> {
        let gone: Vec<String> = self.gone().collect();
        let records = if gone.is_empty() { Vec::new() } else { Record::all_readable()? };
        let mut left = Vec::new();
        for guard in gone {
            let installed =
                || records.iter().find(|record| record.guard == guard).map(|record| record.definition.clone());
            let here =
                || self.at_hand.as_ref().filter(|at_hand| at_hand.guard_name() == Some(&*guard)).map(AtHand::place);
            let known = installed().or_else(here);
            for paths in all_paths() {
                let definition = definition_of(&paths, &guard).or_else(|| known.clone());
                let definition = definition.map(|path| path.display().to_string());
                left.extend(left_processes(&paths, &guard).into_iter().map(|LeftProcess { service, pid }| Left {
                    guard: guard.clone(),
                    name: service,
                    pid,
                    definition: definition.clone(),
                }));
            }
        }
        Ok(left)
    }

    /// Why it is not known of some services whether anything of them runs on without a guard.
    pub(crate) fn left_unknown(&self) -> Vec<String> {
        let of_guard = |guard: String| all_paths().into_iter().flat_map(move |paths| left_unknown(&paths, &guard));
        self.gone().flat_map(of_guard).collect()
    }

    /// Every service of every guard, with the guard it belongs to.
    pub(crate) async fn services(&self) -> Result<Vec<(&Guard, Service)>, Failure> {
        let mut services = Vec::new();
        for guard in self.some()? {
            services.extend(guard.services().await?.into_iter().map(|service| (guard, service)));
        }
        Ok(services)
    }

    /// The service a name means.
    pub(crate) async fn find_service(&self, name: &str, aim: Aim) -> Result<(&Guard, Service), Failure> {
        let mut found = self.find_services(&[name.to_owned()], aim).await?;
        found.pop().ok_or_else(|| Failure::new(Exit::NoSuchService, format!("there is no service '{name}'")))
    }

    /// The services that names mean.
    pub(crate) async fn find_services(&self, names: &[String], aim: Aim) -> Result<Vec<(&Guard, Service)>, Failure> {
        let services = self.services().await?;
        let mut found = Vec::new();
        for name in names {
            found.push(self.meant(&services, name, aim).await.inspect_err(|_| self.note_missing())?);
        }
        Ok(found)
    }

    /// What the guard of the definition here has is meant, whichever other ones have a service of this name. What is to be changed
    /// has to be known not to be of that definition before it is looked for elsewhere.
    async fn meant<'a>(
        &'a self,
        services: &[(&'a Guard, Service)],
        name: &str,
        aim: Aim,
    ) -> Result<(&'a Guard, Service), Failure> {
        let Some(at_hand) = self.at_hand.as_ref().filter(|_| !name.contains('/')) else {
            return find(services, name).cloned();
        };
        let own = at_hand.guard(&self.all).await;
        let is_own = |guard: &Guard| own.as_ref().is_ok_and(|own| std::ptr::eq(*own, guard));
        let of_own: Vec<(&Guard, Service)> = services.iter().filter(|(guard, _)| is_own(guard)).cloned().collect();
        let found = find(&of_own, name).cloned();
        if found.is_ok() {
            return found;
        }
        match (at_hand.defines(name), own, aim) {
            (Err(failure), _, Aim::Change) | (Ok(true), Err(failure), Aim::Change) => Err(failure),
            // It is defined by now, and its guard has yet to be told.
            (Ok(true), Ok(_), _) => found,
            (Ok(false), _, _) | (Ok(true) | Err(_), _, Aim::Look) => find(services, name).cloned(),
        }
    }

    /// The name of the guard of the definition here, whether it runs or not.
    pub(crate) fn name_at_hand(&self) -> Option<&str> {
        self.at_hand.as_ref()?.guard_name()
    }
}

/// What a service is looked for for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Something is done to it.
    Change,
    /// It is only shown.
    Look,
}

/// Whether a guard of this name lives, whether it answers or not; also one whose run folder was removed.
pub(crate) fn is_held(instance: &str) -> bool {
    let is_held = |lock: PathBuf| matches!(Lock::is_held(&lock), Ok(true));
    all_paths().iter().any(|paths| is_held(paths.lock(instance)) || is_held(paths.memory_lock(instance)))
}

/// The services that a guard of this name left running when it was killed, or made room for the next.
pub(crate) fn left_running(instance: &str) -> Vec<String> {
    all_paths().iter().flat_map(|paths| menshen_guard::left_running(paths, instance)).collect()
}

/// Asks whoever may be a guard. One that was killed holds its lock until its memory is gone, and one that begins has its lock
/// before it listens: neither is there for a moment, and what it guards is nobody's for no longer than that.
async fn ask(instance: &str, client: &Client, call: &Call<'_>) -> Result<Result<Bytes, ClientError>, Elapsed> {
    let begun = Instant::now();
    loop {
        let answer = tokio::time::timeout(ANSWER_WITHIN, client.unread(call)).await;
        let is_absent = matches!(&answer, Ok(Err(error)) if is_of_absent_guard(error));
        if !is_absent || begun.elapsed() >= CHANGES_WITHIN || !is_held(instance) {
            return answer;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether nobody is there, or whoever was there is gone.
pub(crate) fn is_of_absent_guard(error: &ClientError) -> bool {
    match error {
        ClientError::Broken(_) => true,
        ClientError::Unreachable(error) => error.kind() != std::io::ErrorKind::PermissionDenied,
        ClientError::Problem(_) | ClientError::Unreadable(_) | ClientError::Silent { .. } => false,
    }
}

/// Whether a guard that took too long for something else answers at all: one that is busy does.
async fn answers(client: &Client, asked: Endpoint) -> bool {
    let health = Call::new(Endpoint::GetHealth);
    asked != Endpoint::GetHealth
        && matches!(tokio::time::timeout(ANSWER_WITHIN, client.unread(&health)).await, Ok(Ok(_)))
}

/// Whether the last guard of this name ended in order, so that there need not be a next one; `None` if that cannot be seen. One
/// that lives has not ended.
pub(crate) fn ended_in_order(instance: &str) -> Option<bool> {
    if is_held(instance) {
        return Some(false);
    }
    let all: Vec<_> = all_paths().iter().map(|paths| menshen_guard::ended_in_order(paths, instance)).collect();
    if all.iter().any(|one| matches!(one, Ok(false))) {
        return Some(false);
    }
    all.iter().all(Result::is_ok).then_some(true)
}

/// Whether the last guard of this name has noted that somebody asked for a service to be stopped.
pub(crate) fn is_asked_to_stop(instance: &str, service: &str) -> bool {
    all_paths().iter().any(|paths| menshen_guard::is_asked_to_stop(paths, instance, service))
}

/// Where guards of this name left something running, as they noted it; of one name there may be several, in different places.
fn places_of_left(instance: &str) -> impl Iterator<Item = (Paths, Vec<String>)> {
    let left = move |paths: Paths| {
        let left = menshen_guard::left_running(&paths, instance);
        (!left.is_empty()).then_some((paths, left))
    };
    all_paths().into_iter().filter_map(left)
}

/// What a guard of this name left running, in words.
pub(crate) fn told_left(instance: &str) -> Option<String> {
    let told = places_of_left(instance).map(|(paths, left)| told_left_in(&paths, instance, &left)).collect::<Vec<_>>();
    (!told.is_empty()).then(|| told.join("; "))
}

fn told_left_in(paths: &Paths, instance: &str, left: &[String]) -> String {
    let run = if left.len() == 1 { "runs" } else { "run" };
    let definition = definition_of(paths, instance).map(|path| format!(" ({})", path.display())).unwrap_or_default();
    format!("of the last guard '{instance}'{definition} still {run}, without a guard: {}", left.join(", "))
}

/// Says what becomes of the programs of earlier guards that this one does not take over: those that the last one of its name
/// left and it does not know, which it stops, and those that run on by its definition under another name.
pub(crate) fn note_not_taken_over(plan: &Plan, source: &DefinitionSource) {
    let instance = plan.name.as_str();
    if is_held(instance) {
        return;
    }
    for (paths, left) in places_of_left(instance) {
        note_given_up(plan, source, &paths, left);
    }
    for paths in all_paths() {
        let others = were_in(&paths.run).into_iter().filter(|other| other != instance);
        for other in others.filter(|other| definition_of(&paths, other).is_some_and(|path| is_of(&path, source))) {
            note_second(instance, source, &paths, &other);
        }
    }
}

fn note_given_up(plan: &Plan, source: &DefinitionSource, paths: &Paths, mut left: Vec<String>) {
    left.retain(|service| !plan.services.contains_key(service.as_str()));
    if !left.is_empty() {
        let (names, is_stopped) = (left.join(", "), if left.len() == 1 { "is" } else { "are" });
        let theirs = definition_of(paths, plan.name.as_str()).filter(|path| !is_of(path, source));
        let theirs = theirs.map(|path| format!(" ({})", path.display())).unwrap_or_default();
        output::note(format_args!(
            "{names} of the last guard '{}'{theirs} {is_stopped} not among what this one guards, and {is_stopped} stopped",
            plan.name
        ));
    }
}

/// One definition may well be guarded twice; that somebody has given its guard another name meanwhile is more likely.
fn note_second(instance: &str, source: &DefinitionSource, paths: &Paths, other: &str) {
    if matches!(Lock::is_held(&paths.lock(other)), Ok(true)) {
        return output::note(format_args!(
            "the guard '{other}' has this definition, too; what it guards runs beside what '{instance}' starts"
        ));
    }
    let left = menshen_guard::left_running(paths, other);
    if !left.is_empty() {
        output::note(format_args!(
            "{}; what '{instance}' starts runs beside that. To go on with that instead, end '{instance}', and then \
             `menshen up --file {} --set guard.name={other}`",
            told_left_in(paths, other, &left),
            source.path.display()
        ));
    }
}

/// Whether this is where a guard's definition is.
fn is_of(path: &Path, source: &DefinitionSource) -> bool {
    source.text.is_none() && at_hand::is_same(path, &source.path)
}

/// The process of the guard of this name that lives, whether it answers or not.
pub(crate) fn holder(instance: &str) -> Option<u32> {
    all_paths().iter().find_map(|paths| Lock::holder(&paths.lock(instance)))
}

/// What to say where a guard of this name is to be started, and this process is one. Of another definition, whatever is done to
/// it is done to somebody else's services.
pub(crate) async fn runs_already(guard: &Guard, pid: u32, source: &DefinitionSource) -> Failure {
    let instance = &guard.instance;
    let message = format!("a guard named '{instance}' is running already (process {pid}");
    let info = match tokio::time::timeout(ANSWER_WITHIN, guard.info()).await {
        Ok(Ok(info)) => Some(info),
        Ok(Err(_)) | Err(_) => None,
    };
    let Some(info) = info else { return Failure::new(Exit::Failed, format!("{message})")) };
    let failure = Failure::new(Exit::Failed, format!("{message}); {}", at_hand::of(&info)));
    let own = source.files().unwrap_or_default();
    if source.text.is_some() {
        failure.help("`--name NAME` gives this one another name")
    } else if own.iter().flatten().any(|file| at_hand::has(&info, file)) {
        failure.help("`menshen reload` has it follow a changed definition; `menshen down` ends it")
    } else {
        failure.help("give this one another name: `guard.name` in its definition, or `--set guard.name=NAME`")
    }
}

/// What to say of a guard that is there and does not answer.
pub(crate) fn silent(instance: &str) -> Failure {
    let Some(pid) = holder(instance) else {
        let message = format!("the guard '{instance}' does not answer");
        return Failure::new(Exit::NoGuard, message).help("it is stopped (SIGSTOP), or the machine is very busy");
    };
    let message = format!("the guard '{instance}' (process {pid}) holds its lock but does not answer");
    Failure::new(Exit::NoGuard, message).help(format!(
        "it is stopped (SIGSTOP), or the machine is very busy: `kill -CONT {pid}` has it go on; \
         after `kill -KILL {pid}` its services run on, and `menshen up` takes them over"
    ))
}

/// The one of these services that a name means: `web`, or `shop/web` where several guards have one.
pub(crate) fn find<'a, 'g>(
    services: &'a [(&'g Guard, Service)],
    name: &str,
) -> Result<&'a (&'g Guard, Service), Failure> {
    // A guard is the one that was asked, whatever it says of itself.
    let means = |(guard, service): &&(&Guard, Service)| match name.split_once('/') {
        Some((instance, name)) => guard.instance == instance && service.name == name,
        None => service.name == name,
    };
    let found: Vec<&(&Guard, Service)> = services.iter().filter(means).collect();
    match found[..] {
        [only] => Ok(only),
        [] => {
            let failure = Failure::new(Exit::NoSuchService, format!("there is no service '{name}'"));
            let known = names(services);
            Err(if known.is_empty() { failure } else { failure.help(format!("the services are {}", known.join(", "))) })
        }
        _ => {
            let full: Vec<String> = found.iter().map(|(guard, service)| full_name(guard, service)).collect();
            Err(Failure::new(Exit::Failed, format!("several guards have a service '{name}'"))
                .help(format!("say which: {}", full.join(", "))))
        }
    }
}

/// The names that mean these services: those of several guards with that of the guard.
fn names(services: &[(&Guard, Service)]) -> Vec<String> {
    let mut guards = services.iter().map(|(guard, _)| &guard.instance);
    let first = guards.next();
    let is_one = guards.all(|guard| Some(guard) == first);
    let name =
        |(guard, service): &(&Guard, Service)| if is_one { service.name.clone() } else { full_name(guard, service) };
    services.iter().map(name).collect()
}

fn full_name(guard: &Guard, service: &Service) -> String {
    format!("{}/{}", guard.instance, service.name)
}

impl Guard {
    pub(crate) fn new(instance: String, client: Client) -> Self {
        Self { instance, client: Arc::new(client), listed: Cell::default() }
    }

    /// The process of this guard, if it answers.
    pub(crate) async fn pid(&self) -> Option<u32> {
        self.info().await.ok().map(|info| info.pid)
    }

    /// What this guard says of itself.
    pub(crate) async fn info(&self) -> Result<GuardInfo, ClientError> {
        self.client.call(&Call::new(Endpoint::GetGuard)).await
    }

    /// Every service of this guard.
    pub(crate) async fn services(&self) -> Result<Vec<Service>, Failure> {
        Ok(self.list().await?.services)
    }

    /// Every service of this guard and what does not work.
    pub(crate) async fn list(&self) -> Result<Listed<Service, Trouble>, Failure> {
        let mut all: Listed<Service, Trouble> = read(&self.page(None).await?)?;
        while let Some(cursor) = all.next.take() {
            let page: Listed<Service, Trouble> = read(&self.page(Some(cursor)).await?)?;
            all.services.extend(page.services);
            // Every page has all of them.
            all.troubles = page.troubles;
            all.next = page.next;
        }
        Ok(all)
    }

    /// The same word for word, for whoever only passes it on: a newer guard may say more than this command knows of.
    pub(crate) async fn list_as_said(&self) -> Result<Said, Failure> {
        let mut all = Said { services: String::new(), troubles: Vec::new(), are_as_wanted: true };
        let mut next = None;
        loop {
            let page = self.page(next).await?;
            let listed = match page::split(&page) {
                Some((rest, services)) => {
                    all.add(services);
                    read::<Listed<Box<RawValue>, _>>(&rest)?
                }
                None => read(&page)?,
            };
            listed.services.iter().for_each(|service| all.add(service.get()));
            // Every page has all of them.
            all.troubles = listed.troubles;
            all.are_as_wanted = match listed.as_wanted {
                Some(as_wanted) => as_wanted,
                None => all.are_as_wanted && read::<Listed<Service, IgnoredAny>>(&page)?.are_as_wanted(),
            };
            next = listed.next;
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    async fn page(&self, cursor: Option<String>) -> Result<Bytes, Failure> {
        let query = ListQuery { cursor, limit: None };
        match self.listed.take() {
            Some(page) => Ok(page),
            None => Ok(self.client.unread(&Call::new(Endpoint::ListServices).query(&query)?).await?),
        }
    }
}

/// A page of services and troubles, read as far as somebody wants to know: a [`menshen_api::types::ServiceList`].
#[derive(Deserialize)]
pub(crate) struct Listed<S, T> {
    pub services: Vec<S>,
    next: Option<String>,
    #[serde(default = "Vec::new")]
    pub troubles: Vec<T>,
    /// Whether all services of the guard are as they are wanted; older guards do not say.
    as_wanted: Option<bool>,
}

impl<T> Listed<Service, T> {
    fn are_as_wanted(&self) -> bool {
        self.services.iter().all(Service::is_as_wanted)
    }
}

/// All services and troubles of a guard, as it says them.
pub(crate) struct Said {
    /// A line for each service, with a comma after each but the last.
    pub services: String,
    pub troubles: Vec<Box<RawValue>>,
    /// Whether all services are as they are wanted.
    pub are_as_wanted: bool,
}

impl Said {
    fn add(&mut self, services: &str) {
        if !self.services.is_empty() {
            self.services.push_str(",\n");
        }
        self.services.push_str(services);
    }
}

/// Reads what a guard says.
pub(crate) fn read<T: DeserializeOwned>(said: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(said).map_err(|error| ClientError::Unreadable(error.to_string()).into())
}

/// The names of the guards that were in a folder since the machine was started: each has a folder for its pipes.
fn were_in(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
