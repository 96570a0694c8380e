//! Every invariant can fail: for each there is a way in which a core can be wrong, and it is seen.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{Effect, Event, Exit, Instant, Record, RecordKind, Role, RunId, State};
use menshen_plan::ServiceName;
use menshen_plan::definition::AlertKind;
use menshen_sim::{Invariant, Options, Sabotage, run};

/// A mistake that is not seen in so many runs is not seen.
const SEEDS: u64 = 400;

thread_local! {
    /// What the core of the run at hand last spawned as a main program.
    static SPAWNED: RefCell<Option<Effect>> = const { RefCell::new(None) };
    /// Services that run.
    static RUNNING: RefCell<BTreeSet<ServiceName>> = const { RefCell::new(BTreeSet::new()) };
}

/// Runs a core that is wrong in one way until that is seen; the same run of the right core is fine.
fn is_seen(invariant: Invariant, sabotage: Sabotage) {
    let seen = (0..SEEDS).find(|seed| {
        SPAWNED.take();
        RUNNING.take();
        let outcome = run(&Options { sabotage, ..Options::of(*seed) });
        outcome.violations.iter().any(|violation| violation.invariant == invariant)
    });
    let seed = seen.unwrap_or_else(|| panic!("{invariant} is never seen to be broken"));
    assert_eq!(run(&Options::of(seed)).violations, [], "seed {seed}");
}

const fn effects(effects: fn(&Event, &mut Vec<Effect>)) -> Sabotage {
    Sabotage { effects, ..right() }
}

/// A core that is not wrong.
const fn right() -> Sabotage {
    Sabotage { definition: |_| {}, effects: |_, _| {}, statuses: |_| {}, event: |_| {}, wake_at_rest: |_| {} }
}

macro_rules! provable {
    ($($name:ident: $invariant:ident = $sabotage:expr;)+) => {
        $(#[test]
        fn $name() {
            is_seen(Invariant::$invariant, $sabotage);
        })+

        #[test]
        fn there_is_a_proof_for_every_invariant() {
            let proven = BTreeSet::from([$(Invariant::$invariant),+]);
            let missing: Vec<_> = Invariant::ALL.iter().filter(|invariant| !proven.contains(invariant)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

provable! {
    a_second_main_process_is_seen: OneOfEach = effects(|_, all| {
        after_each(all, |effect| spawn_of(effect, Role::Main).map(|(run, plan)| {
            Effect::Spawn { run: RunId { number: run.number + 1, ..run }, plan, main_pid: None }
        }));
    });
    a_stop_that_leaves_processes_is_seen: TreeIsEmpty = effects(|_, all| {
        change_transitions(all, |from, to| if to == State::Stopping { (from, State::Stopped) } else { (from, to) });
    });
    a_signal_to_nobody_is_seen: EffectsMakeSense = effects(|_, all| {
        all.iter_mut().for_each(|effect| if let Effect::Signal { run, .. } = effect { run.number += 7; });
    });
    a_start_without_what_it_needs_is_seen: DependenciesHold = effects(|_, all| {
        change_transitions(all, |from, to| if to == State::Waiting { (from, State::Starting) } else { (from, to) });
    });
    a_start_nobody_asked_for_is_seen: NothingStartsUnasked = effects(|_, all| {
        after_each(all, |effect| follow_up(effect, State::Stopped, State::Starting));
    });
    waiting_for_nothing_is_seen: WaitsForSomething = effects(|_, all| {
        all.retain(|effect| transition(effect) != Some((State::Waiting, State::Starting)));
    });
    a_start_after_the_end_is_seen: NothingAfterShutdown = effects(|event, all| {
        let last = all.iter().rfind(|effect| spawn_of(effect, Role::Main).is_some()).cloned();
        SPAWNED.with_borrow_mut(|spawned| *spawned = last.or(spawned.take()));
        if matches!(event, Event::Shutdown { .. }) {
            all.extend(SPAWNED.with_borrow(Clone::clone));
        }
    });
    a_start_by_another_definition_is_seen: NewestDefinition = effects(|_, all| {
        all.iter_mut().for_each(|effect| if let Effect::Spawn { plan, .. } = effect {
            Arc::make_mut(plan).stop.timeout += Duration::from_secs(1);
        });
    });
    a_stop_for_no_reason_is_seen: StopsForAReason = effects(|_, all| {
        after_each(all, |effect| follow_up(effect, State::Running, State::Stopping));
    });
    a_stop_command_that_nothing_follows_is_seen: SignalFollowsCommand = effects(|event, all| {
        if matches!(event, Event::Exited { run, exit: Exit::Code(0), .. } if run.role == Role::Stop) {
            all.retain(|effect| !matches!(effect, Effect::Signal { .. }));
        }
    });
    a_stop_that_does_not_kill_is_seen: StopEnds = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::Kill { .. }));
    });
    another_end_than_the_right_one_is_seen: EndMeansWhatItMeans = effects(|_, all| {
        change_transitions(all, |from, to| if to == State::Backoff { (from, State::Failed) } else { (from, to) });
    });
    a_stop_before_those_that_need_it_is_seen: StopOrder = effects(|event, all| {
        all.iter().for_each(note_running);
        if matches!(event, Event::Shutdown { .. }) {
            let running = RUNNING.with_borrow(Clone::clone);
            all.extend(running.into_iter().map(|name| told(name, State::Running, State::Stopping)));
        }
    });
    a_lost_dependency_that_is_passed_over_is_seen: OnLoss = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::Record(record) if record.reason.contains(": on_loss ")));
    });
    a_death_that_does_not_count_is_seen: DeathsCount = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::Alert(alert) if alert.kind == AlertKind::Restarting));
    });
    forgetting_too_early_is_seen: ForgottenInTime = effects(|_, all| {
        after_each(all, |effect| {
            let (name, to) = record_of(effect).zip(transition(effect)).map(|(record, (_, to))| (record.service.clone(), to))?;
            (to == State::Backoff).then(|| Effect::Record(record(name, RecordKind::Forgotten)))
        });
    });
    a_wait_that_is_too_long_is_seen: WaitsAreBounded = Sabotage {
        statuses: |all| all.iter_mut().for_each(|(_, status)| {
            status.next_start = status.next_start.map(|at| at + Duration::from_secs(3600));
        }),
        ..right()
    };
    a_breaker_that_closes_too_early_is_seen: BreakerKeepsItsRules = effects(|_, all| {
        after_each(all, |effect| {
            let (name, to) = record_of(effect).zip(transition(effect)).map(|(record, (_, to))| (record.service.clone(), to))?;
            (to == State::Tripped).then(|| Effect::Record(record(name, RecordKind::BreakerClosed)))
        });
    });
    a_fallback_nobody_needs_is_seen: FallbackStandsIn = effects(|_, all| {
        after_each(all, |effect| spawn_of(effect, Role::Main).map(|(run, plan)| {
            let run = RunId { role: Role::Fallback, number: run.number + 1, ..run };
            Effect::Spawn { run, plan, main_pid: None }
        }));
    });
    two_rounds_of_a_probe_at_once_are_seen: ProbesInTurn = effects(|_, all| {
        after_each(all, |effect| match effect {
            Effect::Probe { service, probe, round } => {
                Some(Effect::Probe { service: *service, probe: *probe, round: round + 1 })
            }
            _ => None,
        });
    });
    readiness_out_of_nothing_is_seen: EvidenceDecides = Sabotage {
        statuses: |all| all.iter_mut().for_each(|(_, status)| status.ready |= status.state == State::Starting),
        ..right()
    };
    a_change_that_is_told_twice_is_seen: JournalTellsAll = effects(|_, all| {
        after_each(all, |effect| transition(effect).map(|_| effect.clone()));
    });
    a_count_that_is_not_so_is_seen: StatusIsTrue = Sabotage {
        statuses: |all| all.iter_mut().for_each(|(_, status)| status.restarts += 1),
        ..right()
    };
    a_command_without_an_answer_is_seen: CommandsAreAnswered = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::Reply(_)));
    });
    what_is_not_kept_is_seen: MemoryIsCurrent = effects(|event, all| {
        all.retain(|effect| *event == Event::Begin || !matches!(effect, Effect::Remember { .. }));
    });
    a_guard_that_knows_nothing_is_seen: GoesOnWhereItWas = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::Remember { .. }));
    });
    a_guard_that_does_not_sleep_is_seen: IdleIsSilent = Sabotage {
        wake_at_rest: |wake| *wake = Some(Instant(u64::MAX)),
        ..right()
    };
    a_guard_that_does_not_end_is_seen: ShutdownEnds = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::ShutdownComplete { .. }));
    });
    a_service_that_never_comes_up_is_seen: WantedWins = Sabotage {
        event: |event| if matches!(event, Event::Spawned { .. }) {
            *event = Event::Trouble { service: None, text: "a driver that keeps things to itself".to_owned() };
        },
        ..right()
    };
    an_alert_without_an_end_is_seen: AlertsEnd = effects(|_, all| {
        all.retain(|effect| !matches!(effect, Effect::Alert(alert) if alert.kind == AlertKind::Recovered));
    });
    a_definition_that_is_refused_is_seen: DefinitionLoads = Sabotage {
        definition: |text| text.push_str("[service.x]\n"),
        ..right()
    };
    a_panic_is_seen: NoPanic = effects(|_, _| panic!("on purpose"));
}

/// Puts something after each effect for which there is something to put.
fn after_each(all: &mut Vec<Effect>, more: impl Fn(&Effect) -> Option<Effect>) {
    *all = std::mem::take(all)
        .into_iter()
        .flat_map(|effect| {
            let more = more(&effect);
            [Some(effect), more].into_iter().flatten()
        })
        .collect();
}

fn record(service: Option<ServiceName>, kind: RecordKind) -> Record {
    Record { service, kind, reason: "on purpose".to_owned(), by: None }
}

fn told(service: ServiceName, from: State, to: State) -> Effect {
    Effect::Record(record(Some(service), RecordKind::Transition { from, to, pid: None }))
}

fn record_of(effect: &Effect) -> Option<&Record> {
    if let Effect::Record(record) = effect { Some(record) } else { None }
}

/// From where to where a service went, if it did.
fn transition(effect: &Effect) -> Option<(State, State)> {
    match record_of(effect)?.kind {
        RecordKind::Transition { from, to, .. } => Some((from, to)),
        _ => None,
    }
}

/// Another change right after a service came to a state.
fn follow_up(effect: &Effect, from: State, to: State) -> Option<Effect> {
    let service = record_of(effect)?.service.clone()?;
    transition(effect).is_some_and(|(_, reached)| reached == from).then(|| told(service, from, to))
}

fn change_transitions(all: &mut [Effect], change: impl Fn(State, State) -> (State, State)) {
    for effect in all {
        if let Effect::Record(Record { kind: RecordKind::Transition { from, to, .. }, .. }) = effect {
            (*from, *to) = change(*from, *to);
        }
    }
}

fn spawn_of(effect: &Effect, role: Role) -> Option<(RunId, Arc<menshen_plan::ServicePlan>)> {
    match effect {
        Effect::Spawn { run, plan, .. } if run.role == role => Some((*run, Arc::clone(plan))),
        _ => None,
    }
}

fn note_running(effect: &Effect) {
    let Some((name, to)) =
        record_of(effect).and_then(|record| record.service.clone()).zip(transition(effect).map(|(_, to)| to))
    else {
        return;
    };
    RUNNING.with_borrow_mut(|running| if to == State::Running { running.insert(name) } else { running.remove(&name) });
}
