//! Why systemd stops the service that asks, as far as its jobs say so.
//!
//! The signal says nothing. But systemd stops a service by a job, and whatever else it stops at the same time, because one needs
//! the other, has a job as well.

/// Why systemd stops a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// The machine goes down.
    Shutdown,
    /// A unit that the service's own needs is stopped or restarted, or has ended.
    Dependency,
    /// Somebody asked for it: the service has a job to stop or restart, and nothing that it needs has one.
    Operator,
    /// A rule of systemd's, somebody who sent the signal past it, or what cannot be told any more.
    Unknown,
}

/// What systemd says while it stops a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopFacts {
    /// How the machine is.
    pub machine: String,
    /// The service's own unit.
    pub unit: String,
    /// The units whose stop is one of the service, too, and how they are.
    pub needs: Vec<Needed>,
    /// The units that the service's own and they cannot run beside.
    pub conflicts: Vec<String>,
    /// Everything that is to be done.
    pub jobs: Vec<UnitJob>,
}

/// A unit that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What it is called.
    pub unit: String,
    /// Whether its end alone is one of the service.
    pub bond: Bond,
    /// How it is.
    pub activity: Activity,
}

/// What has a service stopped with a unit that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// That somebody stops or restarts it (`Requires=`, `Requisite=`, `PartOf=`, `StopPropagatedFrom=`).
    Stop,
    /// That, and its end (`BindsTo=`).
    End,
}

/// How a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It is up, or on its way.
    Up,
    /// It is not.
    Down,
}

/// Something that is to be done with a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitJob {
    /// What it is called.
    pub unit: String,
    /// What is to be done, such as `stop`.
    pub kind: String,
}

/// Why a service is stopped, by what systemd says meanwhile.
#[must_use]
pub fn of(facts: &StopFacts) -> StopCause {
    let has_job = |unit: &str, kinds: &[&str]| {
        facts.jobs.iter().any(|job| job.unit == unit && kinds.contains(&job.kind.as_str()))
    };
    let is_stopped = |unit: &str| has_job(unit, &["stop", "restart", "try-restart"]);
    if facts.machine == "stopping" {
        return StopCause::Shutdown;
    }
    if !is_stopped(&facts.unit) {
        return StopCause::Unknown;
    }
    let is_the_cause =
        |needed: &Needed| is_stopped(&needed.unit) || needed.bond == Bond::End && needed.activity == Activity::Down;
    if facts.needs.iter().any(is_the_cause) {
        return StopCause::Dependency;
    }
    // One that is down already may have been stopped a moment ago, or may have ended by itself long ago.
    let is_unclear = facts.needs.iter().any(|needed| needed.activity == Activity::Down);
    let is_pushed_out = facts.conflicts.iter().any(|unit| has_job(unit, &["start", "restart"]));
    if is_unclear || is_pushed_out { StopCause::Unknown } else { StopCause::Operator }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(unit: &str, bond: Bond, activity: Activity) -> Needed {
        Needed { unit: unit.to_owned(), bond, activity }
    }

    fn facts(needs: &[Needed], jobs: &[(&str, &str)]) -> StopFacts {
        let jobs = jobs.iter().map(|(unit, kind)| UnitJob { unit: (*unit).to_owned(), kind: (*kind).to_owned() });
        StopFacts {
            machine: "running".to_owned(),
            unit: "web".to_owned(),
            needs: needs.to_vec(),
            conflicts: vec!["rival".to_owned()],
            jobs: jobs.collect(),
        }
    }

    #[test]
    fn a_stop_has_the_cause_that_the_jobs_show() {
        use Activity::{Down, Up};
        use StopCause::{Dependency, Operator, Unknown};
        let (db, bound) = ([needed("db", Bond::Stop, Up)], [needed("db", Bond::End, Up)]);
        let (db_down, bound_down) = ([needed("db", Bond::Stop, Down)], [needed("db", Bond::End, Down)]);
        type Row<'a> = (&'a [Needed], &'a [(&'a str, &'a str)], StopCause, &'a str);
        let table: [Row<'_>; 11] = [
            (&[], &[("web", "stop")], Operator, "it alone is stopped"),
            (&[], &[("web", "restart")], Operator, "it alone is restarted"),
            (&db, &[("web", "stop")], Operator, "what it needs runs on"),
            (&db, &[("web", "stop"), ("db", "stop")], Dependency, "both are stopped"),
            (&db, &[("web", "try-restart"), ("db", "restart")], Dependency, "both are restarted"),
            (&db, &[("web", "stop"), ("other", "stop")], Operator, "a stranger is stopped, too"),
            (&bound, &[("web", "stop")], Operator, "what it is bound to runs on"),
            (&bound_down, &[("web", "stop")], Dependency, "what it is bound to has ended"),
            (&db_down, &[("web", "stop")], Unknown, "what it needs may have been stopped, or have ended before"),
            (&db, &[("web", "stop"), ("rival", "start")], Unknown, "another takes its place"),
            (&db, &[("db", "stop")], Unknown, "nobody asked systemd to stop it"),
        ];
        for (needs, jobs, cause, what) in table {
            let facts = facts(needs, jobs);
            assert_eq!(of(&facts), cause, "{what}");
            let going_down = StopFacts { machine: "stopping".to_owned(), ..facts };
            assert_eq!(of(&going_down), StopCause::Shutdown, "{what}, and the machine goes down");
        }
    }
}
