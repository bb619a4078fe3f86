//! Tags that are configured, and those of the proxy itself.

use std::sync::Arc;
use std::time::SystemTime;

use mesh_ir::{SpanTag, TagSource, Tracing};

use crate::record::Record;
use crate::telemetry::Reporter;
use crate::telemetry::substitution::Substitution;

/// Compiled tags.
#[derive(Debug)]
pub(super) struct Tags(Vec<(Arc<str>, Tag)>);

#[derive(Debug)]
enum Tag {
    Fixed(Arc<str>),
    /// A header, and the value where there is none.
    Header(Arc<str>, Arc<str>),
    Format(Substitution),
}

/// Whether the formats of tags can be understood.
pub(super) fn check(config: &Tracing) -> Result<(), String> {
    for (name, tag) in &config.tags {
        if let TagSource::Format(text) = &tag.source {
            let format = Substitution::compile(text);
            format.map_err(|reason| format!("the tag {name}: {reason}"))?;
        }
    }
    Ok(())
}

// === impl Tags ===

impl Tags {
    /// # Errors
    /// With the tag whose format cannot be understood.
    pub(super) fn compile(config: &Tracing, reporter: &Reporter) -> Result<Self, String> {
        let own = [("node_id", &reporter.node_id), ("zone", &reporter.zone)];
        let own = own.map(|(name, value)| (name.into(), Tag::Fixed(value.clone())));
        let mut tags = Vec::from(own);
        for (name, SpanTag { source, default }) in &config.tags {
            let tag = match source {
                TagSource::Literal(value) => Tag::Fixed(value.clone()),
                TagSource::Environment(variable) => {
                    let value = reporter.environment.get(&**variable);
                    let value = value.filter(|value| !value.is_empty());
                    Tag::Fixed(value.map_or_else(|| default.clone(), |value| value.as_str().into()))
                }
                TagSource::Header(header) => Tag::Header(header.clone(), default.clone()),
                TagSource::Format(text) => {
                    let format = Substitution::compile(text);
                    Tag::Format(format.map_err(|reason| format!("the tag {name}: {reason}"))?)
                }
            };
            tags.push((name.clone(), tag));
        }
        tags.retain(|(_, tag)| !matches!(tag, Tag::Fixed(value) if value.is_empty()));
        Ok(Self(tags))
    }

    /// The values for a request.
    pub(super) fn values(
        &self,
        record: &Record<'_>,
        now: SystemTime,
    ) -> impl Iterator<Item = (Arc<str>, String)> {
        self.0.iter().filter_map(move |(name, tag)| {
            let value = match tag {
                Tag::Fixed(value) => value.to_string(),
                Tag::Header(header, default) => match record.request_field(header) {
                    Some(value) => String::from_utf8_lossy(&value).into_owned(),
                    None => default.to_string(),
                },
                Tag::Format(format) => {
                    let mut value = Vec::new();
                    format.write(&mut value, record, now, b"");
                    String::from_utf8_lossy(&value).into_owned()
                }
            };
            (!value.is_empty()).then(|| (name.clone(), value))
        })
    }
}
