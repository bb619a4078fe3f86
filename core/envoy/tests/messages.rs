//! The table of messages is what the descriptors of `envoy-types` say. `UPDATE_GOLDEN=1 cargo test -p mesh-envoy --test messages` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use cargo_metadata::MetadataCommand;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// What resources consist of, beside extensions.
const ROOTS: [&str; 8] = [
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.core.v3.TypedExtensionConfig",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.rbac.v3.RBAC",
    "envoy.config.trace.v3.OpenTelemetryConfig",
    "envoy.config.trace.v3.ZipkinConfig",
];
const EXTENSIONS: &str = "envoy.extensions.";

/// Fields that hold secrets. (`udpa.annotations.sensitive`, which the decoded options do not show.)
const SENSITIVE: [(&str, &str); 7] = [
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        "private_key",
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        "pkcs12",
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        "password",
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys",
        "keys",
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.GenericSecret",
        "secret",
    ),
    (
        "envoy.extensions.transport_sockets.tls.v3.GenericSecret",
        "secrets",
    ),
    (
        "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
        "downstream_auth_password",
    ),
];

#[derive(Default)]
struct Types {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

impl Types {
    fn message(&mut self, parent: &str, message: DescriptorProto) {
        let name = format!("{parent}.{}", message.name());
        for nested in message.nested_type.clone() {
            self.message(&name, nested);
        }
        for nested in message.enum_type.clone() {
            self.enums
                .insert(format!("{name}.{}", nested.name()), nested);
        }
        self.messages.insert(name, message);
    }
}

fn descriptors() -> Types {
    let metadata = MetadataCommand::new().exec().unwrap();
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "envoy-types");
    let manifest = &package.expect("envoy-types is a dependency").manifest_path;
    let file = manifest.with_file_name("src/generated/types.bin");
    let set = FileDescriptorSet::decode(&*std::fs::read(file).unwrap()).unwrap();
    let mut types = Types::default();
    for file in set.file {
        let package = file.package().to_owned();
        for message in file.message_type {
            types.message(&package, message);
        }
        for value in file.enum_type {
            types
                .enums
                .insert(format!("{package}.{}", value.name()), value);
        }
    }
    types
}

fn reference(field: &FieldDescriptorProto) -> &str {
    field.type_name().trim_start_matches('.')
}

fn code(field: &FieldDescriptorProto) -> &'static str {
    match field.r#type() {
        Type::String => "s",
        Type::Bytes => "y",
        Type::Bool => "b",
        Type::Uint32 => "u32",
        Type::Uint64 => "u64",
        Type::Int32 => "i32",
        Type::Int64 => "i64",
        Type::Fixed64 => "x64",
        Type::Float => "f",
        Type::Double => "d",
        Type::Enum => "e",
        Type::Message => "m",
        other => panic!(
            "{} has the type {other:?}, which the table does not know",
            field.name()
        ),
    }
}

fn line(types: &Types, message: &str, field: &FieldDescriptorProto) -> String {
    let of = &types.messages[message];
    let entry = types.messages.get(reference(field)).filter(|entry| {
        entry
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry())
    });
    let (prefix, value) = match (entry, field.label()) {
        (Some(entry), _) => (format!("%{}:", code(&entry.field[0])), &entry.field[1]),
        (None, Label::Repeated) => ("*".to_owned(), field),
        (None, _) => (String::new(), field),
    };
    let mut line = format!(
        "{} {} {prefix}{}",
        field.number(),
        field.name(),
        code(value)
    );
    if matches!(value.r#type(), Type::Enum | Type::Message) {
        write!(line, " {}", reference(value)).unwrap();
    }
    if let Some(oneof) = field.oneof_index {
        write!(line, " |{}", of.oneof_decl[oneof as usize].name()).unwrap();
    }
    if SENSITIVE.contains(&(message, field.name())) {
        line.push_str(" !");
    }
    line
}

fn table() -> String {
    let types = descriptors();
    let is_root = |name: &str| ROOTS.contains(&name) || name.starts_with(EXTENSIONS);
    let mut left: Vec<&str> = types
        .messages
        .keys()
        .map(String::as_str)
        .filter(|name| is_root(name))
        .collect();
    let (mut messages, mut enums) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = left.pop() {
        if !messages.insert(name) {
            continue;
        }
        for field in &types.messages[name].field {
            match field.r#type() {
                Type::Message => left.push(reference(field)),
                Type::Enum => drop(enums.insert(reference(field))),
                _ => {}
            }
        }
    }
    let mut blocks = Vec::new();
    for name in messages {
        let message = &types.messages[name];
        if message
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry())
        {
            continue;
        }
        let mut block = vec![name.to_owned()];
        block.extend(message.field.iter().map(|field| line(&types, name, field)));
        blocks.push(block.join("\n"));
    }
    for name in enums {
        let mut block = vec![format!("enum {name}")];
        let values = types.enums[name].value.iter();
        block.extend(values.map(|value| format!("{} {}", value.number(), value.name())));
        blocks.push(block.join("\n"));
    }
    blocks.join("\n\n") + "\n"
}

#[test]
fn the_table_is_that_of_envoy_types() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/messages.txt");
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == table,
        "src/messages.txt is stale: run with UPDATE_GOLDEN=1"
    );
}
