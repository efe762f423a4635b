//! The memory of a connection that is in use. An idle connection has none.

use std::cell::RefCell;

use super::buffer::Buffer;

/// Sets of buffers that are kept for the next connection, 64 KiB each. More requests at once than this cost an allocation each.
const SPARE_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Scratch {
    /// What was read from the client.
    pub(super) requests: Buffer,
    /// What was read from the instance.
    pub(super) answers: Buffer,
    /// Room for the head of the request that is sent.
    pub(super) request_head: Vec<u8>,
    /// Room for the head of the response that is sent.
    pub(super) answer_head: Vec<u8>,
}

impl Scratch {
    fn new() -> Self {
        let (requests, answers) = (Buffer::new(), Buffer::new());
        Self { requests, answers, request_head: Vec::new(), answer_head: Vec::new() }
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.answers.clear();
        self.request_head.clear();
        self.answer_head.clear();
    }
}

/// Those that are not in use.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "a connection holds a pointer, not a copy")]
pub(super) struct Spares(RefCell<Vec<Box<Scratch>>>);

impl Spares {
    pub(super) fn take(&self) -> Box<Scratch> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Box::new(Scratch::new()))
    }

    pub(super) fn put(&self, mut scratch: Box<Scratch>) {
        let mut spares = self.0.borrow_mut();
        if spares.len() < SPARE_MAX {
            scratch.clear();
            spares.push(scratch);
        }
    }
}
