//! The buffers of a worker, lent to a connection only while it has bytes to forward.

use std::cell::RefCell;

/// Bytes of a buffer: as many as one read takes.
const SIZE: usize = 64 * 1024;
/// Unused buffers that are kept.
const SPARE_MAX: usize = 16;

/// A buffer. Its contents are those of its last use.
pub(crate) type Buffer = Box<[u8]>;

/// The unused buffers of a worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Vec<Buffer>>);

impl Buffers {
    /// A buffer. Allocates only if all are in use.
    pub(crate) fn take(&self) -> Buffer {
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; SIZE].into())
    }

    pub(crate) fn give_back(&self, buffer: Buffer) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}
