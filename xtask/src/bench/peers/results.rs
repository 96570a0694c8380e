//! What was measured of whom.

use super::super::figures::Spread;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Restart,
    CrashLoop,
    /// With so many programs.
    Start(usize),
    Memory(usize),
    List(usize),
    Stop(usize),
    LogRate,
    LogLoss,
    IdleWakeUps,
    IdleCpu,
    Executables,
    Installed,
}

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Less,
    More,
}

impl Row {
    /// Every one, in the order of the page.
    pub(super) const ALL: [Self; 16] = [
        Self::Restart,
        Self::CrashLoop,
        Self::Start(100),
        Self::Start(1000),
        Self::Memory(0),
        Self::Memory(100),
        Self::Memory(1000),
        Self::List(100),
        Self::Stop(100),
        Self::Stop(1000),
        Self::LogRate,
        Self::LogLoss,
        Self::IdleWakeUps,
        Self::IdleCpu,
        Self::Executables,
        Self::Installed,
    ];

    pub(super) fn title(self) -> String {
        match self {
            Self::Restart => "Death to the successor's first instruction".to_owned(),
            Self::CrashLoop => "The same, of a program that dies at once".to_owned(),
            Self::Start(count) => format!("Start {} programs", grouped(count)),
            Self::Memory(count) => format!("Memory of all supervising processes, {} programs", grouped(count)),
            Self::List(count) => format!("State of {} programs", grouped(count)),
            Self::Stop(count) => format!("Stop {} programs and the supervisor", grouped(count)),
            Self::LogRate => "Log throughput".to_owned(),
            Self::LogLoss => "Log loss".to_owned(),
            Self::IdleWakeUps => "Wake-ups in an idle minute, 100 programs".to_owned(),
            Self::IdleCpu => "Processor time in an idle minute, 100 programs".to_owned(),
            Self::Executables => "Size of what is executed to supervise".to_owned(),
            Self::Installed => "Installed size".to_owned(),
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Restart | Self::CrashLoop | Self::Start(_) | Self::List(_) | Self::Stop(_) | Self::IdleCpu => "ms",
            Self::Memory(_) | Self::Executables | Self::Installed => "MB",
            Self::LogRate => "MB/s",
            Self::LogLoss => "bytes",
            Self::IdleWakeUps => "switches",
        }
    }

    pub(super) const fn better(self) -> Better {
        match self {
            Self::LogRate => Better::More,
            Self::Restart
            | Self::CrashLoop
            | Self::Start(_)
            | Self::Memory(_)
            | Self::List(_)
            | Self::Stop(_)
            | Self::LogLoss
            | Self::IdleWakeUps
            | Self::IdleCpu
            | Self::Executables
            | Self::Installed => Better::Less,
        }
    }

    /// What exactly is measured.
    pub(super) const fn how(self) -> &'static str {
        match self {
            Self::Restart => {
                "One program lives for 1.1 s and dies, again and again. From the last look at the clock before it writes its \
                 record and ends, to the first look at the clock of its successor. The smallest delay each allows."
            }
            Self::CrashLoop => "The program lives for 10 ms. The bare loop does nothing but start it and wait for it.",
            Self::Start(_) => {
                "From the start of the command to the first statement of the last program; reading the configuration is in it. \
                 The bare loop starts as many, and has no configuration, no logs and nobody to tell."
            }
            Self::Memory(_) => {
                "Proportional set size (PSS) of every process that supervises or logs, without the programs, 8 s after the \
                 start of the last."
            }
            Self::List(_) => "From the start of the command to its end.",
            Self::Stop(_) => {
                "From the start of the command to the end of the last process, of programs and supervisor alike; systemd stops \
                 the programs only."
            }
            Self::LogRate => {
                "One program writes 262,144,000 bytes of lines of 100 bytes, 640 lines at once, as quickly as they are taken; \
                 from its first statement until its log has them all, in bytes of the program's per second. Logs are not \
                 rotated meanwhile, and lie in one file system."
            }
            Self::LogLoss => {
                "Of those bytes, how many are not in the log; 0 only if the SHA-256 of the log is that of what was written."
            }
            Self::IdleWakeUps => {
                "Voluntary and involuntary context switches of all threads of all supervising processes."
            }
            Self::IdleCpu => "User and system time of the same; the kernel counts it in 10 ms.",
            Self::Executables => {
                "The files of which the supervising processes execute code, each once: programs, interpreters and shared \
                                 libraries."
            }
            Self::Installed => "All files that were installed for it, without an interpreter that others use, too.",
        }
    }

    /// Why another is ahead, where it is known.
    pub(super) const fn why_behind(self) -> Option<&'static str> {
        match self {
            Self::Memory(_) => Some(
                "At few programs it is what the process has by itself: its libraries, a database that is open and a server of the \
                 API. Those of C that do one thing each have next to nothing, and as much again for each program.",
            ),
            Self::List(_) => Some(
                "More than half of that is the start of the process, which does nothing yet: one file is the guard, every command \
                 and the database, and the loader adapts 300 kB of it to the address it happens to have. Linked for a fixed \
                 address it would take 0.2 ms less; of what runs as root nobody should know where it lies. `sv` is a small \
                 program that reads a few files for each service and its logger.",
            ),
            Self::Executables | Self::Installed => Some(
                "One file has the guard, every command, the API, a database for what happened, TLS for probes and a client of D-Bus. \
                 What is smaller has none of that; what has as much takes an interpreter.",
            ),
            Self::Restart
            | Self::CrashLoop
            | Self::Start(_)
            | Self::Stop(_)
            | Self::LogRate
            | Self::LogLoss
            | Self::IdleWakeUps
            | Self::IdleCpu => None,
        }
    }
}

/// What is no supervisor and is measured in turn with them: the least the system itself needs, or does.
pub(super) const BARE: &str = "a bare loop, no supervisor";
pub(super) const COPY: &str = "`cat` from a pipe to a file";

/// What one contender did in one row.
#[derive(Debug)]
pub(super) struct Cell {
    row: Row,
    who: String,
    values: Vec<f64>,
    /// Why there is no more.
    failed: Option<String>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Results(Vec<Cell>);

impl Results {
    pub(super) fn add(&mut self, row: Row, who: &str, value: f64) {
        self.cell(row, who).values.push(value);
    }

    pub(super) fn fail(&mut self, row: Row, who: &str, why: String) {
        self.cell(row, who).failed = Some(why);
    }

    /// Takes a value, or why there is none.
    pub(super) fn take(&mut self, row: Row, who: &str, measured: Result<f64, String>) {
        match measured {
            Ok(value) => self.add(row, who, value),
            Err(why) => self.fail(row, who, why),
        }
    }

    /// Whether there is no use in measuring it again.
    pub(super) fn has_failed(&self, row: Row, who: &str) -> bool {
        self.row(row).any(|cell| cell.who == who && cell.failed.is_some())
    }

    fn cell(&mut self, row: Row, who: &str) -> &mut Cell {
        let found = self.0.iter().position(|cell| cell.row == row && cell.who == who);
        let index = found.unwrap_or_else(|| {
            self.0.push(Cell { row, who: who.to_owned(), values: Vec::new(), failed: None });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// What a row has, in the order of the contenders.
    pub(super) fn row(&self, row: Row) -> impl Iterator<Item = &Cell> {
        self.0.iter().filter(move |cell| cell.row == row)
    }
}

impl Cell {
    pub(super) fn who(&self) -> &str {
        &self.who
    }

    /// Whether this is a supervisor.
    pub(super) fn competes(&self) -> bool {
        ![BARE, COPY].contains(&self.who.as_str())
    }

    /// None if there is no value.
    pub(super) fn spread(&self) -> Option<Spread> {
        Spread::of(self.values.iter().copied()).ok()
    }

    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }
}

/// A number for people.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_contenders_in_order_and_why_one_has_no_value() {
        let mut results = Results::default();
        results.add(Row::LogRate, "b", 2.0);
        results.take(Row::LogRate, "a", Err("no log".to_owned()));
        results.take(Row::LogRate, "b", Ok(4.0));
        results.add(Row::LogLoss, "a", 0.0);
        let row: Vec<&Cell> = results.row(Row::LogRate).collect();
        assert_eq!(row.iter().map(|cell| cell.who()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(row[0].spread().map(|spread| spread.median()), Some(3.0));
        assert_eq!((row[1].spread().is_none(), row[1].failed()), (true, Some("no log")));
        let failed = ["a", "b"].map(|who| results.has_failed(Row::LogRate, who));
        assert_eq!((failed, results.has_failed(Row::LogLoss, "a")), ([true, false], false));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 100, 1000, 262_144_000].map(grouped), ["0", "100", "1,000", "262,144,000"]);
    }
}
