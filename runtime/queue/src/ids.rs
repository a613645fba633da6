//! Message ids: random UUIDs, made of randomness that is fetched for many at a time.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;

use uuid::{Builder, Uuid};

const POOL_BYTES: usize = 4096;
const ID_BYTES: usize = 16;

/// Randomness of the system that is still unused, by thread: a call to the system for each id cost more than the id.
struct Pool {
    bytes: Box<[u8; POOL_BYTES]>,
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool { bytes: Box::new([0; POOL_BYTES]), used: POOL_BYTES });
}

/// A new random (version 4) UUID.
pub(crate) fn random_uuid() -> Uuid {
    POOL.with_borrow_mut(Pool::next).map_or_else(Uuid::new_v4, |bytes| Builder::from_random_bytes(bytes).into_uuid())
}

impl Pool {
    /// The next unused bytes; none when the system gives none this way.
    fn next(&mut self) -> Option<[u8; ID_BYTES]> {
        if self.used == POOL_BYTES {
            File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut self.bytes[..])).ok()?;
            self.used = 0;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.bytes[self.used..self.used + ID_BYTES]);
        self.used += ID_BYTES;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_version_4_uuids_across_pools_and_threads() {
        let make = || (0..1000).map(|_| random_uuid()).collect::<Vec<_>>();
        let other = std::thread::spawn(make).join().unwrap_or_default();
        let ids: HashSet<Uuid> = make().into_iter().chain(other).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
    }
}
