//! Aligned columns.

use crate::output::styled;

/// Rows under a heading; widths are counted in characters and do not see styles.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: anstyle::Style,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: anstyle::Style::new() }
    }

    pub(crate) fn styled(text: impl Into<String>, style: anstyle::Style) -> Self {
        Self { text: text.into(), style }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    pub(crate) fn with_heading(names: &[&str]) -> Self {
        let style = anstyle::Style::new().dimmed();
        Self { rows: vec![names.iter().map(|name| Cell::styled(*name, style)).collect()] }
    }

    pub(crate) fn add(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The lines, with two blanks between columns and none at the end.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column| self.rows.iter().filter_map(|row: &Vec<Cell>| row.get(column)).map(Cell::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut text = String::new();
    for (index, cell) in row.iter().enumerate() {
        text.push_str(&styled(&cell.text, cell.style));
        if index + 1 < row.len() {
            let padding = widths.get(index).copied().unwrap_or(0).saturating_sub(cell.width()) + 2;
            text.extend(std::iter::repeat_n(' ', padding));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let mut table = Table::default();
        table.add(vec![Cell::new("a"), Cell::new("äöü"), Cell::new("x")]);
        table.add(vec![Cell::new("long"), Cell::new("b"), Cell::new("y")]);
        assert_eq!(table.lines(), ["a     äöü  x", "long  b    y"]);
    }
}
