//! The way back from the text's lines to the user's, for stack traces: a table of JSON in the text's last line.
//!
//! `{"files":[{"name":"handler.mjs","first":41,"lines":[[0,3,0,8,3,9],…]},…]}`: the file's first line in the text, counted
//! from 0, then for each of its lines threes of column in the text, line and column in the file, all from 0. The user's
//! own files have all their columns; of `node_modules`, whose traces few read, only the first of each line is kept.

use serde_json::{Value, json};

/// What stands before the table.
const MARK: &str = "//# wasmill-positions ";

/// One three of the table, with the text's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) text_line: u32,
    pub(crate) text_column: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// The table's comment, from each file's name, first line and points.
pub(crate) fn comment<'a>(files: impl Iterator<Item = (&'a str, u32, &'a [Point])>) -> String {
    let files: Vec<Value> = files
        .map(|(name, first, points)| {
            let is_users = !name.contains("node_modules/");
            json!({ "name": name, "first": first, "lines": lines(points, is_users) })
        })
        .collect();
    format!("{MARK}{}\n", json!({ "files": files }))
}

fn lines(points: &[Point], with_columns: bool) -> Vec<Vec<u32>> {
    let mut lines: Vec<Vec<u32>> = Vec::new();
    for point in points {
        let at = point.text_line as usize;
        if lines.len() <= at {
            lines.resize(at + 1, Vec::new());
        }
        if let Some(line) = lines.get_mut(at)
            && (with_columns || line.is_empty())
        {
            line.extend([point.text_column, point.line, point.column]);
        }
    }
    lines
}
