//! Columns as wide as their widest cell.

use std::fmt::Write;

use program::printable;

use super::{Paint, Tone};

/// The space between two columns.
const GAP: &str = "  ";

/// Rows under a heading, each with one tone.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    heading: [&'static str; COLUMNS],
    rows: Vec<Row<COLUMNS>>,
}

#[derive(Debug)]
pub(crate) struct Row<const COLUMNS: usize> {
    pub(crate) tone: Tone,
    pub(crate) cells: [String; COLUMNS],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(heading: [&'static str; COLUMNS]) -> Self {
        Self { heading, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, tone: Tone, cells: [String; COLUMNS]) {
        self.rows.push(Row { tone, cells: cells.map(|cell| printable(&cell).into_owned()) });
    }

    /// Every line ends with a newline, none with a space.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut written = String::new();
        let heading = self.line(self.heading.map(str::len).into_iter().zip(self.heading));
        writeln!(written, "{}", paint.paint(Tone::Heading, &heading))
            .expect("writing to a String never fails");
        for row in &self.rows {
            let cells = row.cells.iter().map(|cell| (cell.chars().count(), cell.as_str()));
            let line = self.line(cells);
            writeln!(written, "{}", paint.paint(row.tone, &line))
                .expect("writing to a String never fails");
        }
        written
    }

    fn line<'a>(&self, cells: impl Iterator<Item = (usize, &'a str)>) -> String {
        let mut line = String::new();
        for (column, (width, cell)) in cells.enumerate() {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', self.width(column) - width));
            line.push_str(GAP);
        }
        line.trim_end().to_owned()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row.cells[column].chars().count());
        cells.chain([self.heading[column].len()]).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "AT"]);
        table.push(Tone::Plain, ["a".into(), "10.0.0.1:1".into()]);
        table.push(Tone::Bad, ["längere".into(), String::new()]);
        assert_eq!(table.render(Paint::Off), "NAME     AT\na        10.0.0.1:1\nlängere\n");
    }

    #[test]
    fn control_characters_in_a_cell_are_escaped() {
        let mut table = Table::new(["ID"]);
        table.push(Tone::Plain, ["\x1b]0;owned\x07a\nb".into()]);
        assert_eq!(table.render(Paint::Off), "ID\n\\u{1b}]0;owned\\u{7}a\\nb\n");
    }

    #[test]
    fn a_tone_colours_the_line_and_nothing_else() {
        let mut table = Table::new(["NAME"]);
        table.push(Tone::Bad, ["a".into()]);
        assert_eq!(table.render(Paint::On), "\x1b[1mNAME\x1b[0m\n\x1b[31ma\x1b[0m\n");
    }
}
