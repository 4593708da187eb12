//! Numbers and tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table without lines, its first column left and the others right.
pub(super) fn numbers(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(header.to_vec());
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    trimmed(&table)
}

/// Names and what belongs to them.
pub(super) fn facts(rows: Vec<(&str, String)>) -> String {
    let mut table = plain();
    table.add_rows(rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]));
    trimmed(&table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Bytes with a unit, such as `1.5 GiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (name, shift) in UNITS {
        if count >> shift > 0 {
            let tenths = u128::from(count) * 10 / (1_u128 << shift);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_digit_after_the_point() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (u64::MAX, "16383.9 PiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }
}
