//! How the config names a queue: a bare name, an ARN, or a queue URL; and the rules for names and regions.
//!
//! Only syntax: whether the queue exists, and whether it is ours or Amazon's, is for `resolve.rs`.

use axum::http::Uri;
use thiserror::Error;

/// The longest queue name (sqs-semantics § 3).
pub(super) const QUEUE_NAME_CHARS_MAX: usize = 80;
const FIFO_SUFFIX: &str = ".fifo";

/// A queue as written in the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueueAddress {
    /// A queue of the built-in service.
    Name(String),
    /// `arn:PARTITION:sqs:REGION:ACCOUNT:NAME`.
    Arn(QueueArn),
    /// `http(s)://HOST[:PORT]/…/NAME`.
    Url(QueueUrl),
}

/// The parts of a queue's ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueArn {
    pub(super) text: String,
    pub(super) region: String,
    pub(super) account_id: String,
    pub(super) name: String,
}

/// The parts of a queue's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueUrl {
    pub(super) text: String,
    /// `scheme://host[:port]`: where a service that is not Amazon's is asked.
    pub(super) origin: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The path's segment before the name, if it is an account number.
    pub(super) account_id: Option<String>,
    pub(super) name: String,
    /// The region if the host names one, as Amazon's and LocalStack's do.
    pub(super) region: Option<String>,
    /// True for hosts below `amazonaws.com`, whose endpoint the AWS SDK derives from the region.
    pub(super) is_amazon: bool,
}

/// Why a text names no queue. The text itself is not repeated: the caller shows it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum AddressError {
    #[error("is not a queue name: 1–80 letters, digits, hyphens or underscores, of a FIFO queue with .fifo at the end")]
    BadName,
    #[error("is not the ARN of an SQS queue: arn:aws:sqs:REGION:ACCOUNT:NAME with an account of 12 digits")]
    BadArn,
    #[error("is not a queue URL: https://HOST/ACCOUNT/NAME")]
    BadUrl,
    #[error("carries credentials in the URL")]
    Credentials,
}

impl AddressError {
    /// What to do about it.
    pub(super) fn mend(&self) -> &'static str {
        match self {
            Self::BadName | Self::BadUrl => "write a local queue's name, an ARN arn:aws:sqs:… or a queue URL https://…",
            Self::BadArn => "copy the queue's QueueArn attribute",
            Self::Credentials => "take user and password out; credentials come from the standard AWS chain",
        }
    }
}

/// Takes apart what the config calls a queue.
pub(super) fn parse_address(text: &str) -> Result<QueueAddress, AddressError> {
    if text.starts_with("arn:") {
        return parse_arn(text).map(QueueAddress::Arn);
    }
    if text.contains("://") {
        return parse_url(text).map(QueueAddress::Url);
    }
    check_queue_name(text)?;
    Ok(QueueAddress::Name(text.to_owned()))
}

/// The rule for a queue's name (sqs-semantics § 3); the suffix of a FIFO queue counts towards its length.
pub(super) fn check_queue_name(name: &str) -> Result<(), AddressError> {
    let stem = name.strip_suffix(FIFO_SUFFIX).unwrap_or(name);
    let fits = is_word(stem) && name.len() <= QUEUE_NAME_CHARS_MAX;
    if fits { Ok(()) } else { Err(AddressError::BadName) }
}

/// Whether a name is one of a FIFO queue: the suffix and the type always go together.
pub(super) fn is_fifo_name(name: &str) -> bool {
    name.ends_with(FIFO_SUFFIX)
}

fn parse_arn(text: &str) -> Result<QueueArn, AddressError> {
    let parts: Vec<&str> = text.split(':').collect();
    let &["arn", partition, "sqs", region, account_id, name] = parts.as_slice() else {
        return Err(AddressError::BadArn);
    };
    let known_partition = partition == "aws" || partition.strip_prefix("aws-").is_some_and(is_word);
    if !known_partition || !is_region(region) || !is_account_id(account_id) {
        return Err(AddressError::BadArn);
    }
    check_queue_name(name).map_err(|_| AddressError::BadArn)?;
    let (region, account_id, name) = (region.to_owned(), account_id.to_owned(), name.to_owned());
    Ok(QueueArn { text: text.to_owned(), region, account_id, name })
}

fn parse_url(text: &str) -> Result<QueueUrl, AddressError> {
    let (origin, uri) = parse_http_url(text)?;
    if uri.query().is_some() {
        return Err(AddressError::BadUrl);
    }
    let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let Some((name, before)) = segments.split_last() else {
        return Err(AddressError::BadUrl);
    };
    check_queue_name(name).map_err(|_| AddressError::BadUrl)?;
    let account_id = before.last().filter(|segment| is_account_id(segment)).map(|account| (*account).to_owned());
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let is_amazon = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|suffix| host.ends_with(suffix));
    Ok(QueueUrl {
        text: text.to_owned(),
        origin,
        port: port_of(&uri),
        account_id,
        name: (*name).to_owned(),
        region: region_of_host(&host),
        is_amazon,
        host,
    })
}

/// Checks an `http(s)://` URL without user, password or fragment; gives its origin and its parts.
pub(super) fn parse_http_url(text: &str) -> Result<(String, Uri), AddressError> {
    let uri: Uri = text.parse().map_err(|_| AddressError::BadUrl)?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(AddressError::BadUrl);
    };
    if authority.as_str().contains('@') {
        return Err(AddressError::Credentials);
    }
    if authority.host().is_empty() || text.contains('#') {
        return Err(AddressError::BadUrl);
    }
    let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
    Ok((origin, uri))
}

fn port_of(uri: &Uri) -> u16 {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.port_u16().unwrap_or(usual)
}

/// `sqs.eu-west-1.amazonaws.com`, `vpce-….sqs.eu-west-1.vpce.amazonaws.com`, LocalStack's
/// `sqs.eu-west-1.localhost.localstack.cloud`, and Amazon's legacy `eu-west-1.queue.amazonaws.com`.
fn region_of_host(host: &str) -> Option<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let named = labels.windows(2).find_map(|pair| match pair {
        ["sqs" | "sqs-fips", region] => Some(*region),
        [region, "queue"] => Some(*region),
        _ => None,
    });
    // Every region has a number at its end: `sqs.example.com` names none.
    let is_numbered = |region: &&str| region.ends_with(|last: char| last.is_ascii_digit()) && region.contains('-');
    named.filter(is_numbered).filter(|region| is_region(region)).map(str::to_owned)
}

/// `[a-z0-9-]`, 1–64: what may stand in a host name and an ARN.
pub(super) fn is_region(text: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    (1..=64).contains(&text.len()) && text.chars().all(is_part)
}

/// Twelve digits.
pub(super) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|digit| digit.is_ascii_digit())
}

/// One or more of `[A-Za-z0-9_-]`.
pub(super) fn is_word(text: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    !text.is_empty() && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn url(text: &str) -> QueueUrl {
        match parse_address(text).unwrap() {
            QueueAddress::Url(url) => url,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names() {
        assert_eq!(parse_address("orders-1_b").unwrap(), QueueAddress::Name("orders-1_b".to_owned()));
        for good in ["orders.fifo", &"a".repeat(80), &format!("{}.fifo", "a".repeat(75))] {
            assert_eq!(check_queue_name(good), Ok(()), "{good}");
        }
        for bad in
            ["", "a b", "a/b", "größe", ".fifo", "a.b", "a.FIFO", &"a".repeat(81), &format!("{}.fifo", "a".repeat(76))]
        {
            assert_eq!(check_queue_name(bad), Err(AddressError::BadName), "{bad}");
        }
        assert!(is_fifo_name("orders.fifo") && !is_fifo_name("orders"));
    }

    #[test]
    fn arns() {
        let QueueAddress::Arn(arn) = parse_address("arn:aws-cn:sqs:cn-north-1:123456789012:orders").unwrap() else {
            panic!("not an ARN");
        };
        assert_eq!(
            (arn.region.as_str(), arn.account_id.as_str(), arn.name.as_str()),
            ("cn-north-1", "123456789012", "orders")
        );
        for bad in [
            "arn:aws:sqs:us-east-1:123456789012:",
            "arn:aws:sns:us-east-1:123456789012:orders",
            "arn:aws:sqs::123456789012:orders",
            "arn:aws:sqs:us-east-1:12345678901:orders",
            "arn:aws:sqs:us-east-1:123456789012:orders:1",
            "arn:other:sqs:us-east-1:123456789012:orders",
        ] {
            assert_eq!(parse_address(bad), Err(AddressError::BadArn), "{bad}");
        }
        assert!(parse_address("arn:aws:sqs:us-east-1:123456789012:orders.fifo").is_ok());
    }

    #[test]
    fn urls() {
        let amazon = url("https://sqs.eu-west-1.amazonaws.com/123456789012/orders");
        assert_eq!(amazon.region.as_deref(), Some("eu-west-1"));
        assert_eq!((amazon.is_amazon, amazon.port, amazon.account_id.as_deref()), (true, 443, Some("123456789012")));
        assert_eq!(amazon.origin, "https://sqs.eu-west-1.amazonaws.com");

        let elastic = url("http://localhost:9324/000000000000/orders");
        assert_eq!((elastic.is_amazon, elastic.port, elastic.region.as_deref()), (false, 9324, None));
        assert_eq!(elastic.origin, "http://localhost:9324");

        assert_eq!(url("http://10.0.0.1/queue/orders").account_id, None);
        assert_eq!(
            url("https://eu-west-1.queue.amazonaws.com/123456789012/orders").region.as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(url("https://sqs.example.com/123456789012/orders").region, None);
        assert!(!url("https://sqs.us-east-1.amazonaws.com.evil.example/123456789012/orders").is_amazon);

        for bad in [
            "ftp://host/1/orders",
            "http://",
            "https://host",
            "https://host/",
            "http://host/a b",
            "http://host/1/q?x=1",
        ] {
            assert_eq!(parse_address(bad), Err(AddressError::BadUrl), "{bad}");
        }
        assert_eq!(parse_address("https://user:secret@host/1/orders"), Err(AddressError::Credentials));
        assert_eq!(url("https://host/123456789012/orders.fifo").name, "orders.fifo");
    }
}
