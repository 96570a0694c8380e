//! `docs/benchmarks.md`: all figures, on what machine, of what versions, by which commands.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::super::figures::number;
use super::goals::goals;
use super::peer::{Job, Life, Log, Peer, Start, Stop};
use super::results::{COPY, Cell, Results, Row};
use super::session::shown;
use super::standing::{Ahead, Standing};

/// Everything the page tells beside the figures.
pub(super) struct Circumstances {
    /// The command that measured this.
    pub command: String,
    pub rounds: usize,
    /// Facts of the machine.
    pub facts: Vec<(&'static str, String)>,
    /// At first and in the end.
    pub loads: [String; 2],
    /// Of the peers.
    pub versions: Vec<(&'static str, String)>,
    /// Peers that could not be had, and why.
    pub absent: Vec<(&'static str, String)>,
}

/// The page.
pub(super) fn page(
    circumstances: &Circumstances,
    peers: &[Box<dyn Peer>],
    results: &Results,
) -> Result<String, String> {
    let mut page =
        format!("<!-- Written by `{}`; do not edit. -->\n\n# Menshen beside its peers\n\n", circumstances.command);
    page += &introduction(circumstances);
    page += &summary(results);
    page += &goals(results);
    for row in Row::ALL {
        page += &table(row, results);
    }
    page += &machine(circumstances);
    page += "\n## How each was told\n\nThe program is the same for all: it writes down when it began and when it ended, and does \
             nothing else. Here each is told of one program `web`; `$FOLDER` is an empty folder.\n";
    for peer in peers {
        page += &configuration(peer.as_ref())?;
    }
    Ok(page)
}

fn introduction(Circumstances { command, rounds, absent, .. }: &Circumstances) -> String {
    let mut text = format!(
        "`{command}` installs the peers and measures all of them with the same work on one machine, in turn, in {rounds} rounds. \
         Each figure is the median, and in brackets the least and the most. Every program's stdout is logged in every row, in \
         the way that is usual with each, without times before the lines.\n\n"
    );
    for (name, why) in absent {
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{name} is left out: {why}.\n");
    }
    text
}

/// Where Menshen is first, and where not.
fn summary(results: &Results) -> String {
    let mut text = "| row | Menshen | best of the others | ahead |\n|---|---|---|---|\n".to_owned();
    for row in Row::ALL {
        let standing = Standing::of(row, results, &[]);
        let value = |value: f64| format!("{} {}", number(value), row.unit());
        let none = || "–".to_owned();
        let ahead = standing.ahead(row).map_or_else(none, |ahead| ahead.to_string());
        let best = standing.best.map_or_else(none, |(who, best)| format!("{} ({who})", value(best)));
        let _ = writeln!(text, "| {} | {} | {best} | {ahead} |", row.title(), standing.ours.map_or_else(none, value));
    }
    text
}

/// Says so where Menshen is not ahead.
fn concession(row: Row, results: &Results) -> String {
    let standing = Standing::of(row, results, &[]);
    let (Some(ahead), Some(ours), Some((who, best))) = (standing.ahead(row), standing.ours, &standing.best) else {
        return String::new();
    };
    let [ours, best] = [ours, *best].map(|median| format!("{} {}", number(median), row.unit()));
    match ahead {
        Ahead::Ours => String::new(),
        Ahead::Nobody => format!("\nNobody is ahead here: {who} has {best}, too, and less than that there is not.\n"),
        Ahead::Other(who) => {
            let why = row.why_behind().map(|why| format!(" {why}")).unwrap_or_default();
            format!("\nMenshen is not ahead here: {who} has {best}, Menshen {ours}.{why}\n")
        }
    }
}

fn table(row: Row, results: &Results) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n| | {} |\n|---|---|\n", row.title(), row.how(), row.unit());
    for cell in results.row(row) {
        let value = cell.spread().map(|spread| match (spread.min(), spread.max()) {
            (min, max) if min < max => format!("{} ({}–{})", number(spread.median()), number(min), number(max)),
            _ => number(spread.median()),
        });
        let told: Vec<String> = value.into_iter().chain(cell.failed().map(str::to_owned)).collect();
        let _ = writeln!(text, "| {} | {} |", cell.who(), told.join("; ").replace('|', "\\|"));
    }
    text += &concession(row, results);
    if row == Row::LogRate {
        text += &shares(results);
    }
    text
}

/// Rates as shares of what a plain copy has, and what is odd about them.
fn shares(results: &Results) -> String {
    let cells: Vec<&Cell> = results.row(Row::LogRate).collect();
    let copy = cells.iter().find(|cell| cell.who() == COPY).and_then(|cell| cell.spread());
    let Some(copy) = copy else { return String::new() };
    let share = |cell: &&Cell| {
        let spread = cell.spread().filter(|_| cell.who() != COPY)?;
        Some(format!("{} {:.2}", cell.who(), spread.median() / copy.median()))
    };
    let shares = cells.iter().filter_map(share).collect::<Vec<_>>().join(", ");
    let odd: String = cells.iter().filter_map(unsteady).collect();
    format!(
        "\nThe last row is no supervisor: `cat` does nothing but read from a pipe and write to a file. It is no limit, for who has \
         the kernel move the bytes need not read them. As shares of its rate: {shares}.\n{odd}"
    )
}

/// Says so where one round is far from the others: it is kept, and the comparison is of medians.
fn unsteady(cell: &&Cell) -> Option<String> {
    /// How many times the median the most is.
    const UNSTEADY: f64 = 2.0;
    let spread = cell.spread()?;
    let times = spread.max() / spread.median();
    (times >= UNSTEADY).then(|| {
        format!(
            "\n{} had {times:.1} times its median in its quickest round. Why is not known: nothing was set otherwise than in the \
             other rounds, and what is held against others is the median.\n",
            cell.who()
        )
    })
}

fn machine(circumstances: &Circumstances) -> String {
    let mut text = "\n## The machine\n\n| | |\n|---|---|\n".to_owned();
    for (name, value) in &circumstances.facts {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    let [first, last] = &circumstances.loads;
    let _ = writeln!(text, "| load average | {first} at first, {last} in the end |");
    text += "\n## Versions\n\n| | |\n|---|---|\n";
    for (name, version) in &circumstances.versions {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    text
}

/// The commands, the files, and what else is to be known.
fn configuration(peer: &dyn Peer) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("a folder for {}: {error}", peer.name());
    let folder = tempfile::Builder::new().prefix("menshen-peer-").tempdir().map_err(failed)?;
    let command = ["program", "records", "stay"].map(str::to_owned).to_vec();
    let job = Job { name: "web".to_owned(), command, life: Life::Stays, log: Log::Usual };
    peer.configure(folder.path(), &[job])?;
    let mut text = format!("\n### {}\n\n", peer.name());
    for remark in peer.remarks() {
        let _ = writeln!(text, "- {remark}");
    }
    let (Start::Stays(start) | Start::Returns(start)) = peer.start(folder.path());
    text += "\n```text\n";
    let _ = writeln!(text, "$ {}", shown(&start));
    if let Ok(list) = peer.list(folder.path()) {
        let _ = writeln!(text, "$ {}", shown(&list));
    }
    let _ = match peer.stop(folder.path()) {
        Stop::Command(stop) | Stop::Programs(stop) => writeln!(text, "$ {}", shown(&stop)),
        Stop::Signal(signal) => writeln!(text, "$ kill -{} SUPERVISOR", signal.as_raw()),
    };
    for path in super::install::files_below(folder.path())? {
        let name = path.strip_prefix(folder.path()).unwrap_or(Path::new("")).display().to_string();
        let content = fs::read_to_string(&path).map_err(failed)?;
        let _ = write!(text, "\n{name}:\n{}", indented(&content));
    }
    text += "```\n";
    // Of a program that is not one of the system's, the name is enough.
    let programs = peer.source().programs().map(|folder| format!("{}/", folder.display()));
    let text = programs.map_or_else(|| text.clone(), |programs| text.replace(&programs, ""));
    Ok(text.replace(&folder.path().display().to_string(), "$FOLDER"))
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::super::standing::OURS;
    use super::*;

    fn page_of(row: Row, figures: &[(&str, f64)]) -> (String, String) {
        let mut results = Results::default();
        figures.iter().for_each(|(who, value)| results.add(row, who, *value));
        (table(row, &results), summary(&results))
    }

    #[test]
    fn a_row_in_which_menshen_is_not_ahead_says_so() {
        let (table, summary) =
            page_of(Row::LogRate, &[(OURS, 900.0), ("s6", 250.0), ("Horust", 950.0), (COPY, 2000.0)]);
        assert!(table.contains("Menshen is not ahead here: Horust has 950 MB/s, Menshen 900 MB/s."), "{table}");
        assert!(summary.contains("| Log throughput | 900 MB/s | 950 MB/s (Horust) | Horust |"), "{summary}");
        let (table, summary) = page_of(Row::IdleWakeUps, &[(OURS, 0.0), ("s6", 0.0)]);
        assert!(table.contains("Nobody is ahead here: s6 has 0 switches, too"), "{table}");
        assert!(summary.contains("| 0 switches | 0 switches (s6) | nobody |"), "{summary}");
    }

    #[test]
    fn what_rates_are_shares_of_and_what_is_odd_about_them_is_said() {
        let horust = [579.0, 680.0, 2081.0].map(|rate| ("Horust", rate));
        let figures = [(OURS, 900.0), (COPY, 1000.0), horust[0], horust[1], horust[2]];
        let (table, _) = page_of(Row::LogRate, &figures);
        assert!(table.contains("The last row is no supervisor") && !table.contains("the limit"), "{table}");
        assert!(table.contains("As shares of its rate: Menshen 0.90, Horust 0.68."), "{table}");
        assert!(table.contains("Horust had 3.1 times its median") && !table.contains("Menshen had"), "{table}");
    }

    #[test]
    fn a_row_in_which_menshen_is_ahead_needs_no_words() {
        let (table, summary) = page_of(Row::List(100), &[(OURS, 3.0), ("s6", 100.0)]);
        assert!(!table.contains("not ahead"), "{table}");
        assert!(summary.contains("| 3.00 ms | 100 ms (s6) | Menshen |"), "{summary}");
    }
}
