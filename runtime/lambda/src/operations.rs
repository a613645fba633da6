//! Lambda's operations by method and path (botocore's service model of 2015-03-31), so that what is not done here can
//! be refused by its name.

use hyper::Method;

/// Name, method, path. `{}` stands for one segment.
#[rustfmt::skip]
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("AddLayerVersionPermission", "POST", "/2018-10-31/layers/{}/versions/{}/policy"),
    ("AddPermission", "POST", "/2015-03-31/functions/{}/policy"),
    ("CheckpointDurableExecution", "POST", "/2025-12-01/durable-executions/{}/checkpoint"),
    ("CreateAlias", "POST", "/2015-03-31/functions/{}/aliases"),
    ("CreateCapacityProvider", "POST", "/2025-11-30/capacity-providers"),
    ("CreateCodeSigningConfig", "POST", "/2020-04-22/code-signing-configs"),
    ("CreateEventSourceMapping", "POST", "/2015-03-31/event-source-mappings"),
    ("CreateFunction", "POST", "/2015-03-31/functions"),
    ("CreateFunctionUrlConfig", "POST", "/2021-10-31/functions/{}/url"),
    ("DeleteAlias", "DELETE", "/2015-03-31/functions/{}/aliases/{}"),
    ("DeleteCapacityProvider", "DELETE", "/2025-11-30/capacity-providers/{}"),
    ("DeleteCodeSigningConfig", "DELETE", "/2020-04-22/code-signing-configs/{}"),
    ("DeleteEventSourceMapping", "DELETE", "/2015-03-31/event-source-mappings/{}"),
    ("DeleteFunction", "DELETE", "/2015-03-31/functions/{}"),
    ("DeleteFunctionCodeSigningConfig", "DELETE", "/2020-06-30/functions/{}/code-signing-config"),
    ("DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{}/concurrency"),
    ("DeleteFunctionEventInvokeConfig", "DELETE", "/2019-09-25/functions/{}/event-invoke-config"),
    ("DeleteFunctionUrlConfig", "DELETE", "/2021-10-31/functions/{}/url"),
    ("DeleteLayerVersion", "DELETE", "/2018-10-31/layers/{}/versions/{}"),
    ("DeleteProvisionedConcurrencyConfig", "DELETE", "/2019-09-30/functions/{}/provisioned-concurrency"),
    ("GetAccountSettings", "GET", "/2016-08-19/account-settings"),
    ("GetAlias", "GET", "/2015-03-31/functions/{}/aliases/{}"),
    ("GetCapacityProvider", "GET", "/2025-11-30/capacity-providers/{}"),
    ("GetCodeSigningConfig", "GET", "/2020-04-22/code-signing-configs/{}"),
    ("GetDurableExecution", "GET", "/2025-12-01/durable-executions/{}"),
    ("GetDurableExecutionHistory", "GET", "/2025-12-01/durable-executions/{}/history"),
    ("GetDurableExecutionState", "GET", "/2025-12-01/durable-executions/{}/state"),
    ("GetEventSourceMapping", "GET", "/2015-03-31/event-source-mappings/{}"),
    ("GetFunction", "GET", "/2015-03-31/functions/{}"),
    ("GetFunctionCodeSigningConfig", "GET", "/2020-06-30/functions/{}/code-signing-config"),
    ("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{}/concurrency"),
    ("GetFunctionConfiguration", "GET", "/2015-03-31/functions/{}/configuration"),
    ("GetFunctionEventInvokeConfig", "GET", "/2019-09-25/functions/{}/event-invoke-config"),
    ("GetFunctionRecursionConfig", "GET", "/2024-08-31/functions/{}/recursion-config"),
    ("GetFunctionScalingConfig", "GET", "/2025-11-30/functions/{}/function-scaling-config"),
    ("GetFunctionUrlConfig", "GET", "/2021-10-31/functions/{}/url"),
    ("GetLayerVersion", "GET", "/2018-10-31/layers/{}/versions/{}"),
    ("GetLayerVersionPolicy", "GET", "/2018-10-31/layers/{}/versions/{}/policy"),
    ("GetPolicy", "GET", "/2015-03-31/functions/{}/policy"),
    ("GetProvisionedConcurrencyConfig", "GET", "/2019-09-30/functions/{}/provisioned-concurrency"),
    ("GetRuntimeManagementConfig", "GET", "/2021-07-20/functions/{}/runtime-management-config"),
    ("Invoke", "POST", "/2015-03-31/functions/{}/invocations"),
    ("InvokeAsync", "POST", "/2014-11-13/functions/{}/invoke-async"),
    ("InvokeWithResponseStream", "POST", "/2021-11-15/functions/{}/response-streaming-invocations"),
    ("ListAliases", "GET", "/2015-03-31/functions/{}/aliases"),
    ("ListCapacityProviders", "GET", "/2025-11-30/capacity-providers"),
    ("ListCodeSigningConfigs", "GET", "/2020-04-22/code-signing-configs"),
    ("ListDurableExecutionsByFunction", "GET", "/2025-12-01/functions/{}/durable-executions"),
    ("ListEventSourceMappings", "GET", "/2015-03-31/event-source-mappings"),
    ("ListFunctionEventInvokeConfigs", "GET", "/2019-09-25/functions/{}/event-invoke-config/list"),
    ("ListFunctionUrlConfigs", "GET", "/2021-10-31/functions/{}/urls"),
    ("ListFunctionVersionsByCapacityProvider", "GET", "/2025-11-30/capacity-providers/{}/function-versions"),
    ("ListFunctions", "GET", "/2015-03-31/functions"),
    ("ListFunctionsByCodeSigningConfig", "GET", "/2020-04-22/code-signing-configs/{}/functions"),
    ("ListLayerVersions", "GET", "/2018-10-31/layers/{}/versions"),
    ("ListLayers", "GET", "/2018-10-31/layers"),
    ("ListTags", "GET", "/2017-03-31/tags/{}"),
    ("ListVersionsByFunction", "GET", "/2015-03-31/functions/{}/versions"),
    ("PublishLayerVersion", "POST", "/2018-10-31/layers/{}/versions"),
    ("PublishVersion", "POST", "/2015-03-31/functions/{}/versions"),
    ("PutFunctionCodeSigningConfig", "PUT", "/2020-06-30/functions/{}/code-signing-config"),
    ("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{}/concurrency"),
    ("PutFunctionEventInvokeConfig", "PUT", "/2019-09-25/functions/{}/event-invoke-config"),
    ("PutFunctionRecursionConfig", "PUT", "/2024-08-31/functions/{}/recursion-config"),
    ("PutFunctionScalingConfig", "PUT", "/2025-11-30/functions/{}/function-scaling-config"),
    ("PutProvisionedConcurrencyConfig", "PUT", "/2019-09-30/functions/{}/provisioned-concurrency"),
    ("PutRuntimeManagementConfig", "PUT", "/2021-07-20/functions/{}/runtime-management-config"),
    ("RemoveLayerVersionPermission", "DELETE", "/2018-10-31/layers/{}/versions/{}/policy/{}"),
    ("RemovePermission", "DELETE", "/2015-03-31/functions/{}/policy/{}"),
    ("SendDurableExecutionCallbackFailure", "POST", "/2025-12-01/durable-execution-callbacks/{}/fail"),
    ("SendDurableExecutionCallbackHeartbeat", "POST", "/2025-12-01/durable-execution-callbacks/{}/heartbeat"),
    ("SendDurableExecutionCallbackSuccess", "POST", "/2025-12-01/durable-execution-callbacks/{}/succeed"),
    ("StopDurableExecution", "POST", "/2025-12-01/durable-executions/{}/stop"),
    ("TagResource", "POST", "/2017-03-31/tags/{}"),
    ("UntagResource", "DELETE", "/2017-03-31/tags/{}"),
    ("UpdateAlias", "PUT", "/2015-03-31/functions/{}/aliases/{}"),
    ("UpdateCapacityProvider", "PUT", "/2025-11-30/capacity-providers/{}"),
    ("UpdateCodeSigningConfig", "PUT", "/2020-04-22/code-signing-configs/{}"),
    ("UpdateEventSourceMapping", "PUT", "/2015-03-31/event-source-mappings/{}"),
    ("UpdateFunctionCode", "PUT", "/2015-03-31/functions/{}/code"),
    ("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/{}/configuration"),
    ("UpdateFunctionEventInvokeConfig", "POST", "/2019-09-25/functions/{}/event-invoke-config"),
    ("UpdateFunctionUrlConfig", "PUT", "/2021-10-31/functions/{}/url"),
];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The operation's name.
    pub(crate) operation: &'static str,
    /// The segments that the path leaves open, decoded: names, UUIDs, ARNs.
    pub(crate) segments: Vec<String>,
}

impl Asked {
    /// The first of them: whose the operation is. Empty where the path leaves none open.
    pub(crate) fn resource(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    /// The second of them: what of it.
    pub(crate) fn part(&self) -> &str {
        self.segments.get(1).map_or("", String::as_str)
    }
}

/// Finds the operation. Segments are decoded after the path is split: an ARN may hold slashes of its own.
pub(crate) fn find(method: &Method, path: &str) -> Option<Asked> {
    // Older clients end the paths of collections with a slash.
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').collect();
    let (operation, open) = OPERATIONS.iter().find_map(|(operation, of_method, template)| {
        let open = (*of_method == method.as_str()).then(|| matched(template, &segments))??;
        Some((*operation, open))
    })?;
    Some(Asked { operation, segments: open.into_iter().map(decode).collect() })
}

/// The open segments.
fn matched<'a>(template: &str, segments: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut open = Vec::new();
    let mut segments = segments.iter();
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected.starts_with('{') {
            true if segment.is_empty() => return None,
            true => open.push(*segment),
            false if *segment != expected => return None,
            false => {}
        }
    }
    segments.next().is_none().then_some(open)
}

/// Percent-decodes a segment, once. A `+` is a plus there.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_found_by_its_own_method_and_path() {
        for (operation, method, template) in OPERATIONS {
            let path: Vec<&str> =
                template.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
            let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            let asked = find(&method, &path.join("/"));
            assert_eq!(asked.map(|asked| asked.operation), Some(*operation), "{template}");
        }
        assert_eq!(find(&Method::PATCH, "/2015-03-31/functions"), None);
        assert_eq!(find(&Method::GET, "/2015-03-31/nothing"), None);
    }

    #[test]
    fn a_segment_is_decoded_once_and_after_the_split() {
        let resource =
            |path: &str| find(&Method::GET, path).map(|asked| asked.resource().to_owned()).unwrap_or_default();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        assert_eq!(resource(&format!("/2017-03-31/tags/{}", arn.replace(':', "%3A"))), arn);
        assert_eq!(resource(&format!("/2017-03-31/tags/{arn}")), arn);
        assert_eq!(resource("/2017-03-31/tags/a%2fb+c%20%253A%zz%4"), "a/b+c %3A%zz%4");
    }

    #[test]
    fn every_open_segment_is_told() {
        let asked = find(&Method::DELETE, "/2015-03-31/functions/f%3A1/policy/sid").unwrap_or_else(|| unreachable!());
        assert_eq!((asked.resource(), asked.part()), ("f:1", "sid"));
    }

    #[test]
    fn older_clients_end_collections_with_a_slash() {
        let asked = find(&Method::GET, "/2015-03-31/event-source-mappings/").map(|asked| asked.operation);
        assert_eq!(asked, Some("ListEventSourceMappings"));
    }
}
