//! What Menshen set out to reach, and whether it has.

use std::fmt::Write as _;

use super::super::figures::number;
use super::results::{BARE, Results, Row};

/// What is asked of a figure.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// At most so much.
    AtMost(Row, f64),
    /// At most so many times what another has in this row.
    TimesOf(Row, f64, &'static str),
    /// At least so many times what another has in this row.
    AtLeastTimesOf(Row, f64, &'static str),
    /// A log of this kind, at least so much of one that is kept byte for byte.
    ShareOfRaw(&'static str, f64),
}

const OURS: &str = "Menshen";
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
    for judged in GOALS.iter().filter_map(|goal| goal.judge(results)) {
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
