//! The date for answers, asked of the system once a second.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::http1::Dates;

/// The date.
#[derive(Debug, Default)]
pub struct DateCache(RefCell<Page>);

#[derive(Debug, Default)]
struct Page {
    dates: Dates,
    valid_until: Option<Instant>,
}

// === impl DateCache ===

impl DateCache {
    /// Shows the date at a moment.
    #[inline]
    pub fn with<T>(&self, now: Instant, read: impl FnOnce(&[u8]) -> T) -> T {
        let mut page = self.0.borrow_mut();
        let Page { dates, valid_until } = &mut *page;
        if valid_until.is_none_or(|until| now >= until) {
            let wall = SystemTime::now();
            let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
            let rest = Duration::from_secs(1)
                .saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
            *valid_until = now.checked_add(rest);
            dates.update(wall);
        }
        read(dates.text())
    }
}
