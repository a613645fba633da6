//! Code that functions have at the moment, each prepared once: functions, and versions of a function, that have the same code share
//! what was compiled of it and its pages. What a function may do, and what its instances hold, is its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::code::Source;
use crate::component::Prepared;
use crate::error::LoadError;

/// What decides over the outcome of preparing: the code's SHA-256, and whether a script comes with it.
type Key = ([u8; 32], bool);

/// Locked by who prepares it, so that who wants the same waits and need not do it again.
type Slot = Arc<Mutex<Weak<Prepared>>>;

/// The code of all functions of a sandbox.
#[derive(Default)]
pub(crate) struct CodeInUse {
    slots: Mutex<HashMap<Key, Slot>>,
}

impl CodeInUse {
    /// What some function has of this code already (true), or else what `prepare` makes of it.
    pub(crate) fn get_or(
        &self,
        source: &Source,
        has_script: bool,
        prepare: impl FnOnce() -> Result<Prepared, LoadError>,
    ) -> Result<(Arc<Prepared>, bool), LoadError> {
        let slot = self.slot((source.sha256, has_script));
        let mut code = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = code.upgrade() {
            return Ok((prepared, true));
        }
        let prepared = Arc::new(prepare()?);
        *code = Arc::downgrade(&prepared);
        // Who panicked while it prepared this code left nothing half done.
        slot.clear_poison();
        Ok((prepared, false))
    }

    /// The code's place. Those of code that no function has any more go.
    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |slot: &Slot| Arc::strong_count(slot) > 1;
        slots.retain(|_, slot| is_held(slot) || slot.try_lock().is_ok_and(|code| code.strong_count() > 0));
        Arc::clone(slots.entry(key).or_default())
    }
}
