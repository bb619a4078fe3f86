//! How long ago something was, in the short form of Kubernetes: `83s`, `4m30s`, `5h`, `3d`.

use jiff::Timestamp;
use serde_json::Value;

/// The age of an object.
pub fn since_creation(object: &Value, now: Timestamp) -> String {
    since(&object["metadata"]["creationTimestamp"], now)
}

/// How long ago the time in a field was; `<unknown>` without one.
pub fn since(time: &Value, now: Timestamp) -> String {
    let time = time
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    time.map_or_else(
        || "<unknown>".to_owned(),
        |time| span(now.duration_since(time).as_secs()),
    )
}

/// A span of seconds, the more roughly the longer it is.
pub fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_get_rougher() {
        let (minute, hour, day) = (60, 3600, 86400);
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (83, "83s"),
            (4 * minute + 30, "4m30s"),
            (5 * minute, "5m"),
            (179 * minute, "179m"),
            (5 * hour + 2 * minute, "5h2m"),
            (47 * hour, "47h"),
            (3 * day + hour, "3d1h"),
            (100 * day, "100d"),
            (3 * 365 * day + day, "3y1d"),
            (9 * 365 * day, "9y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }
}
