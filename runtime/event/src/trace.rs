//! Where a span stands in its trace, and how that is written for others: W3C Trace Context's `traceparent` and the header of
//! AWS X-Ray, which SQS carries as `AWSTraceHeader` and Lambda hands to handlers as `_X_AMZN_TRACE_ID`.

use std::fmt;
use std::sync::Arc;

use crate::span::Tracer;

/// A span's place: its own id, and that of its trace. Neither is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The same for all spans of a trace.
    pub trace_id: [u8; 16],
    /// This span's.
    pub span_id: [u8; 8],
    /// Whether spans of the trace are kept.
    pub is_sampled: bool,
}

/// What a message says of the span that sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Where that stands.
    pub context: TraceContext,
    /// Whether `is_sampled` was decided there; else it is for whoever goes on.
    pub is_decided: bool,
    /// W3C's `tracestate`, as it was sent.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads a `traceparent`: `00-TRACE-SPAN-FLAGS` in lower-case hex, of any version that begins so.
    #[must_use]
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.trim_ascii().splitn(5, '-');
        let [version] = hex(parts.next()?)?;
        let (trace_id, span_id) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let [flags] = hex(parts.next()?)?;
        // What a later version has behind the flags is not ours to know; this one has nothing there.
        let is_known = version != u8::MAX && (version != 0 || parts.next().is_none());
        Self { trace_id, span_id, is_sampled: flags & 1 == 1 }.valid().filter(|_| is_known)
    }

    /// Reads X-Ray's header: `Root=1-TIME-UNIQUE;Parent=SPAN;Sampled=1` with members in any order, and others among them. Whoever names no
    /// parent names no span, so it is none. Sampling is undecided without a word on it, or by `?`.
    #[must_use]
    pub fn from_xray(text: &str) -> Option<Producer> {
        let (mut root, mut parent, mut sampled) = (None, None, None);
        for member in text.split(';') {
            match member.trim_ascii().split_once('=') {
                Some(("Root", value)) => root = Some(value),
                Some(("Parent", value)) => parent = Some(value),
                Some(("Sampled", value)) => sampled = Some(value),
                _ => {}
            }
        }
        let (time, unique) = root?.strip_prefix("1-")?.split_once('-')?;
        let (time, unique): ([u8; 4], [u8; 12]) = (hex(time)?, hex(unique)?);
        let mut trace_id = [0; 16];
        let (first, rest) = trace_id.split_at_mut(time.len());
        first.copy_from_slice(&time);
        rest.copy_from_slice(&unique);
        let (is_sampled, is_decided) = match sampled {
            None | Some("" | "?") => (false, false),
            Some("1") => (true, true),
            Some("0") => (false, true),
            Some(_) => return None,
        };
        let context = Self { trace_id, span_id: hex(parent?)?, is_sampled }.valid()?;
        Some(Producer { context, is_decided, state: None })
    }

    /// As W3C Trace Context writes it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let (trace, span) = (Hex(&self.trace_id), Hex(&self.span_id));
        format!("00-{trace}-{span}-{:02x}", u8::from(self.is_sampled))
    }

    /// As X-Ray and Lambda write it.
    #[must_use]
    pub fn xray(&self) -> String {
        let (time, unique) = self.trace_id.split_at(4);
        let (time, unique, span) = (Hex(time), Hex(unique), Hex(&self.span_id));
        format!("Root=1-{time}-{unique};Parent={span};Sampled={}", u8::from(self.is_sampled))
    }

    fn valid(self) -> Option<Self> {
        (self.trace_id != [0; 16] && self.span_id != [0; 8]).then_some(self)
    }
}

/// The trace that an invocation is part of, for what runs it. Two are equal when they are of one span.
#[derive(Clone)]
pub struct Trace {
    /// The invocation's span.
    pub context: TraceContext,
    /// W3C's `tracestate`, where the trace is a producer's that sent one.
    pub state: Option<Arc<str>>,
    /// Who takes spans below it.
    pub tracer: Arc<dyn Tracer>,
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        self.context == other.context
    }
}

impl Eq for Trace {}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.context).finish()
    }
}

/// Exactly that many bytes in lower-case hex.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |letter: &u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    #[test]
    fn what_is_written_is_read_again() {
        for text in [PARENT, &PARENT.replace("-01", "-00")] {
            assert_eq!(
                TraceContext::from_traceparent(text).map(|context| context.traceparent()).as_deref(),
                Some(text)
            );
        }
        for text in [HEADER, &HEADER.replace("d=1", "d=0")] {
            let producer = TraceContext::from_xray(text);
            assert!(producer.as_ref().is_some_and(|producer| producer.is_decided), "{text}");
            assert_eq!(producer.map(|producer| producer.context.xray()).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let context = TraceContext::from_traceparent(PARENT);
        for later in
            ["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be", &format!(" {PARENT} ")]
        {
            assert_eq!(TraceContext::from_traceparent(later), context, "{later}");
        }
        // Other flags do not count.
        let flags = TraceContext::from_traceparent(&PARENT.replace("-01", "-fe"));
        assert_eq!(flags.map(|context| context.is_sampled), Some(false));
    }

    #[test]
    fn a_traceparent_that_is_none() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47367-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bé-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        ] {
            assert_eq!(TraceContext::from_traceparent(bad), None, "{bad}");
        }
    }

    #[test]
    fn xrays_members_stand_in_any_order_and_others_are_passed_over() {
        let expected = TraceContext::from_xray(HEADER);
        let other = "Self=1-67891234-12456789abcdef012345678;Sampled=1; Parent=53995c3f42cd8ad8 ;Lineage=a87bd80c:1|68fd508a:5;\
                     Root=1-5759e988-bd862e3fe1be46a994272793;noise";
        assert_eq!(TraceContext::from_xray(other), expected);
        for undecided in [HEADER.replace("=1", "=?").replace("Root=?", "Root=1"), HEADER.replace(";Sampled=1", "")] {
            let producer = TraceContext::from_xray(&undecided);
            assert_eq!(
                producer.map(|producer| (producer.is_decided, producer.context.is_sampled)),
                Some((false, false))
            );
        }
    }

    #[test]
    fn an_xray_header_that_names_no_span() {
        for bad in [
            "",
            "Root=1",
            "Root=1-2",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad;Sampled=1",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000;Sampled=1",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=yes",
        ] {
            assert_eq!(TraceContext::from_xray(bad), None, "{bad}");
        }
    }
}
