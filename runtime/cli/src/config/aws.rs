//! `[aws]`: how Amazon SQS, or a service that speaks its API, is reached.
//!
//! Deliberately absent: credentials. They come from the standard AWS chain (environment, profile, role).

use super::address::{is_region, parse_http_url};
use super::reader::Section;

/// What is set for every remote queue; both are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aws {
    /// Asked instead of the region's own endpoint.
    pub(crate) endpoint_url: Option<String>,
    /// For queue URLs whose host does not name a region.
    pub(crate) region: Option<String>,
}

/// Reads `[aws]`; without it everything comes from the queue's ARN or URL.
pub(super) fn read_aws(root: &mut Section<'_, '_>) -> Aws {
    let Some(mut section) = root.table("aws") else { return Aws::default() };
    let endpoint_url = section.string("endpoint_url");
    if let Some(text) = &endpoint_url
        && let Err(error) = parse_http_url(&text.value)
    {
        // Not shown: it may carry a password.
        let what =
            format!("the value {}", error.to_string().replace("queue URL: https://HOST/ACCOUNT/NAME", "http(s) URL"));
        section.source().mistake(&text.place, what, "write http://HOST:PORT or https://HOST, without user or password");
    }
    let region = read_region(&mut section);
    section.finish();
    Aws { endpoint_url: endpoint_url.map(|text| text.value), region }
}

/// Reads the key `region` of any section.
pub(super) fn read_region(section: &mut Section<'_, '_>) -> Option<String> {
    let text = section.string("region")?;
    if !is_region(&text.value) {
        let what = format!("{} is not a region", text.shown());
        section.source().mistake(&text.place, what, "write a region such as us-east-1");
    }
    Some(text.value)
}
