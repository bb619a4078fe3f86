//! What is asked for: operations, and the conditions about the connection's target.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::rbac::v3::{Permission, permission::Rule, permission::Set};
use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, header_matcher::HeaderMatchSpecifier,
};
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher};
use mesh_ir::policy::{
    AddressAttribute, Condition, Operation, PathPattern, PathTemplate, StringPattern, TextAttribute,
};

use super::super::border::{At, InvalidResource};
use super::super::{chain_match, pack, unpack, values};
use super::clause::{Clause, Clauses, Node, Open, from_node, to_node};
use super::policy::{Conditions, clauses, constraint};
use super::text;

const METHOD: &str = ":method";
const AUTHORITY: &str = ":authority";
const TEMPLATE: &str = "envoy.path.match.uri_template.uri_template_matcher";

impl Node for Permission {
    fn all(rules: Vec<Self>) -> Self {
        leaf(Rule::AndRules(Set { rules }))
    }

    fn one_of(rules: Vec<Self>) -> Self {
        leaf(Rule::OrRules(Set { rules }))
    }

    fn not(node: Self) -> Self {
        leaf(Rule::NotRule(Box::new(node)))
    }

    fn any() -> Self {
        leaf(Rule::Any(true))
    }

    fn open(self) -> Option<Open<Self>> {
        Some(match self.rule? {
            Rule::AndRules(set) => Open::All(set.rules),
            Rule::OrRules(set) => Open::OneOf(set.rules),
            Rule::NotRule(node) => Open::Not(*node),
            Rule::Any(any) => Open::Any(any),
            rule => Open::Leaf(leaf(rule)),
        })
    }
}

fn leaf(rule: Rule) -> Permission {
    Permission { rule: Some(rule) }
}

/// One value of a permission.
enum Value {
    Host(StringPattern),
    Method(StringPattern),
    Path(PathPattern),
    Port(u16),
    DestinationIp(mesh_ir::Cidr),
    Sni(StringPattern),
}

/// The permission of an operation under conditions; of those, the ones that are about the target.
pub(super) fn to_proto(operation: &Operation, when: &[Condition]) -> Permission {
    let Operation {
        hosts,
        ports,
        methods,
        paths,
    } = operation;
    let own = [
        clauses(hosts, |value| header(AUTHORITY, text::host(value))),
        clauses(methods, |value| header(METHOD, text::string(value))),
        clauses(paths, path),
        clauses(ports, port),
    ];
    let when = when.iter().flat_map(|condition| match condition {
        Condition::DestinationPort(ports) => clauses(ports, port),
        Condition::Address {
            attribute: AddressAttribute::DestinationIp,
            values,
        } => clauses(values, |range| {
            leaf(Rule::DestinationIp(chain_match::cidr(range)))
        }),
        Condition::Text {
            attribute: TextAttribute::ConnectionSni,
            values,
        } => clauses(values, |value| {
            leaf(Rule::RequestedServerName(text::string(value)))
        }),
        Condition::Address { .. } | Condition::Text { .. } => Vec::new(),
    });
    to_node(own.into_iter().flatten().collect(), when.collect())
}

fn port(port: &u16) -> Permission {
    leaf(Rule::DestinationPort((*port).into()))
}

fn path(value: &PathPattern) -> Permission {
    match value {
        PathPattern::Text(value) => leaf(Rule::UrlPath(PathMatcher {
            rule: Some(path_matcher::Rule::Path(text::string(value))),
        })),
        PathPattern::Template(template) => {
            let segments: Vec<&str> = template.text().split('/').map(to_segment).collect();
            leaf(Rule::UriTemplate(TypedExtensionConfig {
                name: TEMPLATE.to_owned(),
                typed_config: Some(pack(&UriTemplateMatchConfig {
                    path_template: segments.join("/"),
                })),
            }))
        }
    }
}

fn to_segment(segment: &str) -> &str {
    match segment {
        "{*}" => "*",
        "{**}" => "**",
        other => other,
    }
}

fn header(name: &str, value: StringMatcher) -> Permission {
    leaf(Rule::Header(HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(value)),
        ..HeaderMatcher::default()
    }))
}

/// The operation of a permission, and the conditions in it; no operation for one that allows any.
pub(super) fn from_proto(
    proto: Permission,
    at: &At<'_>,
) -> Result<(Option<Operation>, Conditions), InvalidResource> {
    let Clauses { own, when } = from_node(proto, |_| false, at)?;
    let mut operation = Operation::default();
    let mut conditions = Conditions::default();
    for clause in own {
        let (negated, values) = from_clause(clause, at)?;
        match values {
            Values::Hosts(values) => constraint(&mut operation.hosts, negated, values, at)?,
            Values::Methods(values) => constraint(&mut operation.methods, negated, values, at)?,
            Values::Paths(values) => constraint(&mut operation.paths, negated, values, at)?,
            Values::Ports(values) => constraint(&mut operation.ports, negated, values, at)?,
            other => other.add_to(&mut conditions, negated, at)?,
        }
    }
    for clause in when {
        let (negated, values) = from_clause(clause, at)?;
        values.add_to(&mut conditions, negated, at)?;
    }
    let operation = Some(operation).filter(|operation| *operation != Operation::default());
    Ok((operation, conditions))
}

/// The values of a clause, which are all of one kind.
enum Values {
    Hosts(Vec<StringPattern>),
    Methods(Vec<StringPattern>),
    Paths(Vec<PathPattern>),
    Ports(Vec<u16>),
    DestinationIps(Vec<mesh_ir::Cidr>),
    Snis(Vec<StringPattern>),
}

// === impl Values ===

impl Values {
    fn add_to(
        self,
        conditions: &mut Conditions,
        negated: bool,
        at: &At<'_>,
    ) -> Result<(), InvalidResource> {
        match self {
            Self::Ports(values) => conditions.ports(negated, values),
            Self::DestinationIps(values) => {
                conditions.addresses(AddressAttribute::DestinationIp, negated, values);
            }
            Self::Snis(values) => conditions.texts(TextAttribute::ConnectionSni, negated, values),
            Self::Hosts(_) | Self::Methods(_) | Self::Paths(_) => return Err(at.unsupported()),
        }
        Ok(())
    }
}

fn from_clause(clause: Clause<Permission>, at: &At<'_>) -> Result<(bool, Values), InvalidResource> {
    let Clause { negated, nodes } = clause;
    let mut values: Option<Values> = None;
    for node in nodes {
        let value = from_leaf(node, at)?;
        values = Some(match (values, value) {
            (None, Value::Host(value)) => Values::Hosts(vec![value]),
            (None, Value::Method(value)) => Values::Methods(vec![value]),
            (None, Value::Path(value)) => Values::Paths(vec![value]),
            (None, Value::Port(value)) => Values::Ports(vec![value]),
            (None, Value::DestinationIp(value)) => Values::DestinationIps(vec![value]),
            (None, Value::Sni(value)) => Values::Snis(vec![value]),
            (Some(Values::Hosts(all)), Value::Host(value)) => Values::Hosts(with(all, value)),
            (Some(Values::Methods(all)), Value::Method(value)) => Values::Methods(with(all, value)),
            (Some(Values::Paths(all)), Value::Path(value)) => Values::Paths(with(all, value)),
            (Some(Values::Ports(all)), Value::Port(value)) => Values::Ports(with(all, value)),
            (Some(Values::DestinationIps(all)), Value::DestinationIp(value)) => {
                Values::DestinationIps(with(all, value))
            }
            (Some(Values::Snis(all)), Value::Sni(value)) => Values::Snis(with(all, value)),
            (Some(_), _) => {
                return Err(at.value("a choice between different kinds of criteria cannot be made"));
            }
        });
    }
    values
        .map(|values| (negated, values))
        .ok_or_else(|| at.missing())
}

fn with<T>(mut values: Vec<T>, value: T) -> Vec<T> {
    values.push(value);
    values
}

fn from_leaf(node: Permission, at: &At<'_>) -> Result<Value, InvalidResource> {
    Ok(match node.rule {
        Some(Rule::Header(matcher)) => {
            let at = at.field("header");
            let name = matcher.name.to_ascii_lowercase();
            let value = from_header(matcher, &at)?;
            match name.as_str() {
                AUTHORITY | "host" => Value::Host(text::from_host(value, &at)?),
                METHOD => Value::Method(text::from_string(value, &at)?),
                _ => return Err(at.value(format!("the header {name:?} can be a principal only"))),
            }
        }
        Some(Rule::UrlPath(PathMatcher { rule })) => {
            let at = at.field("url_path");
            let path_matcher::Rule::Path(matcher) = at.require("path", rule)?;
            Value::Path(PathPattern::Text(text::from_string(
                matcher,
                &at.field("path"),
            )?))
        }
        Some(Rule::UriTemplate(config)) => {
            Value::Path(from_template(config, &at.field("uri_template"))?)
        }
        Some(Rule::DestinationPort(port)) => {
            Value::Port(values::port(port, &at.field("destination_port"))?)
        }
        Some(Rule::DestinationIp(range)) => {
            Value::DestinationIp(chain_match::from_cidr(range, &at.field("destination_ip"))?)
        }
        Some(Rule::RequestedServerName(matcher)) => Value::Sni(text::from_string(
            matcher,
            &at.field("requested_server_name"),
        )?),
        Some(Rule::DestinationPortRange(_)) => {
            return Err(at.field("destination_port_range").unsupported());
        }
        Some(Rule::Metadata(_)) => return Err(at.field("metadata").unsupported()),
        Some(Rule::Matcher(_)) => return Err(at.field("matcher").unsupported()),
        Some(Rule::SourcedMetadata(_)) => return Err(at.field("sourced_metadata").unsupported()),
        Some(Rule::AndRules(_) | Rule::OrRules(_) | Rule::NotRule(_) | Rule::Any(_)) | None => {
            return Err(at.unsupported());
        }
    })
}

/// What the value of a header must be.
pub(super) fn from_header(
    proto: HeaderMatcher,
    at: &At<'_>,
) -> Result<StringMatcher, InvalidResource> {
    open!(at, proto => HeaderMatcher {
        keep { header_match_specifier }
        refuse { invert_match, treat_missing_header_as_empty }
        ignore { name }
    });
    match header_match_specifier {
        Some(HeaderMatchSpecifier::StringMatch(matcher)) => Ok(matcher),
        // Present, whatever it is.
        Some(HeaderMatchSpecifier::PresentMatch(true)) => {
            Ok(text::string(&StringPattern::NotEmpty))
        }
        _ => Err(at.unsupported()),
    }
}

fn from_template(proto: TypedExtensionConfig, at: &At<'_>) -> Result<PathPattern, InvalidResource> {
    let TypedExtensionConfig {
        name: _,
        typed_config,
    } = proto;
    let any = at.require("typed_config", typed_config)?;
    let at = at.field("typed_config");
    let Some(UriTemplateMatchConfig { path_template }) = unpack(&any, &at)? else {
        return Err(at.unsupported());
    };
    let segment = |segment: &str| match segment {
        "*" => "{*}".to_owned(),
        "**" => "{**}".to_owned(),
        other => other.to_owned(),
    };
    let segments: Vec<String> = path_template.split('/').map(segment).collect();
    let template: Result<_, _> = PathTemplate::parse(&segments.join("/"));
    template
        .map(PathPattern::Template)
        .map_err(|invalid| at.field("path_template").value(invalid.to_string()))
}
