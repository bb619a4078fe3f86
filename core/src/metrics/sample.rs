//! Samples of Prometheus' text format, line by line.

use std::borrow::Cow;

/// One value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric.
    pub name: &'a str,
    /// Names and values of the labels.
    labels: Labels<'a>,
    /// The value.
    pub value: f64,
}

/// Names and values.
type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The samples of some metrics. Lines that are not understood are skipped: one proxy's odd line must not hide all others.
pub fn samples<'a>(text: &'a str, wanted: &'a [&str]) -> impl Iterator<Item = Sample<'a>> {
    text.lines().filter_map(move |line| read(line, wanted))
}

// === impl Sample ===

impl Sample<'_> {
    /// A label's value; empty if it has none.
    pub fn label(&self, name: &str) -> &str {
        let mut labels = self.labels.iter();
        let found = labels.find(|(label, _)| *label == name);
        found.map(|(_, value)| &**value).unwrap_or_default()
    }

    /// The value as a count. Counts are whole numbers below 2^53.
    pub fn count(&self) -> Option<u64> {
        (self.value.is_finite() && self.value >= 0.0).then_some(self.value as u64)
    }
}

fn read<'a>(line: &'a str, wanted: &[&str]) -> Option<Sample<'a>> {
    let line = line.trim_start();
    let end = line.find([' ', '{', '\t'])?;
    let (name, rest) = line.split_at_checked(end)?;
    if !wanted.contains(&name) {
        return None;
    }
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name,
        labels,
        value,
    })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start().strip_prefix('"')?;
        let (value, after) = quoted(after)?;
        labels.push((name.trim(), value));
        rest = after;
    }
}

/// A value up to its closing quote, with the escapes `\\`, `\"` and `\n` undone, and what follows it.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    let (plain, rest) = text.split_at_checked(end)?;
    if let Some(after) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), after));
    }
    let mut value = plain.to_owned();
    let mut characters = rest.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), rest.get(index + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_wanted_and_understood_are_read() {
        let text = concat!(
            "# TYPE a counter\n",
            "a{x=\"1\",y=\"q\\\"\\\\\\n,}\"} 7 1700000000000\n",
            "a{x=\"1\" broken\n",
            "ab{} 5\n",
            "a 1e1\n",
            "a{} NaN\n",
        );
        let read: Vec<(String, String, Option<u64>)> = samples(text, &["a"])
            .map(|sample| {
                let label = |name| sample.label(name).to_owned();
                (label("x"), label("y"), sample.count())
            })
            .collect();
        let row = |x: &str, y: &str, count| (x.to_owned(), y.to_owned(), count);
        assert_eq!(
            read,
            [
                row("1", "q\"\\\n,}", Some(7)),
                row("", "", Some(10)),
                row("", "", None)
            ]
        );
    }
}
