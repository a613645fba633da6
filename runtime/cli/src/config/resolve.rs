//! From what each section says to one `Config`: the checks that need more than one section.
//!
//! Names are looked up here, duplicates found, and each event source decided to be the built-in queue's or remote.
//! Every check goes on after a mistake. A reference is checked against the names that were written, well formed or
//! not, so that one wrong name is one mistake. Absent: anything that needs a network or a lock.

use std::collections::HashMap;
use std::time::Duration;

use super::address::{QueueAddress, QueueArn, QueueUrl, is_fifo_name, parse_address};
use super::aws::Aws;
use super::function::{FunctionDraft, FunctionSpec};
use super::listener::{LocalQueue, is_loopback};
use super::mapping::{MappingDraft, MappingSource, MappingSpec, OnFiltered, RemoteAddress, RemoteQueue};
use super::queue::{QueueDraft, RedriveAllowDraft};
use super::queue_spec::{DEFAULT_VISIBILITY_TIMEOUT_SECONDS, QueueSpec, RedriveAllowSpec, RedriveSpec};
use super::settling::OnFilteredDraft;
use super::source::{Located, Place, Source};
use super::suggest::nearest;

/// The account in every ARN and URL of the built-in queue unless configured; no account of Amazon's has it.
pub(crate) const DEFAULT_ACCOUNT_ID: &str = "000000000000";
/// The built-in queue's region unless configured.
pub(crate) const DEFAULT_REGION: &str = "us-east-1";

/// What the checks share: who we are, and what the config names.
pub(super) struct Resolver<'s, 'a> {
    pub(super) source: &'s Source<'a>,
    pub(super) region: &'s str,
    pub(super) account_id: &'s str,
    pub(super) strict_lambda: bool,
    pub(super) local_queue: Option<&'s LocalQueue>,
    pub(super) aws: &'s Aws,
    pub(super) queues: &'s [QueueDraft],
    pub(super) functions: &'s [FunctionDraft],
}

impl Resolver<'_, '_> {
    /// The queues, their dead-letter targets found among themselves.
    pub(super) fn queues(&self) -> Vec<QueueSpec> {
        self.refuse_twins("queue", self.queues.iter().map(|queue| queue.name.as_ref()));
        if let (Some(first), None) = (self.queues.first(), self.local_queue) {
            self.source.mistake(
                &first.place,
                "[[queue]] describes queues of the built-in service, and there is no [local_queue]",
                "add a [local_queue] section (it may be empty), or remove the [[queue]] entries",
            );
        }
        let resolve = |draft: &QueueDraft| {
            let redrive = draft.redrive.as_ref().and_then(|redrive| {
                let dead_letter_queue = self.dead_letter_queue(draft, &redrive.dead_letter_target_arn)?;
                let dead_letter_target_arn = self.own_arn(&dead_letter_queue);
                Some(RedriveSpec {
                    dead_letter_queue,
                    dead_letter_target_arn,
                    max_receive_count: redrive.max_receive_count,
                })
            });
            let redrive_allow = draft.redrive_allow.as_ref().map(|allow| self.redrive_allow(allow));
            QueueSpec { redrive, redrive_allow, ..draft.spec.clone() }
        };
        let specs: Vec<QueueSpec> = self.queues.iter().map(resolve).collect();
        self.check_permissions(&specs);
        specs
    }

    /// The queues that may name one as their dead-letter queue. They need not be in the config.
    fn redrive_allow(&self, draft: &RedriveAllowDraft) -> RedriveAllowSpec {
        let arn = |written: &Located<String>| match self.address(written)? {
            QueueAddress::Name(name) => Some(self.own_arn(&name)),
            QueueAddress::Arn(arn) => Some(arn.text),
            QueueAddress::Url(_) => {
                let mend = "write the queue's name or its ARN";
                self.source.mistake(&written.place, format!("{} is a URL", written.shown()), mend);
                None
            }
        };
        let source_queue_arns = draft.source_queue_arns.iter().filter_map(arn).collect();
        RedriveAllowSpec { permission: draft.permission, source_queue_arns }
    }

    /// A dead-letter queue of the config that does not allow the queue that names it.
    fn check_permissions(&self, specs: &[QueueSpec]) {
        for (draft, spec) in self.queues.iter().zip(specs) {
            let (Some(written), Some(redrive)) = (&draft.redrive, &spec.redrive) else { continue };
            let target = specs.iter().find(|target| target.name == redrive.dead_letter_queue);
            let allow = target.and_then(|target| target.redrive_allow.as_ref());
            if allow.is_some_and(|allow| !allow.allows(&self.own_arn(&spec.name))) {
                let written = &written.dead_letter_target_arn;
                let what =
                    format!("the redrive_allow_policy of queue {:?} does not allow this", redrive.dead_letter_queue);
                let mend = format!("add {:?} to its source_queue_arns, or write allowAll", spec.name);
                self.source.mistake(&written.place, what, mend);
            }
        }
    }

    fn own_arn(&self, queue_name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{queue_name}", self.region, self.account_id)
    }

    /// The functions, their names unique. One without a file to load is left out: its mistake is recorded.
    pub(super) fn functions(&self) -> Vec<FunctionSpec> {
        self.refuse_twins("function", self.functions.iter().map(|function| function.name.as_ref()));
        self.functions.iter().filter(|function| function.has_code).map(|function| function.spec.clone()).collect()
    }

    /// The mappings, both ends found. Mistaken ones are left out: the config is not used then.
    pub(super) fn mappings(&self, drafts: &[MappingDraft]) -> Vec<MappingSpec> {
        let mut first_with: HashMap<(String, String), &Place> = HashMap::new();
        let mut mappings = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let source = draft.event_source_arn.as_ref().and_then(|written| self.event_source(written));
            let function = draft.function_name.as_ref().and_then(|written| self.function(written));
            let (Some(source), Some(function)) = (source, function) else { continue };
            self.check_timeouts(&source, function);
            self.check_concurrency(draft, function);
            draft.check(self.source, is_fifo_name(source.queue_name()));
            let Some(on_filtered) = self.on_filtered(&draft.settling.on_filtered, &source) else { continue };

            let pair = (identity(&source), function.spec.name.clone());
            if let Some(first) = first_with.get(&pair) {
                let what = format!(
                    "an event source mapping with this queue and function {:?} already exists: {} {}",
                    function.spec.name,
                    first.key,
                    self.source.elsewhere(first.at, draft.place.at)
                );
                self.source.mistake(
                    &draft.place,
                    what,
                    "keep one of the two; Lambda allows one per queue and function",
                );
            } else {
                first_with.insert(pair, &draft.place);
            }
            mappings.push(MappingSpec {
                key: draft.place.key.clone(),
                source,
                function_name: function.spec.name.clone(),
                batch_size: draft.batch_size.value,
                window: Duration::from_secs(u64::from(draft.window_seconds.value)),
                filter_patterns: draft.filter_patterns.clone(),
                on_filtered,
                retry_policy: draft.settling.retry_policy,
                bisect_max_invocations: draft.settling.bisect_max_invocations,
                dead_letter_last_attempts: draft.settling.dead_letter_last_attempts,
                fifo_order: draft.settling.fifo_order.as_ref().map_or_else(Default::default, |order| order.value),
                per_group: draft.settling.per_group.as_ref().is_some_and(|per_group| per_group.value),
                weight: draft.weight,
                max_messages_per_second: draft.max_messages_per_second,
                report_batch_item_failures: draft.report_batch_item_failures,
                maximum_concurrency: draft.maximum_concurrency.as_ref().map(|maximum| maximum.value),
                enabled: draft.enabled,
            });
        }
        mappings
    }

    fn dead_letter_queue(&self, queue: &QueueDraft, target: &Located<String>) -> Option<String> {
        let shown = target.shown();
        let name = match self.address(target)? {
            QueueAddress::Name(name) => name,
            QueueAddress::Arn(arn) if self.is_ours(&arn) => arn.name,
            QueueAddress::Arn(_) | QueueAddress::Url(_) => {
                let what = format!("{shown} is not a queue of the built-in service");
                let arn = self.own_arn("NAME");
                let mend = format!("write the name of one of the [[queue]] entries, or its ARN {arn}");
                self.source.mistake(&target.place, what, mend);
                return None;
            }
        };
        if name == queue.spec.name {
            let what = format!("{shown} is the queue itself: its messages would never leave it");
            self.source.mistake(&target.place, what, "name another queue");
            return None;
        }
        self.queue_named(&name, target)?;
        if is_fifo_name(&name) != is_fifo_name(&queue.spec.name) {
            let types = if is_fifo_name(&name) { ("a FIFO queue", "is not") } else { ("not a FIFO queue", "is") };
            let what = format!("{shown} is {}, and this queue {} one", types.0, types.1);
            self.source.mistake(&target.place, what, "name a queue of the same type");
            return None;
        }
        Some(name)
    }

    /// What becomes of filtered messages. None: the queue to forward to is mistaken.
    fn on_filtered(&self, draft: &OnFilteredDraft, source: &MappingSource) -> Option<OnFiltered> {
        let written = match draft {
            OnFilteredDraft::Delete => return Some(OnFiltered::Delete),
            OnFilteredDraft::Keep => return Some(OnFiltered::Keep),
            OnFilteredDraft::Forward(written) => written,
        };
        let target = self.event_source(written)?;
        if identity(&target) == identity(source) {
            let what = format!("{} is the queue itself: its messages would go round for ever", written.shown());
            self.source.mistake(&written.place, what, "name another queue");
            return None;
        }
        Some(OnFiltered::Forward(target))
    }

    fn event_source(&self, written: &Located<String>) -> Option<MappingSource> {
        let address = self.address(written)?;
        match address {
            QueueAddress::Name(name) if self.local_queue.is_some() => self.local_source(&name, written),
            QueueAddress::Name(_) => {
                let what = format!("{} is a local queue's name, and there is no [local_queue]", written.shown());
                let mend =
                    "add [local_queue] and a [[queue]] of that name, or write the ARN or URL of an Amazon SQS queue";
                self.source.mistake(&written.place, what, mend);
                None
            }
            QueueAddress::Arn(arn) if self.local_queue.is_some() && self.is_ours(&arn) => {
                self.local_source(&arn.name, written)
            }
            QueueAddress::Arn(arn) => self.remote_arn(arn, written),
            QueueAddress::Url(url) if self.is_our_listener(&url) => self.local_source(&url.name, written),
            QueueAddress::Url(url) => self.remote_url(url, written),
        }
    }

    fn local_source(&self, name: &str, written: &Located<String>) -> Option<MappingSource> {
        self.queue_named(name, written)?;
        Some(MappingSource::Local { queue_name: name.to_owned() })
    }

    fn remote_arn(&self, arn: QueueArn, written: &Located<String>) -> Option<MappingSource> {
        if arn.account_id == DEFAULT_ACCOUNT_ID && self.aws.endpoint_url.is_none() {
            let what = format!("account {DEFAULT_ACCOUNT_ID} is not Amazon's, and no other service is named");
            let mend = match self.local_queue {
                Some(_) => format!(
                    "write the queue's name, or an ARN with region {} and account {}",
                    self.region, self.account_id
                ),
                None => "add [local_queue] and a [[queue]], or [aws] with the endpoint_url of the service".to_owned(),
            };
            self.source.mistake(&written.place, what, mend);
            return None;
        }
        let address = RemoteAddress::Arn { arn: arn.text, account_id: arn.account_id };
        let endpoint_url = self.aws.endpoint_url.clone();
        Some(MappingSource::Remote(RemoteQueue { address, name: arn.name, region: arn.region, endpoint_url }))
    }

    fn remote_url(&self, url: QueueUrl, written: &Located<String>) -> Option<MappingSource> {
        let Some(region) = url.region.or_else(|| self.aws.region.clone()) else {
            let what = format!("{} does not say its region, and requests are signed for one", written.shown());
            let mend = "add region = \"us-east-1\" (or \"${AWS_REGION}\") to the [aws] section";
            self.source.mistake(&written.place, what, mend);
            return None;
        };
        let own_origin = (!url.is_amazon).then_some(url.origin);
        let endpoint_url = self.aws.endpoint_url.clone().or(own_origin);
        let address = RemoteAddress::Url(url.text);
        Some(MappingSource::Remote(RemoteQueue { address, name: url.name, region, endpoint_url }))
    }

    fn address(&self, written: &Located<String>) -> Option<QueueAddress> {
        let error = match parse_address(&written.value) {
            Ok(address) => return Some(address),
            Err(error) => error,
        };
        let known_and_mistaken =
            self.queues.iter().filter_map(|queue| queue.name.as_ref()).any(|name| name.value == written.value);
        if !known_and_mistaken {
            // A URL with a password in it must not be repeated.
            let carries_secret = error == super::address::AddressError::Credentials;
            let shown = if carries_secret { "the address".to_owned() } else { written.shown() };
            self.source.mistake(&written.place, format!("{shown} {error}"), error.mend());
        }
        None
    }

    fn queue_named(&self, name: &str, written: &Located<String>) -> Option<()> {
        let mut names = self.queues.iter().filter_map(|queue| queue.name.as_ref()).map(|name| &name.value);
        if names.clone().any(|known| known == name) {
            return Some(());
        }
        let mend = match nearest(name, &mut names) {
            Some(near) => format!("did you mean {near:?}? Otherwise add a [[queue]] with name = {name:?}"),
            None => format!("add a [[queue]] with name = {name:?}"),
        };
        self.source.mistake(&written.place, format!("there is no queue {} in this config", written.shown()), mend);
        None
    }

    fn function(&self, written: &Located<String>) -> Option<&FunctionDraft> {
        let named = |function: &&FunctionDraft| function.name.as_ref().is_some_and(|name| name.value == written.value);
        if let Some(found) = self.functions.iter().find(named) {
            return Some(found);
        }
        let names = self.functions.iter().filter_map(|function| function.name.as_ref()).map(|name| &name.value);
        let mend = match nearest(&written.value, names) {
            Some(near) => format!("did you mean {near:?}? Otherwise add a [[function]] of that name"),
            None => "add a [[function]] of that name, or name one that is there (a name, not an ARN)".to_owned(),
        };
        self.source.mistake(&written.place, format!("there is no function {} in this config", written.shown()), mend);
        None
    }

    /// Lambda refuses a function timeout above the visibility timeout. wasmill renews what it holds, so it only warns.
    fn check_timeouts(&self, source: &MappingSource, function: &FunctionDraft) {
        let MappingSource::Local { queue_name } = source else { return };
        let Some(queue) = self.queues.iter().find(|queue| queue.spec.name == *queue_name) else { return };
        let timeout = function.timeout_seconds.value;
        let visibility = queue.spec.visibility_timeout_seconds.unwrap_or(DEFAULT_VISIBILITY_TIMEOUT_SECONDS);
        if timeout <= visibility {
            return;
        }
        let place = &function.timeout_seconds.place;
        let what = format!("{timeout} s is more than the visibility timeout of queue {queue_name:?}, {visibility} s");
        let mend =
            format!("raise the queue's visibility_timeout to {timeout} or more (Lambda advises six times the timeout)");
        if self.strict_lambda {
            self.source.mistake(place, format!("{what}, and strict_lambda is on"), mend);
        } else {
            self.source.warning(
                place,
                format!("{what}; wasmill renews it while the handler runs, Lambda refuses it"),
                mend,
            );
        }
    }

    fn check_concurrency(&self, draft: &MappingDraft, function: &FunctionDraft) {
        let Some(maximum) = &draft.maximum_concurrency else { return };
        let permits = function.spec.reserved_concurrent_executions;
        if maximum.value > permits {
            let what =
                format!("{} is never reached: function {:?} has {permits} permits", maximum.value, function.spec.name);
            let mend = format!("lower it, or raise the function's reserved_concurrent_executions to {}", maximum.value);
            self.source.warning(&maximum.place, what, mend);
        }
    }

    fn refuse_twins<'n>(&self, kind: &str, names: impl Iterator<Item = Option<&'n Located<String>>>) {
        let mut first_with: HashMap<&str, &Place> = HashMap::new();
        for name in names.flatten() {
            let Some(first) = first_with.get(name.value.as_str()) else {
                first_with.insert(&name.value, &name.place);
                continue;
            };
            let what = format!(
                "there is a {kind} {} already, {}",
                name.shown(),
                self.source.elsewhere(first.at, name.place.at)
            );
            self.source.mistake(&name.place, what, "rename one of the two, or remove it");
        }
    }

    fn is_ours(&self, arn: &QueueArn) -> bool {
        arn.region == self.region && arn.account_id == self.account_id
    }

    /// A URL of our own listener means the built-in queue, which is not asked over HTTP.
    fn is_our_listener(&self, url: &QueueUrl) -> bool {
        let Some(local) = self.local_queue else { return false };
        let host = url.host.trim_start_matches('[').trim_end_matches(']');
        let is_here =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| is_loopback((ip, url.port).into()));
        is_here && local.listen.port() == url.port && url.account_id.as_deref() == Some(self.account_id)
    }
}

/// What makes two event sources the same queue.
fn identity(source: &MappingSource) -> String {
    match source {
        MappingSource::Local { queue_name } => format!("local {queue_name}"),
        MappingSource::Remote(RemoteQueue { address: RemoteAddress::Arn { arn, .. }, .. }) => arn.clone(),
        MappingSource::Remote(RemoteQueue { address: RemoteAddress::Url(url), .. }) => url.clone(),
    }
}
