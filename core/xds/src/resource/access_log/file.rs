//! Logs in files.

#![expect(deprecated, reason = "formats are understood in their older form too")]

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{
    SubstitutionFormatString, substitution_format_string::Format,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog as Proto, file_access_log::AccessLogFormat,
};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use mesh_ir::FileLog;
use serde_json::{Map, Value as Json};

use super::super::border::{At, InvalidResource};
use super::super::metadata::string;
use super::super::values;

pub(super) fn to_proto(value: &FileLog) -> Proto {
    let FileLog {
        path,
        format,
        json,
        omit_empty,
    } = value;
    let format = if *json {
        Format::JsonFormat(json_format(format.as_deref()))
    } else {
        let text = format.as_deref().unwrap_or(FileLog::DEFAULT_TEXT);
        Format::TextFormatSource(values::inline(&[text, "\n"].concat()).unwrap_or_default())
    };
    Proto {
        path: path.to_string(),
        access_log_format: Some(AccessLogFormat::LogFormat(SubstitutionFormatString {
            format: Some(format),
            omit_empty_values: *omit_empty,
            ..SubstitutionFormatString::default()
        })),
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<FileLog, InvalidResource> {
    let Proto {
        path,
        access_log_format,
    } = proto;
    let Some(AccessLogFormat::LogFormat(format)) = access_log_format else {
        return Err(match access_log_format {
            None => at.field("log_format").missing(),
            Some(_) => at.value("the format must be given as log_format"),
        });
    };
    let omit_empty = format.omit_empty_values;
    let (format, json) = from_format(format, &at.field("log_format"))?;
    Ok(FileLog {
        path: path.into(),
        format: format.map(Into::into),
        json,
        omit_empty,
    })
}

fn from_format(
    format: SubstitutionFormatString,
    at: &At<'_>,
) -> Result<(Option<String>, bool), InvalidResource> {
    open!(at, format => SubstitutionFormatString {
        keep { format }
        refuse { formatters }
        ignore { content_type, json_format_options, omit_empty_values }
    });
    let plain = |text: String| {
        let line = text.strip_suffix('\n').unwrap_or(&text);
        (
            (line != FileLog::DEFAULT_TEXT).then(|| line.to_owned()),
            false,
        )
    };
    match format {
        Some(Format::TextFormat(text)) => Ok(plain(text)),
        Some(Format::TextFormatSource(source)) => {
            values::from_inline(source, &at.field("text_format_source")).map(plain)
        }
        Some(Format::JsonFormat(format)) => {
            let default = json_format(None);
            let text = (format != default).then(|| Json::Object(from_struct(format)).to_string());
            Ok((text, true))
        }
        None => Err(at.field("text_format").missing()),
    }
}

/// The configured object, or Istio's where none (or no JSON object) is configured.
fn json_format(format: Option<&str>) -> Struct {
    match format.and_then(|text| serde_json::from_str::<Map<String, Json>>(text).ok()) {
        Some(object) => to_struct(object),
        None => Struct {
            fields: FileLog::DEFAULT_JSON
                .iter()
                .map(|(key, operator)| ((*key).to_owned(), string(operator)))
                .collect::<HashMap<_, _>>(),
        },
    }
}

fn to_struct(object: Map<String, Json>) -> Struct {
    Struct {
        fields: object
            .into_iter()
            .map(|(key, value)| (key, to_value(value)))
            .collect(),
    }
}

fn to_value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(to_value).collect(),
        }),
        Json::Object(object) => Kind::StructValue(to_struct(object)),
    };
    Value { kind: Some(kind) }
}

/// The object with sorted keys, since the message does not keep their order.
fn from_struct(Struct { fields }: Struct) -> Map<String, Json> {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_by(|left, right| left.0.cmp(&right.0));
    fields
        .into_iter()
        .map(|(key, value)| (key, from_value(value)))
        .collect()
}

fn from_value(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        // Every number of the message is a float; whole ones are written without a fraction.
        Some(Kind::NumberValue(value)) if value.fract() == 0.0 && value.abs() < 1e15 => {
            Json::from(value as i64)
        }
        Some(Kind::NumberValue(value)) => Json::from(value),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect(),
        Some(Kind::StructValue(object)) => Json::Object(from_struct(object)),
    }
}
