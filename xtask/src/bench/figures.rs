//! Figures: what was measured, how it is spread, and how it is shown.

use serde_json::{Value as Json, json};

/// From so many values on, the hundredth part of them says something.
const VALUES_FOR_P99: usize = 100;

/// One thing that was measured, several times.
#[derive(Debug)]
pub(super) struct Figure {
    pub row: &'static str,
    pub what: String,
    pub unit: &'static str,
    pub measured: Spread,
    /// The least the system itself can do, measured in turn with it.
    pub bare: Option<Spread>,
}

/// Values, and how they are spread.
#[derive(Debug)]
pub(super) struct Spread {
    /// In ascending order; never empty.
    values: Vec<f64>,
}

impl Spread {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Result<Self, String> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        if values.is_empty() { Err("nothing was measured".to_owned()) } else { Ok(Self { values }) }
    }

    pub(super) fn median(&self) -> f64 {
        let (low, high) = ((self.values.len() - 1) / 2, self.values.len() / 2);
        f64::midpoint(self.values[low], self.values[high])
    }

    fn p99(&self) -> Option<f64> {
        let rank = (self.values.len() * 99).div_ceil(100);
        (self.values.len() >= VALUES_FOR_P99).then(|| self.values[rank - 1])
    }

    pub(super) fn min(&self) -> f64 {
        self.values[0]
    }

    pub(super) fn max(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    fn json(&self) -> Json {
        json!({
            "count": self.values.len(), "median": self.median(), "p99": self.p99(), "min": self.min(), "max": self.max(),
        })
    }
}

impl Figure {
    /// How many times what the system itself needs; of a rate, how much of what the system itself does.
    fn ratio(&self) -> Option<f64> {
        self.bare.as_ref().map(|bare| self.measured.median() / bare.median())
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "row": self.row,
            "what": self.what,
            "unit": self.unit,
            "measured": self.measured.json(),
            "bare": self.bare.as_ref().map(Spread::json),
            "ratio": self.ratio(),
        })
    }

    fn cells(&self) -> [String; 8] {
        let Spread { values } = &self.measured;
        [
            format!("{}: {}", self.row, self.what),
            self.unit.to_owned(),
            number(self.measured.median()),
            self.measured.p99().map(number).unwrap_or_default(),
            if values.len() > 1 { number(self.measured.min()) } else { String::new() },
            if values.len() > 1 { number(self.measured.max()) } else { String::new() },
            self.bare.as_ref().map(shown).unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        ]
    }
}

/// The median, and between what it lies.
fn shown(spread: &Spread) -> String {
    format!("{} ({}–{})", number(spread.median()), number(spread.min()), number(spread.max()))
}

/// With three digits that say something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Every figure in a line.
pub(super) fn table(figures: &[Figure]) -> String {
    let heading = ["WHAT", "UNIT", "MEDIAN", "P99", "MIN", "MAX", "BARE (MIN–MAX)", "RATIO"].map(str::to_owned);
    let rows: Vec<[String; 8]> = [heading].into_iter().chain(figures.iter().map(Figure::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_tells_its_middle_and_its_ends() {
        let spread = Spread::of((1..=200).rev().map(f64::from)).unwrap();
        assert_eq!((spread.median(), spread.p99(), spread.min(), spread.max()), (100.5, Some(198.0), 1.0, 200.0));
        let few = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((few.median(), few.p99()), (2.0, None));
        assert!(Spread::of([]).is_err());
    }

    #[test]
    fn a_table_shows_the_bare_figure_and_the_ratio_beside_the_measured_one() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        let figure = Figure {
            row: "start",
            what: "100 programs".to_owned(),
            unit: "ms",
            measured: spread(&[30.0, 60.0, 45.5]),
            bare: Some(spread(&[91.0])),
        };
        let table = table(&[figure]);
        assert_eq!(table.lines().count(), 2);
        let cells: Vec<&str> = table.lines().last().unwrap().split("  ").filter(|cell| !cell.is_empty()).collect();
        let cells: Vec<&str> = cells.into_iter().map(str::trim).collect();
        assert_eq!(cells, ["start: 100 programs", "ms", "45.5", "30.0", "60.0", "91.0 (91.0–91.0)", "0.50"]);
    }
}
