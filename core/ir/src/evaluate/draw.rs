//! Chance, handed in.

/// Numbers that are evenly spread over all of `u64`.
pub trait Draw {
    /// The next number.
    fn draw(&mut self) -> u64;
}

impl<F: FnMut() -> u64> Draw for F {
    #[inline]
    fn draw(&mut self) -> u64 {
        self()
    }
}
