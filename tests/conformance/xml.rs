//! XML as a strict parser reads it, so far as SQS's answers use it: elements, attributes, text, character references.
//!
//! Line ends are normalised as XML 1.0 §2.11 says, so a carriage return survives only as a character reference. Comments,
//! CDATA and DTDs are absent: SQS writes none, and here they are errors.

#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    /// The start tag after the name, as written.
    pub(crate) attributes: String,
    /// All text directly in it.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// A child's text; empty if there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.as_str())
    }
}

/// Reads a whole document.
pub(crate) fn parse(document: &str) -> Result<Element, String> {
    let normalised = document.replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = normalised.trim_start();
    if let Some(declaration) = rest.strip_prefix("<?xml") {
        rest = declaration.split_once("?>").ok_or("the XML declaration does not end")?.1.trim_start();
    }
    let (root, rest) = element(rest)?;
    if rest.trim().is_empty() { Ok(root) } else { Err(format!("more than one root: {rest:.60}")) }
}

fn element(input: &str) -> Result<(Element, &str), String> {
    let inner = input.strip_prefix('<').ok_or_else(|| format!("no start tag at {input:.60}"))?;
    let (tag, mut rest) = inner.split_once('>').ok_or_else(|| format!("a tag does not end: {input:.60}"))?;
    let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
    let (name, attributes) = tag.trim_end().split_once(char::is_whitespace).unwrap_or((tag.trim_end(), ""));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("{name:?} is no name of SQS's"));
    }
    let mut read = Element { name: name.to_owned(), attributes: attributes.to_owned(), ..Element::default() };
    if closed {
        return Ok((read, rest));
    }
    loop {
        let (text, at_tag) = rest.split_at(rest.find('<').ok_or_else(|| format!("<{name}> does not end"))?);
        read.text.push_str(&unescaped(text)?);
        if let Some(end) = at_tag.strip_prefix("</") {
            let (closing, after) = end.split_once('>').ok_or_else(|| format!("</{name} does not end"))?;
            return if closing.trim_end() == name {
                Ok((read, after))
            } else {
                Err(format!("<{name}> is closed by </{closing}>"))
            };
        }
        let (child, after) = element(at_tag)?;
        read.children.push(child);
        rest = after;
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut pieces = text.split('&');
    let mut read = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (entity, after) =
            piece.split_once(';').ok_or_else(|| format!("an ampersand is not escaped: {text:.60}"))?;
        read.push(referred(entity).ok_or_else(|| format!("&{entity}; is unknown"))?);
        read.push_str(after);
    }
    let forbidden =
        |c: &char| matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    match read.chars().find(forbidden) {
        Some(character) => Err(format!("{character:?} may not stand in XML")),
        None => Ok(read),
    }
}

fn referred(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[test]
fn documents_are_read_as_xml_says() {
    let document = "<?xml version=\"1.0\"?><A xmlns=\"x\"><B>1 &lt;&amp;&#13;&#x1F600;</B>\r\n<C/></A>\n";
    let root = parse(document).unwrap();
    assert_eq!((root.name.as_str(), root.attributes.as_str()), ("A", "xmlns=\"x\""));
    assert_eq!(root.text_of("B"), "1 <&\r\u{1F600}");
    assert_eq!(root.text, "\n");
    assert!(root.child("C").unwrap().children.is_empty());
    for bad in ["", "<A>", "<A></B>", "<A>&</A>", "<A>&nbsp;</A>", "<A/><B/>", "<A>\u{1}</A>"] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}
