//! Where each mapping's messages come from: its queue, found and looked at; and the name it has in logs and metrics.

use std::sync::Arc;

use wasmill_queue::{Broker, Queue, QueueArn, QueueError};
use wasmill_sqs::{RemoteOptions, RemoteSqs};

use crate::assemble::queues;
use crate::config::{
    self, Config, DEFAULT_VISIBILITY_TIMEOUT_SECONDS, MappingSource, MappingSpec, RemoteAddress, RemoteQueue,
};
use crate::error::CliError;

/// A mapping and its queue.
pub(super) struct Feed<'c> {
    pub(super) spec: &'c MappingSpec,
    pub(super) function: &'c config::FunctionSpec,
    pub(super) arn: QueueArn,
}

/// Finds the queue of every mapping, and looks at those that are to poll. A disabled one is not asked for where its ARN is
/// known: it may be an example, or its service away.
pub(super) async fn find<'c>(config: &'c Config, broker: Option<&Broker>) -> Result<Vec<Feed<'c>>, CliError> {
    let mut feeds: Vec<Feed<'_>> = Vec::new();
    for spec in &config.mappings {
        let function = config.functions.iter().find(|function| function.name == spec.function_name);
        let function = function.ok_or_else(|| CliError::internal("a mapping's function was not loaded"))?;
        let known = match &spec.source {
            MappingSource::Remote(RemoteQueue { address: RemoteAddress::Arn { arn, .. }, .. }) if !spec.enabled => {
                Some(QueueArn::parse(arn).map_err(|error| CliError::internal(error.to_string()))?)
            }
            _ => None,
        };
        let (arn, queue) = match known {
            Some(arn) => (arn, None),
            None => {
                let queue = source(spec, broker).await?;
                (queue.arn().clone(), Some(queue))
            }
        };
        if let Some(first) = feeds.iter().find(|feed| feed.arn == arn && feed.function.name == function.name) {
            return Err(twice(&arn, &function.name).at(format!("{} and {}", first.spec.key, spec.key)));
        }
        match queue {
            Some(queue) if spec.enabled => check_visibility(config, spec, function, &*queue).await?,
            _ => tracing::info!(mapping = spec.key, "disabled by the config: it does not poll"),
        }
        feeds.push(Feed { spec, function, arn });
    }
    Ok(feeds)
}

/// Lambda's own reason, as two such mappings would take each other's messages and share their metrics.
fn twice(arn: &QueueArn, function_name: &str) -> CliError {
    let what = format!(
        "an event source mapping with SQS arn (\" {arn} \") and function (\" {function_name} \") already exists"
    );
    CliError::config(what).with_mend(
        "keep one of the two; if they are queues of two services, give the built-in queue an account_id of its own",
    )
}

/// The queue's short name where it is free, else its ARN: queues of two accounts, regions or services may share a name.
pub(super) fn name_for<'n>(arn: &QueueArn, function_name: &str, mut taken: impl Iterator<Item = &'n str>) -> String {
    let short = format!("{}/{function_name}", arn.name());
    if taken.any(|name| name == short) { format!("{arn}/{function_name}") } else { short }
}

/// Lambda refuses a function timeout above the queue's visibility timeout. What the config itself says of it was judged
/// when it was read; here is what only the queue knows.
async fn check_visibility(
    config: &Config,
    spec: &MappingSpec,
    function: &config::FunctionSpec,
    queue: &dyn Queue,
) -> Result<(), CliError> {
    let failed =
        |error: QueueError| CliError::unavailable(error.to_string()).at(format!("event source {}", queue.arn()));
    let visibility = queue.attributes().await.map_err(failed)?.visibility_timeout;
    if function.timeout <= visibility || is_judged(config, spec, visibility.as_secs()) {
        return Ok(());
    }
    let (arn, timeout_s, visibility_s) = (queue.arn(), function.timeout.as_secs(), visibility.as_secs());
    let mend = format!(
        "raise the queue's visibility timeout to {timeout_s} s or more (Lambda advises six times the timeout), or lower \
         the function's timeout"
    );
    if config.strict_lambda {
        let what = format!(
            "the timeout of function {:?}, {timeout_s} s, is more than the visibility timeout of queue {arn}, \
             {visibility_s} s, and strict_lambda is on",
            function.name
        );
        return Err(CliError::config(what).at(&spec.key).with_mend(mend));
    }
    tracing::warn!(
        mapping = spec.key,
        function = function.name,
        queue = %arn,
        timeout_s,
        visibility_timeout_s = visibility_s,
        mend,
        "the function's timeout is more than the queue's visibility timeout; wasmill renews it while the handler runs, \
         Lambda refuses it"
    );
    Ok(())
}

/// Whether the config assumed just this visibility timeout, and so has said what there is to say.
fn is_judged(config: &Config, spec: &MappingSpec, visibility_s: u64) -> bool {
    let MappingSource::Local { queue_name } = &spec.source else { return false };
    let queue = config.queues.iter().find(|queue| queue.name == *queue_name);
    let written = queue.and_then(|queue| queue.visibility_timeout_seconds);
    u64::from(written.unwrap_or(DEFAULT_VISIBILITY_TIMEOUT_SECONDS)) == visibility_s
}

async fn source(mapping: &MappingSpec, broker: Option<&Broker>) -> Result<Arc<dyn Queue>, CliError> {
    match (&mapping.source, broker) {
        (MappingSource::Local { queue_name }, Some(broker)) => Ok(Arc::new(queues::find(broker, queue_name)?)),
        (MappingSource::Local { .. }, None) => Err(CliError::internal("a local event source without a built-in queue")),
        (MappingSource::Remote(remote), _) => remote_queue(remote).await,
    }
}

async fn remote_queue(remote: &RemoteQueue) -> Result<Arc<dyn Queue>, CliError> {
    reach(remote).await.map_err(|error| {
        let mend = match error {
            QueueError::NoSuchQueue => "create it, or correct event_source_arn; region and account count, too",
            _ => "check the network, [aws] endpoint_url and the credentials of the standard AWS chain",
        };
        let address = match &remote.address {
            RemoteAddress::Arn { arn, .. } => arn,
            RemoteAddress::Url(url) => url,
        };
        CliError::unavailable(error.to_string()).at(format!("event source {address}")).with_mend(mend)
    })
}

/// A queue of another service.
pub(super) async fn reach(remote: &RemoteQueue) -> Result<Arc<dyn Queue>, QueueError> {
    Ok(Arc::new(open(remote).await?))
}

/// The same, with what only a queue of another service can be asked.
pub(crate) async fn open(remote: &RemoteQueue) -> Result<wasmill_sqs::RemoteQueue, QueueError> {
    let options = RemoteOptions {
        endpoint_url: remote.endpoint_url.clone(),
        region: Some(remote.region.clone()),
        anonymous_local: false,
    };
    let service = RemoteSqs::connect(options).await.map_err(|error| QueueError::Unavailable(error.to_string()))?;
    match &remote.address {
        RemoteAddress::Arn { arn, .. } => {
            let parsed = QueueArn::parse(arn).map_err(|error| QueueError::Unavailable(error.to_string()))?;
            service.queue_by_arn(&parsed).await
        }
        RemoteAddress::Url(url) => service.queue_by_url(url).await,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use crate::assemble::queues::tests::broker;
    use crate::config::{Durability, FunctionSpec, LocalQueue, QueueSpec, Trial};

    use super::*;

    /// Mappings from local queues to one function of five seconds.
    fn config(sources: &[&str], strict_lambda: bool) -> Config {
        let any_port = ([127, 0, 0, 1], 0).into();
        let local = LocalQueue {
            listen: any_port,
            data_dir: None,
            durability: Durability::Fsync,
            allowed_origins: Vec::new(),
            blocks_deleted_names: false,
            trial: Trial::default(),
        };
        let function = FunctionSpec { timeout: Duration::from_secs(5), ..FunctionSpec::new("f", "f.wasm".into()) };
        let mapping = |(index, source): (usize, &&str)| {
            let source = MappingSource::Local { queue_name: (*source).to_owned() };
            MappingSpec::new(format!("event_source_mapping[{index}]"), source, "f")
        };
        Config {
            queues: vec![QueueSpec::new("orders")],
            functions: vec![function],
            mappings: sources.iter().enumerate().map(mapping).collect(),
            strict_lambda,
            ..Config::of_queue(local, any_port)
        }
    }

    #[test]
    fn a_taken_short_name_gives_way_to_the_arn() {
        let local = QueueArn::new("us-east-1", "000000000000", "orders");
        let remote = QueueArn::new("us-east-1", "123456789012", "orders");
        assert_eq!(name_for(&local, "f", std::iter::empty()), "orders/f");
        assert_eq!(name_for(&remote, "f", ["orders/g"].into_iter()), "orders/f");
        assert_eq!(name_for(&remote, "f", ["orders/f"].into_iter()), "arn:aws:sqs:us-east-1:123456789012:orders/f");
    }

    #[tokio::test]
    async fn one_queue_feeds_a_function_once() {
        let broker = broker().await;
        broker.create_queue("orders", &[], &[]).await.unwrap();
        let config = config(&["orders", "orders"], false);
        let refused = find(&config, Some(&broker)).await.err().unwrap();
        assert_eq!(refused.kind().code(), 3);
        let said = refused.to_string();
        assert!(
            said.contains("SQS arn (\" arn:aws:sqs:us-east-1:000000000000:orders \") and function (\" f \")"),
            "{said}"
        );
        assert!(said.contains("event_source_mapping[0] and event_source_mapping[1]"), "{said}");
    }

    #[tokio::test]
    async fn a_timeout_above_what_the_queue_really_has_is_found_at_start() {
        let broker = broker().await;
        let short = [("VisibilityTimeout".to_owned(), "2".to_owned())];
        broker.create_queue("orders", &short, &[]).await.unwrap();
        assert_eq!(find(&config(&["orders"], false), Some(&broker)).await.unwrap().len(), 1);
        let strict = config(&["orders"], true);
        let refused = find(&strict, Some(&broker)).await.err().unwrap();
        assert_eq!(refused.kind().code(), 3);
        assert!(refused.to_string().contains("5 s, is more than the visibility timeout"), "{refused}");

        let long_enough = [("VisibilityTimeout".to_owned(), "5".to_owned())];
        broker.queue("orders").unwrap().set_attributes(&long_enough).await.unwrap();
        assert!(find(&strict, Some(&broker)).await.is_ok());
    }
}
