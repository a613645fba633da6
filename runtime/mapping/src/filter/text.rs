//! What a text can be asked for: its beginning, its end, its letters in either case, a wildcard, a network.

use std::net::IpAddr;

/// One question to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextTest {
    Prefix(String),
    Suffix(String),
    PrefixIgnoreCase(Folded),
    SuffixIgnoreCase(Folded),
    EqualsIgnoreCase(Folded),
    Wildcard(Wildcard),
    Cidr(Cidr),
}

impl TextTest {
    /// `address`: reads the text as an address, at most once however many tests ask.
    pub(super) fn matches(&self, text: &str, address: impl FnOnce() -> Option<IpAddr>) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::PrefixIgnoreCase(prefix) => prefix.begins(text.chars()),
            Self::SuffixIgnoreCase(suffix) => suffix.ends(text),
            Self::EqualsIgnoreCase(whole) => {
                let mut rest = text.chars();
                whole.begins(rest.by_ref()) && rest.next().is_none()
            }
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Cidr(cidr) => address().is_some_and(|address| cidr.contains(address)),
        }
    }
}

/// Characters whose case does not count. Case is folded character by character, so `ß` is not `SS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folded(Vec<char>);

impl Folded {
    pub(super) fn new(text: &str) -> Self {
        Self(text.chars().map(fold).collect())
    }

    fn begins(&self, mut text: impl Iterator<Item = char>) -> bool {
        self.0.iter().all(|own| text.next().map(fold) == Some(*own))
    }

    fn ends(&self, text: &str) -> bool {
        let mut backwards = text.chars().rev();
        self.0.iter().rev().all(|own| backwards.next().map(fold) == Some(*own))
    }
}

/// Lower case of the upper case, where each is one character.
fn fold(letter: char) -> char {
    fn single(mut mapped: impl Iterator<Item = char>, otherwise: char) -> char {
        mapped.next().filter(|_| mapped.next().is_none()).unwrap_or(otherwise)
    }
    if letter.is_ascii() {
        return letter.to_ascii_lowercase();
    }
    let upper = single(letter.to_uppercase(), letter);
    single(upper.to_lowercase(), upper)
}

/// A text with `*` for any number of characters. Matched part by part, each at its first place: linear, without going
/// back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// What stands between the stars; one part only when there is no star.
    parts: Vec<String>,
}

impl Wildcard {
    /// `\*` and `\\` stand for themselves, any other escape and `**` are refused (esm-semantics §5.3).
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = vec![String::new()];
        let mut after_star = false;
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            if next == '*' {
                if after_star {
                    return Err("\"**\" is not allowed: one star stands for any number of characters");
                }
                parts.push(String::new());
                after_star = true;
                continue;
            }
            after_star = false;
            let letter = match next {
                '\\' => rest.next().filter(|escaped| matches!(escaped, '*' | '\\')).ok_or(
                    "a backslash may only stand before a star or another backslash: write \"\\\\*\" or \"\\\\\\\\\" in JSON",
                )?,
                letter => letter,
            };
            if let Some(part) = parts.last_mut() {
                part.push(letter);
            }
        }
        Ok(Self { parts })
    }

    fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|whole| whole == text);
        };
        // Both ends first: what is left between them may be searched greedily.
        let middle = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
        let Some(mut rest) = middle else { return false };
        for part in between {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// The addresses that share their first bits. An IPv4 network holds IPv4 addresses only, and so with IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    network: u128,
    width: u32,
    prefix_bits: u32,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) =
            text.split_once('/').ok_or("it has no slash: write a network such as \"10.0.0.0/8\"".to_owned())?;
        let address: IpAddr = address.parse().map_err(|_| format!("{address:?} is not an IPv4 or IPv6 address"))?;
        let (network, width) = number_of(address);
        let is_plain = !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit());
        let prefix_bits = bits.parse().ok().filter(|bits| is_plain && *bits <= width);
        let prefix_bits = prefix_bits.ok_or_else(|| format!("{bits:?} is not a number of bits from 0 to {width}"))?;
        Ok(Self { network, width, prefix_bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (number, width) = number_of(address);
        let host_bits = self.width - self.prefix_bits;
        width == self.width && (number ^ self.network).checked_shr(host_bits).unwrap_or(0) == 0
    }
}

fn number_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}
