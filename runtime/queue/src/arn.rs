//! Queue names and ARNs.

use std::fmt;

/// `arn:aws:sqs:REGION:ACCOUNT:NAME`, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueArn {
    text: String,
    region_end: usize,
    name_start: usize,
}

/// The text is not a queue's ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the ARN of an SQS queue (arn:aws:sqs:REGION:ACCOUNT:NAME)")]
pub struct NotAQueueArn(pub String);

impl QueueArn {
    /// Builds the ARN of a queue in the standard partition.
    #[must_use]
    pub fn new(region: &str, account: &str, name: &str) -> Self {
        let text = format!("arn:aws:sqs:{region}:{account}:{name}");
        let region_end = "arn:aws:sqs:".len() + region.len();
        let name_start = text.len() - name.len();
        Self { text, region_end, name_start }
    }

    /// Reads an ARN. Any partition (`aws`, `aws-cn`, `aws-us-gov`) is accepted.
    ///
    /// # Errors
    /// When the text has not six parts, or the service is not `sqs`, or region, account or name is empty.
    pub fn parse(text: &str) -> Result<Self, NotAQueueArn> {
        let not_an_arn = || NotAQueueArn(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, name] = parts[..] else { return Err(not_an_arn()) };
        let empty = [partition, region, account, name].iter().any(|part| part.is_empty());
        if arn != "arn" || service != "sqs" || empty {
            return Err(not_an_arn());
        }
        let region_end = arn.len() + partition.len() + service.len() + region.len() + 3;
        Ok(Self { text: text.to_owned(), region_end, name_start: text.len() - name.len() })
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        let before = &self.text[..self.region_end];
        before.rsplit(':').next().unwrap_or_default()
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.text[self.region_end + 1..self.name_start - 1]
    }

    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name_start..]
    }
}

impl fmt::Display for QueueArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where this process's queues live: the region and account in their ARNs and URLs.
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
    /// The ARN of one of this process's queues.
    #[must_use]
    pub fn arn(&self, name: &str) -> QueueArn {
        QueueArn::new(&self.region, &self.account, name)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn parts_come_back_from_built_and_from_parsed_arns() {
        for arn in [
            QueueArn::new("eu-west-1", "123456789012", "orders"),
            QueueArn::parse("arn:aws:sqs:eu-west-1:123456789012:orders").unwrap(),
        ] {
            assert_eq!((arn.region(), arn.account(), arn.name()), ("eu-west-1", "123456789012", "orders"));
        }
        assert_eq!(QueueArn::parse("arn:aws-cn:sqs:cn-north-1:1:q").unwrap().region(), "cn-north-1");
    }

    #[test]
    fn what_is_not_a_queue_is_refused() {
        for text in
            ["orders", "arn:aws:sns:us-east-1:0:t", "arn:aws:sqs::0:q", "arn:aws:sqs:r:0:", "arn:aws:sqs:r:0:q:x"]
        {
            assert_eq!(QueueArn::parse(text), Err(NotAQueueArn(text.into())));
        }
    }
}
