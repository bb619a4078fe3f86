//! Header changes. Values are formats with Envoy's command operators on both sides.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue as ValueProto, HeaderValueOption, header_value_option::HeaderAppendAction,
};
use mesh_ir::{HeaderAppend, HeaderOps, HeaderValue};

use super::border::{At, InvalidResource};

/// Additions and removals.
pub(super) fn to_proto(ops: &HeaderOps) -> (Vec<HeaderValueOption>, Vec<String>) {
    let HeaderOps { remove, set } = ops;
    (
        set.iter().map(option).collect(),
        remove.iter().map(ToString::to_string).collect(),
    )
}

fn option(header: &HeaderValue) -> HeaderValueOption {
    let HeaderValue {
        name,
        value,
        append,
    } = header;
    let action = match append {
        HeaderAppend::Append => HeaderAppendAction::AppendIfExistsOrAdd,
        HeaderAppend::Overwrite => HeaderAppendAction::OverwriteIfExistsOrAdd,
    };
    HeaderValueOption {
        header: Some(ValueProto {
            key: name.to_string(),
            value: value.to_string(),
            raw_value: vec![],
        }),
        append: None,
        append_action: action.into(),
        keep_empty_value: value.is_empty(),
    }
}

pub(super) fn from_proto(
    set: Vec<HeaderValueOption>,
    remove: Vec<String>,
    field: &'static str,
    at: &At<'_>,
) -> Result<HeaderOps, InvalidResource> {
    let set: Vec<Option<HeaderValue>> = at.list(field, set, from_option)?;
    Ok(HeaderOps {
        remove: remove
            .into_iter()
            .map(|name| name.to_ascii_lowercase().into())
            .collect(),
        set: set.into_iter().flatten().collect(),
    })
}

/// None for an empty value that is not kept: Envoy adds nothing then.
fn from_option(
    option: HeaderValueOption,
    at: &At<'_>,
) -> Result<Option<HeaderValue>, InvalidResource> {
    let HeaderValueOption {
        header,
        append,
        append_action,
        keep_empty_value,
    } = option;
    open!(&at.field("header"), at.require("header", header)? => ValueProto {
        keep { key, value }
        refuse { raw_value }
        ignore {}
    });
    let append = match (append, HeaderAppendAction::try_from(append_action)) {
        (Some(append), _) if !append.value => HeaderAppend::Overwrite,
        (_, Ok(HeaderAppendAction::AppendIfExistsOrAdd)) => HeaderAppend::Append,
        (_, Ok(HeaderAppendAction::OverwriteIfExistsOrAdd)) => HeaderAppend::Overwrite,
        _ => return Err(at.field("append_action").unsupported()),
    };
    if value.is_empty() && !keep_empty_value {
        return Ok(None);
    }
    Ok(Some(HeaderValue {
        name: key.into(),
        value: value.into(),
        append,
    }))
}
