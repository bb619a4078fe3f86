//! The `Date` field.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::calendar::civil;

/// A date as HTTP writes it, formatted again once a second at most.
#[derive(Debug, Default)]
pub struct Dates {
    second: u64,
    text: Vec<u8>,
}

// === impl Dates ===

impl Dates {
    /// Moves to a moment.
    pub fn update(&mut self, now: SystemTime) {
        let second = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since: Duration| since.as_secs());
        if self.text.is_empty() || self.second != second {
            self.second = second;
            self.text = format(second).into_bytes();
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

fn format(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = second / 86_400;
    let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let (year, month, day) = civil(days);
    let weekday = DAYS.get((days % 7) as usize).copied().unwrap_or_default();
    // Months are counted from 1.
    let month = MONTHS
        .get((month as usize).wrapping_sub(1))
        .copied()
        .unwrap_or_default();
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{rest:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_764_082_800, "Tue, 25 Nov 2025 15:00:00 GMT"),
        ] {
            assert_eq!(format(second), text);
        }
    }
}
