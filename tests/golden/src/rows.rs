//! Several small values in one golden file: a line of text for each, with its name and its bytes in hexadecimal digits.

/// A name and bytes.
pub type Row = (String, Vec<u8>);

/// The content of a file with these rows.
pub fn join_rows(rows: &[Row]) -> Vec<u8> {
    let line = |(name, bytes): &Row| format!("{name}: {}", hex::encode(bytes)).trim_end().to_owned() + "\n";
    rows.iter().map(line).collect::<String>().into_bytes()
}

/// The rows of a file.
///
/// # Panics
/// If there are no such rows in it.
pub fn split_rows(content: &[u8]) -> Vec<Row> {
    let text = String::from_utf8_lossy(content);
    let row = |line: &str| {
        let (name, digits) = line.rsplit_once(':')?;
        Some((name.to_owned(), hex::decode(digits.trim()).ok()?))
    };
    let rows: Option<Vec<Row>> = text.lines().map(row).collect();
    assert!(rows.is_some(), "there is a line that is no row in:\n{text}");
    rows.unwrap_or_default()
}
