//! The built-in queue as the config wants it: opened, the config's queues made, and what it writes of them imposed.

use prometheus::Registry;
use wasmill_queue::{
    Broker, BrokerOptions, ChaosOptions, Durability, Identity, LocalQueue, OpenError, QueueError, Timeline,
};

use crate::assemble::metrics_twice;
use crate::config::{self, Config, QueueSpec};
use crate::error::CliError;

const RETENTION: &str = "MessageRetentionPeriod";
const KMS_REUSE: &str = "KmsDataKeyReusePeriodSeconds";
const KMS_REUSE_DEFAULT: &str = "300";

/// Opens the built-in queue with the config's queues in it.
pub(super) async fn open(config: &Config, local: &config::LocalQueue, registry: &Registry) -> Result<Broker, CliError> {
    let broker = Broker::open(BrokerOptions {
        data_dir: local.data_dir.clone(),
        durability: match local.durability {
            config::Durability::Fsync => Durability::Fsync,
            config::Durability::Os => Durability::Os,
        },
        identity: Identity { region: config.region.clone(), account: config.account_id.clone() },
        clock: None,
        timeline: if local.trial.time_control { Timeline::steered() } else { Timeline::real() },
        chaos: local.trial.chaos,
        metrics: wasmill_queue::Metrics::register(registry).map_err(metrics_twice)?,
    })
    .await
    .map_err(|error| open_error(&error))?;
    if local.data_dir.is_none() {
        tracing::info!("the queues are in memory: they and their messages are gone when the process ends");
    }
    if let Some(ChaosOptions { seed, duplicate, reorder, lost_ack }) = local.trial.chaos {
        let [duplicate, reorder, lost_ack] = [duplicate, reorder, lost_ack].map(percent);
        tracing::warn!(
            seed,
            duplicate,
            reorder,
            lost_ack,
            "chaos is on: standard queues have the faults that SQS may have"
        );
    }
    if local.trial.time_control {
        tracing::warn!("time control is on: whoever reaches the admin listener may skip the queues' time");
    }
    if local.blocks_deleted_names {
        broker.block_deleted_names();
    }
    own(&broker, &config.queues).await?;
    Ok(broker)
}

/// A share of a million as it is written.
pub(crate) fn percent(share: u32) -> String {
    format!("{}%", f64::from(share) / 10_000.0)
}

/// A queue by name.
pub(super) fn find(broker: &Broker, name: &str) -> Result<LocalQueue, CliError> {
    broker.queue(name).map_err(|error| CliError::unavailable(format!("queue {name}: {error}")))
}

/// Makes the queues that are missing and imposes what is written of the others.
pub(super) async fn own(broker: &Broker, specs: &[QueueSpec]) -> Result<(), CliError> {
    let mut are_new = Vec::with_capacity(specs.len());
    for spec in specs {
        let is_new = broker.queue(&spec.name).is_err();
        if is_new {
            let made = broker.create_queue(&spec.name, &spec.creation_attributes(), &spec.tags).await;
            made.map_err(|error| CliError::unavailable(format!("queue {}: {error}", spec.name)))?;
        }
        are_new.push(is_new);
    }
    // A redrive policy may name a queue that stands further down, and needs what is written there: its permission.
    let stored = specs.iter().zip(&are_new).filter_map(|(spec, is_new)| (!is_new).then_some(spec));
    for spec in stored {
        let queue = find(broker, &spec.name)?;
        impose(&queue, &spec.name, spec.plain_attributes(), false).await?;
        impose_tags(&queue, spec).await?;
    }
    for (spec, is_new) in specs.iter().zip(are_new) {
        impose(&find(broker, &spec.name)?, &spec.name, spec.redrive_attribute(), is_new).await?;
    }
    Ok(())
}

/// The config owns what it writes: at start it wins, and the log says what it overrode. What it does not write is left
/// as it is, since whoever set it may rely on it.
async fn impose(
    queue: &LocalQueue,
    name: &str,
    written: impl IntoIterator<Item = (String, String)>,
    is_new: bool,
) -> Result<(), CliError> {
    let failed = |reason: String| CliError::unavailable(format!("queue {name}: {reason}"));
    let current = queue.describe().map_err(|error| failed(error.to_string()))?;
    let changes = changes(written, &current.attributes);
    if changes.is_empty() {
        return Ok(());
    }
    for change in changes.iter().filter(|_| !is_new) {
        let Change { attribute, stored, wanted } = change;
        if change.shortens_retention() {
            tracing::warn!(
                queue = name,
                stored,
                config = wanted,
                "the config shortens message_retention_period: messages older than that are deleted"
            );
        } else {
            tracing::info!(queue = name, attribute, stored, config = wanted, "the config overrides");
        }
    }
    let wanted: Vec<(String, String)> = changes.into_iter().map(|change| (change.attribute, change.wanted)).collect();
    queue.set_attributes(&wanted).await.map_err(|error| failed(error.to_string()))
}

/// Tags likewise: one that the config does not write stays.
async fn impose_tags(queue: &LocalQueue, spec: &QueueSpec) -> Result<(), CliError> {
    let failed = |error: QueueError| CliError::unavailable(format!("queue {}: {error}", spec.name));
    let stored = queue.tags().map_err(failed)?;
    let changed: Vec<(String, String)> = spec.tags.iter().filter(|tag| !stored.contains(tag)).cloned().collect();
    if changed.is_empty() {
        return Ok(());
    }
    for (tag, value) in &changed {
        tracing::info!(queue = spec.name, tag, config = value, "the config overrides");
    }
    queue.tag(&changed).await.map_err(failed)
}

/// An attribute whose stored value is not the one that is written.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    attribute: String,
    stored: Option<String>,
    wanted: String,
}

impl Change {
    /// Then messages are deleted that would have stayed.
    fn shortens_retention(&self) -> bool {
        let seconds = |text: &str| text.parse::<u64>().ok();
        let stored = self.stored.as_deref().and_then(seconds);
        self.attribute == RETENTION && seconds(&self.wanted) < stored
    }
}

fn changes(written: impl IntoIterator<Item = (String, String)>, stored: &[(&str, String)]) -> Vec<Change> {
    let changes = written.into_iter().filter_map(|(attribute, wanted)| {
        let stored = stored.iter().find(|(known, _)| *known == attribute).map(|(_, stored)| stored.clone());
        // What a queue does not show has its default: of what may be removed, the empty text.
        let default = if attribute == KMS_REUSE { KMS_REUSE_DEFAULT } else { "" };
        (stored.as_deref().unwrap_or(default) != wanted).then_some(Change { attribute, stored, wanted })
    });
    changes.collect()
}

/// What SQLite says of a file that is not one of its databases any more.
const DAMAGED: [&str; 2] = ["file is not a database", "database disk image is malformed"];

fn open_error(error: &OpenError) -> CliError {
    let mend = match error {
        OpenError::Locked(_) => "stop the other process, or give this one a data_dir of its own",
        OpenError::Unusable { path, .. } if path.is_file() => "name a directory, which need not be there yet",
        OpenError::Unusable { reason, .. } if DAMAGED.iter().any(|text| reason.contains(text)) => {
            "put a copy of queue.sqlite in its place, or give this one a data_dir of its own"
        }
        OpenError::Unusable { .. } => "check that the directory can be written and is not full",
        OpenError::NewerFormat { .. } => "use the version of wasmill that wrote it, or another data_dir",
    };
    CliError::unavailable(error.to_string()).with_mend(mend)
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use crate::config::{RedriveAllowSpec, RedrivePermission, RedriveSpec};

    use super::*;

    pub(crate) async fn broker() -> Broker {
        let metrics = wasmill_queue::Metrics::register(&Registry::new()).unwrap();
        let (identity, durability) = (Identity::default(), Durability::Fsync);
        Broker::open(BrokerOptions {
            data_dir: None,
            durability,
            identity,
            clock: None,
            timeline: Timeline::real(),
            chaos: None,
            metrics,
        })
        .await
        .unwrap()
    }

    fn stored(broker: &Broker, name: &str) -> BTreeMap<&'static str, String> {
        broker.queue(name).unwrap().describe().unwrap().attributes.into_iter().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn with_redrive(name: &str, target: &str) -> QueueSpec {
        let redrive = RedriveSpec {
            dead_letter_queue: target.to_owned(),
            dead_letter_target_arn: Identity::default().arn(target).as_str().to_owned(),
            max_receive_count: 3,
        };
        QueueSpec { redrive: Some(redrive), ..QueueSpec::new(name) }
    }

    #[tokio::test]
    async fn new_queues_have_what_is_written_and_sqss_defaults() {
        let broker = broker().await;
        broker.create_queue("plain", &[], &[]).await.unwrap();
        let orders = QueueSpec { visibility_timeout_seconds: Some(7), ..with_redrive("orders", "dead") };
        own(&broker, &[orders, QueueSpec::new("dead")]).await.unwrap();
        assert_eq!(stored(&broker, "dead"), stored(&broker, "plain"));
        let orders = stored(&broker, "orders");
        assert_eq!((orders["VisibilityTimeout"].as_str(), orders["MessageRetentionPeriod"].as_str()), ("7", "345600"));
        assert!(orders["RedrivePolicy"].contains(":dead"));
        let default = stored(&broker, "plain")["VisibilityTimeout"].clone();
        assert_eq!(default, config::DEFAULT_VISIBILITY_TIMEOUT_SECONDS.to_string());
    }

    #[tokio::test]
    async fn what_is_not_written_stays_as_it_is() {
        let broker = broker().await;
        own(&broker, &[with_redrive("orders", "dead"), QueueSpec::new("dead")]).await.unwrap();
        let fortnight = pair("MessageRetentionPeriod", "1209600");
        broker.queue("orders").unwrap().set_attributes(&[fortnight]).await.unwrap();
        let before = stored(&broker, "orders");

        // In the same second as it was made: that it is not new is known from its being there.
        own(&broker, &[QueueSpec::new("orders"), QueueSpec::new("dead")]).await.unwrap();
        assert_eq!(stored(&broker, "orders"), before);

        let delayed = QueueSpec { delay_seconds: Some(5), ..QueueSpec::new("orders") };
        own(&broker, &[delayed]).await.unwrap();
        let mut expected = before;
        expected.insert("DelaySeconds", "5".to_owned());
        assert_eq!(stored(&broker, "orders"), expected);
    }

    #[tokio::test]
    async fn a_redrive_policy_to_a_queue_that_is_not_there_is_an_error() {
        let refused = own(&broker().await, &[with_redrive("orders", "dead")]).await.unwrap_err();
        assert!(refused.to_string().contains("queue orders: "), "{refused}");
    }

    #[tokio::test]
    async fn fifo_queues_tags_and_permissions_are_made_and_imposed_in_any_order() {
        let broker = broker().await;
        let dead = |permission| {
            let sources = match permission {
                RedrivePermission::ByQueue => vec![Identity::default().arn("orders.fifo").to_string()],
                _ => Vec::new(),
            };
            let redrive_allow = Some(RedriveAllowSpec { permission, source_queue_arns: sources });
            QueueSpec { redrive_allow, ..QueueSpec::new("dead.fifo") }
        };
        let tags = vec![pair("team", "blue")];
        let orders = QueueSpec {
            content_based_deduplication: Some(true),
            deduplication_scope: Some("messageGroup"),
            fifo_throughput_limit: Some("perMessageGroupId"),
            tags: tags.clone(),
            ..with_redrive("orders.fifo", "dead.fifo")
        };
        own(&broker, &[orders.clone(), dead(RedrivePermission::ByQueue)]).await.unwrap();
        let made = stored(&broker, "orders.fifo");
        for (name, value) in [
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "true"),
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"),
        ] {
            assert_eq!(made[name], value);
        }
        let queue = broker.queue("orders.fifo").unwrap();
        assert_eq!(queue.tags().unwrap(), tags);

        // What a client changed since: a tag of its own stays, a written one comes back, and so does the permission that
        // the redrive policy of the queue above it needs.
        queue.tag(&[pair("team", "red"), pair("cost", "7")]).await.unwrap();
        queue.set_attributes(&[pair("RedrivePolicy", ""), pair("ContentBasedDeduplication", "false")]).await.unwrap();
        let deny = pair("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#);
        broker.queue("dead.fifo").unwrap().set_attributes(&[deny]).await.unwrap();
        own(&broker, &[orders.clone(), dead(RedrivePermission::ByQueue)]).await.unwrap();
        assert_eq!(queue.tags().unwrap(), [pair("cost", "7"), pair("team", "blue")]);
        assert_eq!(stored(&broker, "orders.fifo"), made);

        let refused = own(&broker, &[QueueSpec { redrive: None, ..orders }, dead(RedrivePermission::DenyAll)]).await;
        refused.unwrap();
        assert_eq!(stored(&broker, "orders.fifo"), made, "a policy that stands is left alone");
    }

    #[tokio::test]
    async fn an_empty_text_removes_and_what_is_gone_is_no_change() {
        let broker = broker().await;
        let with = |policy: &str, key: &str| QueueSpec {
            policy: Some(policy.to_owned()),
            kms_master_key_id: Some(key.to_owned()),
            kms_data_key_reuse_period_seconds: Some(300),
            ..QueueSpec::new("orders")
        };
        own(&broker, &[with("{}", "key")]).await.unwrap();
        let made = stored(&broker, "orders");
        assert_eq!((made["Policy"].as_str(), made["KmsMasterKeyId"].as_str()), ("{}", "key"));
        own(&broker, &[with("", "")]).await.unwrap();
        let removed = stored(&broker, "orders");
        assert!(!removed.contains_key("Policy") && !removed.contains_key("KmsMasterKeyId"), "{removed:?}");
        let shown: Vec<(&str, String)> = removed.into_iter().collect();
        assert_eq!(changes(with("", "").plain_attributes(), &shown), []);
    }

    #[test]
    fn a_shorter_retention_is_told_apart() {
        let spec = QueueSpec {
            message_retention_period_seconds: Some(60),
            delay_seconds: Some(0),
            visibility_timeout_seconds: Some(1),
            ..QueueSpec::new("orders")
        };
        let stored = |retention: &str| {
            let values = [("DelaySeconds", "0"), ("MessageRetentionPeriod", retention), ("VisibilityTimeout", "30")];
            values.map(|(name, value)| (name, value.to_owned()))
        };
        let shorter = |retention: &str| -> Vec<(String, bool)> {
            let found = changes(spec.plain_attributes(), &stored(retention));
            found.iter().map(|change| (change.attribute.clone(), change.shortens_retention())).collect()
        };
        let visibility = ("VisibilityTimeout".to_owned(), false);
        assert_eq!(shorter("61"), [visibility.clone(), (RETENTION.to_owned(), true)]);
        assert_eq!(shorter("60"), [visibility]);
        let longer = QueueSpec { message_retention_period_seconds: Some(70), ..QueueSpec::new("orders") };
        assert!(!changes(longer.plain_attributes(), &stored("60"))[0].shortens_retention());
    }
}
