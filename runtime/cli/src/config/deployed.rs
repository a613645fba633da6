//! `[deployed]`: what functions may that were deployed through Lambda's API, which has no words for it.

use wasmill_sandbox::Outbound;

use super::reader::Section;
use super::world::read_outbound;

/// Reads `[deployed]`; without it such functions may reach no host.
pub(super) fn read_deployed(root: &mut Section<'_, '_>) -> Outbound {
    let source = root.source();
    let is_served = root.has("local_queue") || root.has("control");
    let Some(mut section) = root.table("deployed") else { return Outbound::default() };
    if !is_served {
        let what =
            "is for functions that come through Lambda's API, which is served by [local_queue] or [control] only";
        source.mistake(section.place(), what, "add one of the two, or remove [deployed]");
    }
    let outbound = read_outbound(&mut section);
    section.finish();
    outbound
}
