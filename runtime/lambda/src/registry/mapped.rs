//! The mappings as the functions know them: which versions they need, and what becomes of them when their function comes
//! or goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::functions::Mapped;
use crate::mapping::MappingState;
use crate::registry::Inner;

impl Mapped for Inner {
    fn qualifiers(&self, function: &str) -> BTreeSet<String> {
        let entries = self.entries();
        let functions = entries.values().map(|entry| &entry.record.configuration.function);
        functions.filter(|named| named.name == function).filter_map(|named| named.qualifier.clone()).collect()
    }

    /// A mapping at rest whose function is gone goes on reading `Enabled`, as on AWS; it is stopped, says why, and is
    /// tried again. One that waits for its function is tried at once.
    fn function_changed(self: Arc<Self>, function: &str) {
        let Some(functions) = &self.functions else { return };
        let begun: Vec<(Uuid, u64)> = {
            let mut entries = self.entries();
            let concerned = entries.iter_mut().filter(|(_, entry)| {
                entry.record.configuration.function.name == function && entry.state == MappingState::Enabled
            });
            concerned
                .filter_map(|(uuid, entry)| {
                    let problem = functions.problem(&entry.record.configuration.function);
                    if entry.problem.is_some() == problem.is_some() {
                        return None;
                    }
                    let generation = entry.enter(MappingState::Enabled);
                    // What is at rest without a problem has nothing to do: this one has.
                    entry.problem = Some(problem.unwrap_or_else(|| "it begins".to_owned()));
                    Some((*uuid, generation))
                })
                .collect()
        };
        for (uuid, generation) in begun {
            self.follow(uuid, generation);
        }
    }
}
