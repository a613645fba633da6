//! Function names as clients write them, and the ARNs of this worker's resources (esm-semantics §1, lambda-api §6).

use std::fmt;

/// The one qualifier that there is without versions and aliases.
pub(crate) const LATEST: &str = "$LATEST";
const ACCOUNT_DIGITS: usize = 12;

/// A function, and the qualifier it was asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRef {
    /// The bare name.
    pub name: String,
    /// A version or an alias; it is shown again exactly as it was asked for, `$LATEST` too.
    pub qualifier: Option<String>,
}

impl FunctionRef {
    /// A function by its bare name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), qualifier: None }
    }

    /// Reads `NAME[:QUALIFIER]`, the form of [`Display`](fmt::Display).
    pub(crate) fn from_short(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, qualifier)) => Self { name: name.to_owned(), qualifier: Some(qualifier.to_owned()) },
            None => Self::new(text),
        }
    }

    /// Whether both run the same code: no qualifier and `$LATEST` are one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.effective_qualifier() == other.effective_qualifier()
    }

    fn effective_qualifier(&self) -> &str {
        self.qualifier.as_deref().unwrap_or(LATEST)
    }
}

impl fmt::Display for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.qualifier {
            Some(qualifier) => write!(f, "{}:{qualifier}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A function as a client names it: a name, a partial ARN or a whole one, each perhaps with a qualifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedFunction {
    pub(crate) region: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) function: FunctionRef,
}

impl AskedFunction {
    /// Reads what botocore calls a `NamespacedFunctionName`; none when the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (mut region, mut account) = (None, None);
        let mut rest = parts.as_slice();
        if let ["arn", partition, service, in_region, of_account, after @ ..] = rest {
            let whole = (partition.is_empty() || partition.starts_with("aws"))
                && *service == "lambda"
                && is_region(in_region)
                && is_account(of_account);
            if !whole {
                return None;
            }
            (region, account, rest) = (Some(*in_region), Some(*of_account), after);
        } else {
            if let [in_region, after @ ..] = rest
                && is_region(in_region)
                && !after.is_empty()
            {
                (region, rest) = (Some(*in_region), after);
            }
            if let [of_account, after @ ..] = rest
                && is_account(of_account)
                && !after.is_empty()
            {
                (account, rest) = (Some(*of_account), after);
            }
        }
        if let ["function", after @ ..] = rest
            && !after.is_empty()
        {
            rest = after;
        }
        let (name, qualifier) = match rest {
            [name] => (*name, None),
            [name, qualifier] => (*name, Some(*qualifier)),
            _ => return None,
        };
        let is_name = !name.is_empty() && name.bytes().all(|byte| is_name_byte(byte) || byte == b'.');
        let is_qualifier = |text: &str| text == LATEST || (!text.is_empty() && text.bytes().all(is_name_byte));
        if !is_name || !qualifier.is_none_or(is_qualifier) {
            return None;
        }
        let function = FunctionRef { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
        Some(Self { region: region.map(str::to_owned), account: account.map(str::to_owned), function })
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let [country, middle @ .., number] = &words[..] else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_country = country.len() == 2 || *country == "eusc";
    is_number && is_country && is_word(country) && (1..=2).contains(&middle.len()) && middle.iter().all(|w| is_word(w))
}

fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where this worker's functions and mappings live: the region and account in their ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Default `us-east-1`.
    pub region: String,
    /// Twelve digits, default `000000000000`.
    pub account: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self { region: "us-east-1".into(), account: "000000000000".into() }
    }
}

impl Identity {
    /// The ARN of a function of this worker, with its qualifier as asked.
    pub(crate) fn function_arn(&self, function: &FunctionRef) -> String {
        format!("arn:aws:lambda:{}:{}:function:{function}", self.region, self.account)
    }

    /// The ARN of a mapping of this worker.
    pub(crate) fn mapping_arn(&self, uuid: &str) -> String {
        format!("arn:aws:lambda:{}:{}:event-source-mapping:{uuid}", self.region, self.account)
    }
}

/// Whether the text is the ARN of an SQS queue, in whatever partition, region and account.
pub(crate) fn is_queue_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts[..], ["arn", partition, "sqs", region, account, name]
        if [partition, region, account, name].iter().all(|part| !part.is_empty()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_function_is_named_in_every_way_that_lambda_takes() {
        let short = |text: &str| {
            let asked = AskedFunction::parse(text).unwrap();
            (asked.region.unwrap_or_default(), asked.account.unwrap_or_default(), asked.function.to_string())
        };
        for (text, region, account, function) in [
            ("orders", "", "", "orders"),
            ("orders:$LATEST", "", "", "orders:$LATEST"),
            ("orders:7", "", "", "orders:7"),
            ("function:orders", "", "", "orders"),
            ("function:orders:live", "", "", "orders:live"),
            ("000000000000:orders", "", "000000000000", "orders"),
            ("000000000000:function:orders", "", "000000000000", "orders"),
            ("000000000000:function:orders:$LATEST", "", "000000000000", "orders:$LATEST"),
            ("us-east-1:000000000000:function:orders", "us-east-1", "000000000000", "orders"),
            ("arn:aws:lambda:eu-west-1:123456789012:function:orders", "eu-west-1", "123456789012", "orders"),
            ("arn:aws:lambda:eu-west-1:123456789012:function:orders:v", "eu-west-1", "123456789012", "orders:v"),
            ("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:o", "us-gov-west-1", "123456789012", "o"),
            ("function", "", "", "function"),
        ] {
            assert_eq!(short(text), (region.to_owned(), account.to_owned(), function.to_owned()), "{text}");
        }
        for text in [
            "",
            "a b",
            "orders:",
            "orders:a:b",
            "orders:$FIRST",
            ":orders",
            "arn:aws:sqs:us-east-1:000000000000:orders",
            "arn:aws:lambda:us-east-1:function:orders",
            "arn:aws:lambda:nowhere:000000000000:function:orders",
        ] {
            assert_eq!(AskedFunction::parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_qualifier_and_latest_are_the_same_function_and_are_shown_as_asked() {
        let (plain, latest) = (FunctionRef::new("f"), FunctionRef::from_short("f:$LATEST"));
        assert!(plain.is_same(&latest));
        assert!(!plain.is_same(&FunctionRef::from_short("f:1")));
        assert!(!plain.is_same(&FunctionRef::new("g")));
        let arn = |function| Identity::default().function_arn(function);
        assert_eq!(arn(&plain), "arn:aws:lambda:us-east-1:000000000000:function:f");
        assert_eq!(arn(&latest), "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
    }

    #[test]
    fn only_a_queues_arn_is_one() {
        assert!(is_queue_arn("arn:aws:sqs:us-east-1:000000000000:orders"));
        assert!(is_queue_arn("arn:aws-cn:sqs:cn-north-1:1:orders.fifo"));
        for text in
            ["orders", "arn:aws:kinesis:us-east-1:0:stream/s", "arn:aws:sqs:us-east-1::q", "arn:aws:sqs:r:0:q:x"]
        {
            assert!(!is_queue_arn(text), "{text}");
        }
    }
}
