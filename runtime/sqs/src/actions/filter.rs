//! Which message attributes a receive shows: `MessageAttributeNames` (sqs-semantics §5.1).

use wasmill_queue::MessageAttribute;

/// A parsed `MessageAttributeNames`. Without a name nothing is shown.
#[derive(Debug, Default)]
pub(super) struct AttributeFilter {
    all: bool,
    prefixes: Vec<String>,
    names: Vec<String>,
}

impl AttributeFilter {
    /// `All`, `*` and `.*` stand for all attributes, `prefix.*` for those whose names start so, the rest for themselves.
    pub(super) fn parse(names: Vec<String>) -> Self {
        let mut filter = Self::default();
        for name in names {
            match name.strip_suffix(".*") {
                _ if matches!(name.as_str(), "All" | "*") => filter.all = true,
                Some("") => filter.all = true,
                Some(prefix) => filter.prefixes.push(prefix.to_owned()),
                None => filter.names.push(name),
            }
        }
        filter
    }

    /// Removes what was not asked for.
    pub(super) fn apply(&self, attributes: &mut Vec<MessageAttribute>) {
        if !self.all {
            attributes.retain(|attribute| self.matches(&attribute.name));
        }
    }

    fn matches(&self, name: &str) -> bool {
        self.names.iter().any(|wanted| wanted == name)
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use wasmill_queue::AttributeValue;

    use super::*;

    fn shown(names: &[&str]) -> Vec<String> {
        let attribute = |name: &str| MessageAttribute {
            name: name.into(),
            data_type: "String".into(),
            value: AttributeValue::Text("v".into()),
        };
        let mut attributes: Vec<MessageAttribute> = ["Help.Me", "Help.You", "Hello", "General"].map(attribute).into();
        AttributeFilter::parse(names.iter().map(|name| (*name).to_owned()).collect()).apply(&mut attributes);
        attributes.into_iter().map(|attribute| attribute.name).collect()
    }

    #[test]
    fn names_patterns_and_nothing() {
        let everything = ["Help.Me", "Help.You", "Hello", "General"];
        assert_eq!(shown(&[]), [""; 0]);
        assert_eq!(shown(&["All"]), everything);
        assert_eq!(shown(&[".*"]), everything);
        assert_eq!(shown(&["*"]), everything, "recorded on AWS, not documented");
        assert_eq!(shown(&["Hel*"]), [""; 0]);
        assert_eq!(shown(&["Help.*"]), ["Help.Me", "Help.You"]);
        assert_eq!(shown(&["Hel.*"]), ["Help.Me", "Help.You", "Hello"], "a prefix need not end at a period");
        assert_eq!(shown(&["Hello", "Unheard", "General"]), ["Hello", "General"]);
        assert_eq!(shown(&["Help"]), [""; 0], "a name is not a prefix");
        assert_eq!(shown(&["Hello", "All"]), everything);
    }
}
