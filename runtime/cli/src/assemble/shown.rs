//! What the admin listener shows of a worker's mappings.

use std::sync::Arc;

use serde_json::json;
use wasmill_lambda::{Mapping, Origin, Registry};
use wasmill_mapping::MappingStatus;

use crate::admin::Listing;
use crate::assemble::Fleet;

/// Every mapping that there is, whether it runs or not.
pub(super) fn mappings(resources: &Registry, fleet: &Arc<Fleet>) -> Listing {
    let (resources, fleet) = (resources.clone(), Arc::clone(fleet));
    Arc::new(move || {
        let mut all = resources.all();
        all.sort_by(|a, b| name(a).cmp(&name(b)));
        let all = all.into_iter().map(|mapping| {
            let uuid = mapping.uuid.to_string();
            let running = fleet.status(&uuid);
            let (status, reason) = match running.as_ref().map(|(_, status)| status) {
                None => (None, None),
                Some(MappingStatus::Starting) => (Some("starting"), None),
                Some(MappingStatus::Polling) => (Some("polling"), None),
                Some(MappingStatus::Failing { reason }) => (Some("failing"), Some(reason.clone())),
                Some(MappingStatus::Stopped) => (Some("stopped"), None),
            };
            let settings = &mapping.configuration;
            json!({
                "uuid": uuid,
                "name": running.as_ref().map(|(name, _)| name),
                "queue": settings.event_source_arn.rsplit(':').next(),
                "queue_arn": settings.event_source_arn,
                "function": settings.function.name,
                "state": mapping.state.as_str(),
                "status": status,
                "reason": reason,
                "problem": mapping.problem,
                "batch_size": settings.batch_size,
                "window_seconds": settings.maximum_batching_window_in_seconds,
                "report_batch_item_failures": settings.report_batch_item_failures,
                "filters": settings.filter_patterns.len(),
                "maximum_concurrency": settings.maximum_concurrency,
                "origin": match mapping.origin { Origin::Config => "config", Origin::Api => "api" },
                "last_modified_ms": mapping.last_modified_ms,
            })
        });
        all.collect()
    })
}

/// What people find a mapping by.
fn name(mapping: &Mapping) -> (&str, &str) {
    let settings = &mapping.configuration;
    (settings.event_source_arn.as_str(), settings.function.name.as_str())
}
