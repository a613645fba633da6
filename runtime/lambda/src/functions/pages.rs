//! Lists in pages: `MaxItems`, `Marker`, `NextMarker`.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::functions::record;
use crate::members::Members;
use crate::names::LATEST;

const MAX: u32 = 10_000;
/// What AWS gives at most, whatever is asked for.
const ITEMS_MAX: u32 = 50;
const VERSION_DIGITS: usize = 20;

/// Which part of a list is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    after: Option<String>,
    max: usize,
}

impl Page {
    /// Reads the query of a list.
    pub(crate) fn read(query: &str) -> Result<Self, ApiError> {
        let (mut after, mut max) = (None, ITEMS_MAX);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "Marker" if !value.is_empty() => after = Some(value.into_owned()),
                "MaxItems" => max = max_items(&value)?.map_or(ITEMS_MAX, |asked| asked.min(ITEMS_MAX)),
                _ => {}
            }
        }
        Ok(Self { after, max: max as usize })
    }

    /// The body of a list: what stands after the marker, and the next one if there is more. The markers are the keys.
    pub(crate) fn of<T>(&self, name: &str, items: &BTreeMap<String, T>, show: impl Fn(&T) -> Value) -> Value {
        let from = self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = items.range::<str, _>((from, Bound::Unbounded));
        let page: Vec<(&String, &T)> = rest.by_ref().take(self.max).collect();
        let shown: Vec<Value> = page.iter().map(|(_, item)| show(item)).collect();
        let mut body = Map::new();
        if let Some((last, _)) = page.last().filter(|_| rest.next().is_some()) {
            body.insert("NextMarker".to_owned(), json!(last));
        }
        body.insert(name.to_owned(), shown.into());
        Value::Object(body)
    }
}

/// Versions in their order, `$LATEST` first.
pub(crate) fn version_key(function: &str, version: &str) -> String {
    debug_assert!(version == LATEST || record::number(version).is_some());
    // `$` stands before all digits.
    match version {
        LATEST => format!("{function}:{LATEST}"),
        number => format!("{function}:{number:0>VERSION_DIGITS$}"),
    }
}

fn max_items(text: &str) -> Result<Option<u32>, ApiError> {
    let mut given = Map::new();
    let number: Result<i64, _> = text.parse();
    given.insert("MaxItems".to_owned(), number.map_or_else(|_| json!(text), |number| json!(number)));
    let mut members = Members::new(&given);
    let max = members.integer("MaxItems", 1, MAX)?;
    members.finish()?;
    Ok(max)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_list_comes_in_pages_without_a_gap_and_without_an_overlap() {
        let items: BTreeMap<String, u64> =
            (0..7).map(|number| (version_key("f", &number.to_string()), number)).collect();
        let mut marker = String::new();
        let mut seen = Vec::new();
        for expected in [3, 3, 1] {
            let page = Page::read(&format!("MaxItems=3&Marker={marker}")).unwrap();
            let body = page.of("Versions", &items, |number| json!(number));
            let versions = body["Versions"].as_array().unwrap();
            assert_eq!(versions.len(), expected);
            seen.extend(versions.iter().map(|number| number.as_u64().unwrap()));
            marker = body.get("NextMarker").map_or_else(String::new, |marker| marker.as_str().unwrap().to_owned());
            assert_eq!(marker.is_empty(), expected == 1);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        assert!(Page::read("MaxItems=0").is_err() && Page::read("MaxItems=10001").is_err());
        assert_eq!(Page::read("MaxItems=10000").unwrap().max, 50);
    }

    #[test]
    fn latest_stands_first_and_two_before_ten() {
        let keys: Vec<String> = ["$LATEST", "2", "10"].map(|version| version_key("f", version)).into();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
