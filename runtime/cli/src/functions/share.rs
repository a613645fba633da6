//! How many invocations each function may run at once: the engine's places are fixed when it is made, functions come and go.

/// The permits of a function that was given none, where there is room for it.
const PERMITS_DEFAULT: u32 = 32;
/// Places that are left for copies of batches, so that these never take one from a batch.
pub(crate) const SHADOW_PLACES: u32 = 4;

/// One function's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// What it was given.
    pub(super) reserved: Option<u32>,
    /// Places that an instance takes.
    pub(super) slots: u32,
}

/// The permits of each part, in order. Whoever was given some has those; the others share what places are left, at most 32
/// and at least one each.
pub(super) fn share_out(places: u32, parts: &[Part]) -> Vec<u32> {
    let given = parts.iter().map(|part| u64::from(part.reserved.unwrap_or(0)) * u64::from(part.slots)).sum::<u64>();
    let open: u64 = parts.iter().filter(|part| part.reserved.is_none()).map(|part| u64::from(part.slots)).sum();
    let left = u64::from(places).saturating_sub(given + u64::from(SHADOW_PLACES));
    let each = left.checked_div(open).unwrap_or(0);
    let each = u32::try_from(each).unwrap_or(u32::MAX).clamp(1, PERMITS_DEFAULT);
    parts.iter().map(|part| part.reserved.unwrap_or(each)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(reserved: impl Into<Option<u32>>, slots: u32) -> Part {
        Part { reserved: reserved.into(), slots }
    }

    #[test]
    fn what_is_given_is_given_and_the_rest_is_shared() {
        for (places, parts, expected) in [
            (256, vec![part(None, 1)], vec![32]),
            (256, vec![part(100, 1), part(None, 1), part(0, 1)], vec![100, 32, 0]),
            (64, vec![part(40, 1), part(None, 1), part(None, 1)], vec![40, 10, 10]),
            // An instance that takes two places counts twice.
            (64, vec![part(10, 2), part(None, 2), part(None, 2)], vec![10, 10, 10]),
            // Too many: one each, and they wait for places.
            (8, vec![part(8, 1), part(None, 1)], vec![8, 1]),
            (256, vec![], vec![]),
        ] {
            assert_eq!(share_out(places, &parts), expected, "{places}: {parts:?}");
        }
    }
}
