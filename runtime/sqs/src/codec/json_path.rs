//! Where in a JSON text an error is, as a path of members (`Entries[1].DelaySeconds`). Serde tells line and column only.

/// The path of the innermost member that is open at `line` and `column` (both from 1, the column in bytes, as
/// `serde_json` counts them). The text before that place must be valid JSON. The outermost level is `the request`.
pub(super) fn at(body: &[u8], line: usize, column: usize) -> String {
    let line_start: usize =
        body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let end = body.len().min(line_start + column);
    let mut walk = Walk::default();
    walk.run(&body[..end]);
    walk.path()
}

/// No request has members deeper than this. Of what a client nests deeper only the number of levels is kept.
const LEVELS_MAX: usize = 16;

#[derive(Default)]
struct Walk {
    open: Vec<Level>,
    too_deep: usize,
}

enum Level {
    Object { key: Option<String>, key_next: bool },
    Array { index: usize },
}

impl Walk {
    fn run(&mut self, text: &[u8]) {
        let mut position = 0;
        while let Some(byte) = text.get(position) {
            match byte {
                b'{' => self.enter(Level::Object { key: None, key_next: true }),
                b'[' => self.enter(Level::Array { index: 0 }),
                b'}' | b']' => self.leave(),
                b',' if self.too_deep == 0 => self.next_member(),
                b'"' => {
                    let length = string_length(&text[position + 1..]);
                    if self.too_deep == 0 {
                        self.string(&text[position + 1..position + 1 + length]);
                    }
                    position += length + 1;
                }
                _ => {}
            }
            position += 1;
        }
    }

    fn enter(&mut self, level: Level) {
        if self.open.len() < LEVELS_MAX {
            self.open.push(level);
        } else {
            self.too_deep += 1;
        }
    }

    fn leave(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else {
            self.open.pop();
        }
    }

    fn next_member(&mut self) {
        match self.open.last_mut() {
            Some(Level::Object { key_next, .. }) => *key_next = true,
            Some(Level::Array { index }) => *index += 1,
            None => {}
        }
    }

    fn string(&mut self, raw: &[u8]) {
        if let Some(Level::Object { key, key_next: key_next @ true }) = self.open.last_mut() {
            *key = Some(String::from_utf8_lossy(raw).into_owned());
            *key_next = false;
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.open {
            match level {
                Level::Object { key: Some(key), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
                Level::Object { key: None, .. } => {}
                Level::Array { index } => path.push_str(&format!("[{index}]")),
            }
        }
        if path.is_empty() { "the request".into() } else { path }
    }
}

/// Bytes up to the closing quote, or all of them when there is none.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_open_member_is_named() {
        let text = br#"{"A": {"x": 1}, "B": [1, {"C,{": "v\"}"}], "D": 2}"#;
        for (until, path) in [
            ("{", "the request"),
            (r#"{"A": "#, "A"),
            (r#"{"A": {"x": 1"#, "A.x"),
            (r#"{"A": {"x": 1}"#, "A"),
            (r#"{"A": {"x": 1}, "B": [1"#, "B[0]"),
            (r#"{"A": {"x": 1}, "B": [1, {"C,{": "v\"}""#, "B[1].C,{"),
            (r#"{"A": {"x": 1}, "B": [1, {"C,{": "v\"}"}], "D": 2"#, "D"),
        ] {
            assert!(text.starts_with(until.as_bytes()));
            assert_eq!(at(text, 1, until.len()), path, "{until}");
        }
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(at(b"{\n  \"A\": 1,\n  \"B\": 2\n}", 3, 8), "B");
        assert_eq!(at(b"{}", 9, 9), "the request", "a place past the end is the end");
    }

    #[test]
    fn what_is_nested_too_deep_is_counted_and_not_kept() {
        let deep = format!(r#"{{"A": {}1,{{"x":2}}{}, "B": 5"#, "[".repeat(1000), "]".repeat(1000));
        assert_eq!(at(deep.as_bytes(), 1, deep.len()), "B");
        assert_eq!(at(deep.as_bytes(), 1, 1006), format!("A{}", "[0]".repeat(LEVELS_MAX - 1)));
    }
}
