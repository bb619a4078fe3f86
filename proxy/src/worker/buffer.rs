//! Buffers for what comes in: small at first, larger for those that are filled.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::io::Io;

const FIRST: usize = 4 << 10;

/// Largest buffer, above the longest head.
pub const LARGEST: usize = 64 << 10;

/// Bytes that have come in and have not been taken yet.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read filled it, so that more room is of use.
    short: bool,
}

// === impl Buffer ===

impl Buffer {
    /// The bytes.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes, to be changed.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether no more can be read before some are taken.
    pub fn is_full(&self) -> bool {
        self.end - self.start >= LARGEST
    }

    /// Takes bytes from the front.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Memory that it holds.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes that were read elsewhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(bytes);
        self.end = self.bytes.len();
    }

    /// Reads once. 0 is the end of the stream.
    ///
    /// # Errors
    /// What the socket says. A buffer that is full to its limit reads nothing and waits for nothing, so callers must not ask.
    #[inline]
    pub fn poll_read(&mut self, from: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.end == self.bytes.len() || self.short {
            self.make_room();
        }
        let space = self.bytes.get_mut(self.end..).unwrap_or_default();
        let mut space = ReadBuf::new(space);
        ready!(from.poll_read(cx, &mut space))?;
        let read = space.filled().len();
        self.end += read;
        self.short = self.end == self.bytes.len();
        Poll::Ready(Ok(read))
    }

    #[cold]
    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let short = std::mem::take(&mut self.short) || self.end == self.bytes.len();
        if short && self.bytes.len() < LARGEST {
            let larger = (self.bytes.len() * 4).clamp(FIRST, LARGEST);
            self.bytes.resize(larger, 0);
        }
    }
}
