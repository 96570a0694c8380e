//! What Menshen set out to reach, and whether it has.

use std::fmt::Write as _;

use super::super::figures::number;
use super::results::{BARE, Results, Row};
use super::standing::{Ahead, OURS, Standing};

/// What is asked of a figure.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// Ahead of everybody but those named; of who needs nothing at all, beside them.
    Ahead(Row, &'static [&'static str]),
    /// At most so much.
    AtMost(Row, f64),
    /// At most so many times what another has in this row.
    TimesOf(Row, f64, &'static str),
    /// At least so many times what another has in this row.
    AtLeastTimesOf(Row, f64, &'static str),
    /// A log of this kind, at least so much of one that is kept byte for byte.
    ShareOfRaw(&'static str, f64),
}

/// Those whose cost of each program is some tens of kilobytes: at few programs they have next to nothing.
const SMALL: &[&str] = &["s6", "runit"];
/// Besides being ahead in every row.
const GOALS: [Goal; 17] = [
    Goal::AtMost(Row::Restart, 1.0),
    Goal::TimesOf(Row::Restart, 1.5, BARE),
    Goal::AtMost(Row::CrashLoop, 1.0),
    Goal::TimesOf(Row::CrashLoop, 1.5, BARE),
    Goal::TimesOf(Row::Start(1000), 1.5, BARE),
    Goal::AtMost(Row::Memory(100), 6.0),
    Goal::AtMost(Row::Memory(1000), 16.0),
    Goal::AtMost(Row::IdleWakeUps, 0.0),
    Goal::AtMost(Row::LogLoss, 0.0),
    Goal::AtLeastTimesOf(Row::LogRate, 1.0, "s6"),
    Goal::AtLeastTimesOf(Row::LogRate, 1.0, "runit"),
    Goal::AtLeastTimesOf(Row::LogRate, 2.0, "supervisord"),
    Goal::AtLeastTimesOf(Row::LogRate, 2.0, "pitchfork"),
    Goal::AtLeastTimesOf(Row::LogRate, 2.0, "pm2"),
    Goal::ShareOfRaw("Menshen, `text`", 1.0 / 3.0),
    Goal::ShareOfRaw("Menshen, `json`", 1.0 / 3.0),
    Goal::AtMost(Row::IdleCpu, 0.0),
];

/// The table of those that could be measured.
pub(super) fn goals(results: &Results) -> String {
    let mut text = "\n## Goals\n\n| goal | reached | |\n|---|---|---|\n".to_owned();
    let ahead = Row::ALL.map(|row| Goal::Ahead(row, if row == Row::Memory(0) { SMALL } else { &[] }));
    for judged in ahead.into_iter().chain(GOALS).filter_map(|goal| goal.judge(results)) {
        let word = if judged.is_met { "met" } else { "**not met**" };
        // Writing to memory cannot fail.
        let _ = writeln!(text, "| {} | {} | {word} |", judged.asked, judged.reached);
    }
    text
}

/// A goal, and what came of it.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    asked: String,
    reached: String,
    is_met: bool,
}

impl Goal {
    /// None where what it speaks of was not measured.
    fn judge(self, results: &Results) -> Option<Judged> {
        let median = |row: Row, who: &str| {
            let cell = results.row(row).find(|cell| cell.who() == who)?;
            cell.spread().map(|spread| spread.median())
        };
        let told = |row: Row, value: f64| format!("{} {}", number(value), row.unit());
        let times = |row: Row, whose: &str| Some((median(row, OURS)?, median(row, whose)?));
        Some(match self {
            Self::Ahead(row, but) => {
                let standing = Standing::of(row, results, but);
                let (ahead, ours) = (standing.ahead(row)?, standing.ours?);
                let (who, best) = standing.best?;
                let but = if but.is_empty() { String::new() } else { format!(" but {}", but.join(" and ")) };
                let asked = format!("{}: ahead of every other{but}", row.title());
                let reached = format!("{} against {} ({who})", number(ours), told(row, best));
                let is_met = match ahead {
                    Ahead::Ours => true,
                    // Less than nothing there is not.
                    Ahead::Nobody => best == 0.0,
                    Ahead::Other(_) => false,
                };
                Judged { asked, reached, is_met }
            }
            Self::AtMost(row, most) => {
                let ours = median(row, OURS)?;
                let asked = format!("{}: at most {}", row.title(), told(row, most));
                Judged { asked, reached: told(row, ours), is_met: ours <= most }
            }
            Self::TimesOf(row, most, whose) => {
                let (ours, theirs) = times(row, whose)?;
                let asked = format!("{}: at most {most} times {whose}", row.title());
                Judged { asked, reached: ratio(ours, theirs), is_met: ours <= most * theirs }
            }
            Self::AtLeastTimesOf(row, least, whose) => {
                let (ours, theirs) = times(row, whose)?;
                let asked = format!(
                    "{}: at least {} {whose}",
                    row.title(),
                    if least > 1.0 { format!("{least} times") } else { "that of".to_owned() }
                );
                Judged { asked, reached: ratio(ours, theirs), is_met: ours >= least * theirs }
            }
            Self::ShareOfRaw(who, least) => {
                let (ours, raw) = (median(Row::LogRate, who)?, median(Row::LogRate, OURS)?);
                let asked = format!("{}: {who} at least a third of `raw`", Row::LogRate.title());
                Judged { asked, reached: ratio(ours, raw), is_met: ours >= least * raw }
            }
        })
    }
}

fn ratio(ours: f64, theirs: f64) -> String {
    format!("{:.2} times ({} against {})", ours / theirs, number(ours), number(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(cells: &[(Row, &str, f64)]) -> Results {
        let mut results = Results::default();
        cells.iter().for_each(|(row, who, value)| results.add(*row, who, *value));
        results
    }

    #[test]
    fn who_is_excepted_is_not_compared_with() {
        let text = goals(&results(&[
            (Row::Memory(0), OURS, 2.8),
            (Row::Memory(0), "runit", 0.4),
            (Row::Memory(0), "pitchfork", 18.0),
            (Row::Installed, OURS, 16.0),
            (Row::Installed, "runit", 0.5),
            (Row::LogLoss, OURS, 0.0),
            (Row::LogLoss, "s6", 0.0),
        ]));
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("ahead")).collect();
        assert_eq!(
            lines,
            [
                "| Memory of all supervising processes, 0 programs: ahead of every other but s6 and runit | 2.80 against 18.0 MB \
                 (pitchfork) | met |",
                "| Log loss: ahead of every other | 0 against 0 bytes (s6) | met |",
                "| Installed size: ahead of every other | 16.0 against 0.500 MB (runit) | **not met** |",
            ]
        );
    }

    #[test]
    fn a_goal_that_is_not_met_is_said_not_to_be() {
        let text = goals(&results(&[
            (Row::CrashLoop, OURS, 0.4),
            (Row::CrashLoop, BARE, 0.2),
            (Row::LogRate, OURS, 1800.0),
            (Row::LogRate, "supervisord", 1000.0),
            (Row::LogRate, "s6", 200.0),
            (Row::LogRate, "Menshen, `json`", 700.0),
            (Row::IdleWakeUps, OURS, 0.0),
        ]));
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("met")).collect();
        assert_eq!(
            lines,
            [
                "| Log throughput: ahead of every other | 1800 against 1000 MB/s (supervisord) | met |",
                "| The same, of a program that dies at once: at most 1.00 ms | 0.400 ms | met |",
                "| The same, of a program that dies at once: at most 1.5 times a bare loop, no supervisor | 2.00 times (0.400 against \
                 0.200) | **not met** |",
                "| Wake-ups in an idle minute, 100 programs: at most 0 switches | 0 switches | met |",
                "| Log throughput: at least that of s6 | 9.00 times (1800 against 200) | met |",
                "| Log throughput: at least 2 times supervisord | 1.80 times (1800 against 1000) | **not met** |",
                "| Log throughput: Menshen, `json` at least a third of `raw` | 0.39 times (700 against 1800) | met |",
            ]
        );
    }
}
