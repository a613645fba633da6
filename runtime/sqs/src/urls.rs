//! Queue URLs: every form that clients use on the way in, one form on the way out (sqs-semantics §1.3).

/// What a queue URL says once the host, which nobody agrees on, is left aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueAddress<'a> {
    /// The segment before the name when it is an account (twelve digits). ElasticMQ's `/queue/NAME` and a bare name have
    /// none.
    pub(crate) account: Option<&'a str>,
    pub(crate) name: &'a str,
}

/// Reads a queue URL, the path of one, or a bare queue name: account and name are the last two segments. None when
/// there is no name in it.
pub(crate) fn parse(url: &str) -> Option<QueueAddress<'_>> {
    let without_query = url.split(['?', '#']).next().unwrap_or_default();
    let path = match without_query.split_once("://") {
        Some((_scheme, rest)) => rest.split_once('/').map(|(_authority, path)| path)?,
        None => without_query,
    };
    let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
    let name = segments.next()?;
    let account = segments.next().filter(|segment| is_account(segment));
    Some(QueueAddress { account, name })
}

fn is_account(segment: &str) -> bool {
    segment.len() == 12 && segment.bytes().all(|byte| byte.is_ascii_digit())
}

/// The URL of a queue, on the host that the client itself used, so that it works from inside containers too.
pub(crate) fn build(host: &str, account: &str, name: &str) -> String {
    format!("http://{host}/{account}/{name}")
}

/// True for what may stand in a URL as host and port. A `Host` header is the client's text.
pub(crate) fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_lead_to_the_name() {
        let ours = Some("000000000000");
        for (url, account) in [
            ("https://sqs.eu-west-1.amazonaws.com/000000000000/orders", ours),
            ("https://eu-west-1.queue.amazonaws.com/000000000000/orders", ours),
            ("http://localhost:4566/000000000000/orders", ours),
            ("http://localhost:4566/queue/us-east-1/000000000000/orders", ours),
            ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/orders/", ours),
            ("http://[::1]:9324/000000000000/orders?Action=SendMessage", ours),
            ("http://localhost:9324/queue/orders", None),
            ("http://localhost:9324/orders", None),
            ("/000000000000/orders", ours),
            ("000000000000/orders", ours),
            ("orders", None),
        ] {
            assert_eq!(parse(url), Some(QueueAddress { account, name: "orders" }), "{url}");
        }
    }

    #[test]
    fn no_name_is_no_queue() {
        for url in ["", "/", "http://localhost:9324", "http://localhost:9324/", "?Action=ListQueues"] {
            assert_eq!(parse(url), None, "{url:?}");
        }
    }

    #[test]
    fn what_is_built_is_understood() {
        let url = build("example.test:9324", "123456789012", "jobs");
        assert_eq!(url, "http://example.test:9324/123456789012/jobs");
        assert_eq!(parse(&url), Some(QueueAddress { account: Some("123456789012"), name: "jobs" }));
    }

    #[test]
    fn hosts() {
        for good in ["localhost:9324", "[::1]:9324", "queue_1.internal"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "a/b", "a b", "user@host", "\"x\""] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
