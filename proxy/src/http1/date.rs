//! The `Date` field.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    let month = MONTHS.get(month as usize).copied().unwrap_or_default();
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{rest:02} GMT")
}

/// Year, month from 0 and day of a day since 1970. Years are counted from March, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = (march + 2) % 12;
    (year_of_era + era * 400 + u64::from(month < 2), month, day)
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
