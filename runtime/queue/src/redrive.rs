//! Which queue is a queue's dead-letter queue, and when a receive becomes a move. Pure.

use std::collections::BTreeMap;

use crate::arn::Identity;
use crate::attributes::Settings;
use crate::effect::QueueId;

/// Where a queue's dead letters go by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) queue: QueueId,
    /// Delivered so often, the next receive moves it.
    pub(crate) max_receive_count: u32,
}

/// The target of a queue's redrive policy, if it stands: a policy whose queue was deleted moves nothing, so that
/// messages stay where they can be received.
pub(crate) fn target(
    settings: &Settings,
    identity: &Identity,
    names: &BTreeMap<String, QueueId>,
    source: QueueId,
) -> Option<Target> {
    let policy = settings.redrive.as_ref()?;
    let arn = &policy.dead_letter_target_arn;
    let ours = arn.region() == identity.region && arn.account() == identity.account;
    let queue = names.get(arn.name()).copied().filter(|queue| ours && *queue != source)?;
    Some(Target { queue, max_receive_count: policy.max_receive_count })
}
