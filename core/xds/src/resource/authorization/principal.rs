//! Who asks: sources, and the conditions about the request and its client.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::config::rbac::v3::{
    Principal,
    principal::{Authenticated, Identifier, Set},
};
use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, header_matcher::HeaderMatchSpecifier,
};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use mesh_ir::Cidr;
use mesh_ir::policy::{
    AddressAttribute, AuthorizationAction, Condition, Constraint, ServiceAccount, Source,
    StringPattern, TextAttribute,
};

use super::super::border::{At, InvalidResource};
use super::super::chain_match;
use super::super::token_match::{self, Claims};
use super::clause::{Clause, Clauses, Node, Open, from_node, to_node};
use super::permission::from_header;
use super::policy::{Conditions, clauses, constraint};
use super::text;

impl Node for Principal {
    fn all(ids: Vec<Self>) -> Self {
        leaf(Identifier::AndIds(Set { ids }))
    }

    fn one_of(ids: Vec<Self>) -> Self {
        leaf(Identifier::OrIds(Set { ids }))
    }

    fn not(node: Self) -> Self {
        leaf(Identifier::NotId(Box::new(node)))
    }

    fn any() -> Self {
        leaf(Identifier::Any(true))
    }

    fn open(self) -> Option<Open<Self>> {
        Some(match self.identifier? {
            Identifier::AndIds(set) => Open::All(set.ids),
            Identifier::OrIds(set) => Open::OneOf(set.ids),
            Identifier::NotId(node) => Open::Not(*node),
            Identifier::Any(any) => Open::Any(any),
            identifier => Open::Leaf(leaf(identifier)),
        })
    }
}

fn leaf(identifier: Identifier) -> Principal {
    Principal {
        identifier: Some(identifier),
    }
}

/// The principal of a source under conditions; of those, the ones that are not about the target.
pub(super) fn to_proto(
    source: &Source,
    when: &[Condition],
    action: AuthorizationAction,
) -> Principal {
    let Source {
        principals,
        request_principals,
        namespaces,
        service_accounts,
        trust_domains,
        ip_blocks,
        remote_ip_blocks,
    } = source;
    let exact = |accounts: &[ServiceAccount]| {
        let texts = accounts.iter().map(|account| account.to_string().into());
        texts.map(StringPattern::Exact).collect()
    };
    let accounts = Constraint {
        values: exact(&service_accounts.values),
        not_values: exact(&service_accounts.not_values),
    };
    let texts = [
        (TextAttribute::SourcePrincipal, principals),
        (TextAttribute::SourceNamespace, namespaces),
        (TextAttribute::SourceServiceAccount, &accounts),
        (TextAttribute::SourceTrustDomain, trust_domains),
        (TextAttribute::RequestPrincipal, request_principals),
    ];
    let addresses = [
        (AddressAttribute::SourceIp, ip_blocks),
        (AddressAttribute::RemoteIp, remote_ip_blocks),
    ];
    let mut own: Vec<Clause<Principal>> = texts
        .iter()
        .flat_map(|(attribute, values)| text_clauses(attribute, values, action))
        .collect();
    own.extend(
        addresses
            .iter()
            .flat_map(|(attribute, values)| address_clauses(*attribute, values)),
    );
    let when: Vec<Clause<Principal>> = when
        .iter()
        .flat_map(|condition| match condition {
            Condition::Text { attribute, values } => text_clauses(attribute, values, action),
            Condition::Address { attribute, values } => address_clauses(*attribute, values),
            Condition::DestinationPort(_) => Vec::new(),
        })
        .collect();
    to_node(own, when)
}

fn text_clauses(
    attribute: &TextAttribute,
    values: &Constraint<StringPattern>,
    action: AuthorizationAction,
) -> Vec<Clause<Principal>> {
    if *attribute == TextAttribute::ConnectionSni {
        return Vec::new();
    }
    let of = |negated: bool, values: &[StringPattern]| {
        let nodes = values
            .iter()
            .map(|value| text_node(attribute, value, negated, action));
        Some(Clause {
            negated,
            nodes: nodes.collect(),
        })
        .filter(|clause: &Clause<Principal>| !clause.nodes.is_empty())
    };
    let mut clauses: Vec<Clause<Principal>> = Vec::new();
    // Who is nobody is not "somebody else": a rule that allows needs an identity to exclude.
    if is_identity(attribute)
        && action == AuthorizationAction::Allow
        && values.values.is_empty()
        && !values.not_values.is_empty()
    {
        clauses.push(Clause {
            negated: false,
            nodes: vec![leaf(Identifier::Authenticated(Authenticated::default()))],
        });
    }
    clauses.extend(of(false, &values.values));
    clauses.extend(of(true, &values.not_values));
    clauses
}

fn is_identity(attribute: &TextAttribute) -> bool {
    matches!(
        attribute,
        TextAttribute::SourcePrincipal
            | TextAttribute::SourceNamespace
            | TextAttribute::SourceServiceAccount
            | TextAttribute::SourceTrustDomain
    )
}

/// Whether one of several values of a header is enough: where that closes a rule.
fn one_is_enough(negated: bool, action: AuthorizationAction) -> bool {
    (action == AuthorizationAction::Allow) == negated
}

fn text_node(
    attribute: &TextAttribute,
    value: &StringPattern,
    negated: bool,
    action: AuthorizationAction,
) -> Principal {
    match attribute {
        TextAttribute::RequestHeader(name) => {
            let matcher = if one_is_enough(negated, action) {
                text::one_of_joined(value)
            } else {
                text::string(value)
            };
            leaf(Identifier::Header(HeaderMatcher {
                name: name.to_string(),
                header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
                ..HeaderMatcher::default()
            }))
        }
        TextAttribute::RequestPrincipal => {
            let [issuer, subject] = token_match::principal(value);
            Principal::all(vec![
                leaf(Identifier::Metadata(issuer)),
                leaf(Identifier::Metadata(subject)),
            ])
        }
        TextAttribute::RequestAudiences => claim(&["aud".into()], value),
        TextAttribute::RequestPresenter => claim(&["azp".into()], value),
        TextAttribute::RequestClaim(path) => claim(path, value),
        identity => leaf(Identifier::Authenticated(Authenticated {
            principal_name: text::identity(identity, value),
        })),
    }
}

fn claim(path: &[Arc<str>], value: &StringPattern) -> Principal {
    leaf(Identifier::Metadata(token_match::claim(path, value)))
}

fn address_clauses(
    attribute: AddressAttribute,
    values: &Constraint<Cidr>,
) -> Vec<Clause<Principal>> {
    let node = |range: &Cidr| {
        let range = chain_match::cidr(range);
        leaf(match attribute {
            AddressAttribute::RemoteIp => Identifier::RemoteIp(range),
            _ => Identifier::DirectRemoteIp(range),
        })
    };
    match attribute {
        AddressAttribute::DestinationIp => Vec::new(),
        AddressAttribute::SourceIp | AddressAttribute::RemoteIp => clauses(values, node),
    }
}

/// The values of a clause, which are all of one attribute.
enum Values {
    Texts(TextAttribute, Vec<StringPattern>),
    Addresses(AddressAttribute, Vec<Cidr>),
    /// Any identity.
    Authenticated,
}

/// The source of a principal, and the conditions in it; no source for anybody.
pub(super) fn from_proto(
    proto: Principal,
    action: AuthorizationAction,
    at: &At<'_>,
) -> Result<(Option<Source>, Conditions), InvalidResource> {
    let is_leaf = |ids: &[Principal]| request_principal(ids).is_some();
    let Clauses { own, when } = from_node(proto, is_leaf, at)?;
    let mut source = Source::default();
    let mut conditions = Conditions::default();
    let mut needs_identity = false;
    for clause in own {
        let (negated, values) = from_clause(clause, action, at)?;
        match values {
            Values::Texts(TextAttribute::SourcePrincipal, values) => {
                constraint(&mut source.principals, negated, values, at)?;
            }
            Values::Texts(TextAttribute::RequestPrincipal, values) => {
                constraint(&mut source.request_principals, negated, values, at)?;
            }
            Values::Texts(TextAttribute::SourceNamespace, values) => {
                constraint(&mut source.namespaces, negated, values, at)?;
            }
            Values::Texts(TextAttribute::SourceTrustDomain, values) => {
                constraint(&mut source.trust_domains, negated, values, at)?;
            }
            Values::Texts(attribute @ TextAttribute::SourceServiceAccount, values) => {
                match values.iter().map(from_account).collect() {
                    Some(accounts) => {
                        constraint(&mut source.service_accounts, negated, accounts, at)?;
                    }
                    None => conditions.texts(attribute, negated, values),
                }
            }
            Values::Texts(attribute, values) => conditions.texts(attribute, negated, values),
            Values::Addresses(AddressAttribute::SourceIp, values) => {
                constraint(&mut source.ip_blocks, negated, values, at)?;
            }
            Values::Addresses(AddressAttribute::RemoteIp, values) => {
                constraint(&mut source.remote_ip_blocks, negated, values, at)?;
            }
            Values::Addresses(attribute, values) => {
                conditions.addresses(attribute, negated, values);
            }
            Values::Authenticated if negated => return Err(at.unsupported()),
            Values::Authenticated => needs_identity = true,
        }
    }
    if needs_identity && !excludes_identities(&source, action) {
        constraint(
            &mut source.principals,
            false,
            vec![StringPattern::NotEmpty],
            at,
        )?;
    }
    let mut needs_identity = false;
    for clause in when {
        match from_clause(clause, action, at)? {
            (negated, Values::Texts(attribute, values)) => {
                conditions.texts(attribute, negated, values);
                needs_identity = false;
            }
            (negated, Values::Addresses(attribute, values)) => {
                conditions.addresses(attribute, negated, values);
            }
            (_, Values::Authenticated) => needs_identity = true,
        }
    }
    if needs_identity {
        let any = vec![StringPattern::NotEmpty];
        conditions.texts(TextAttribute::SourcePrincipal, false, any);
    }
    let source = Some(source).filter(|source| *source != Source::default());
    Ok((source, conditions))
}

/// Whether a rule that allows excludes identities, which needs one by itself.
fn excludes_identities(source: &Source, action: AuthorizationAction) -> bool {
    fn excludes<T>(constraint: &Constraint<T>) -> bool {
        constraint.values.is_empty() && !constraint.not_values.is_empty()
    }
    action == AuthorizationAction::Allow
        && (excludes(&source.principals)
            || excludes(&source.namespaces)
            || excludes(&source.service_accounts)
            || excludes(&source.trust_domains))
}

fn from_account(value: &StringPattern) -> Option<ServiceAccount> {
    let StringPattern::Exact(text) = value else {
        return None;
    };
    let (namespace, name) = text.split_once('/')?;
    Some(ServiceAccount {
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn from_clause(
    clause: Clause<Principal>,
    action: AuthorizationAction,
    at: &At<'_>,
) -> Result<(bool, Values), InvalidResource> {
    let Clause { negated, nodes } = clause;
    let mut all: Option<Values> = None;
    for node in nodes {
        let value = from_leaf(node, negated, action, at)?;
        all = Some(match (all, value) {
            (None, value) => value,
            (Some(Values::Texts(known, mut texts)), Values::Texts(attribute, more))
                if known == attribute =>
            {
                texts.extend(more);
                Values::Texts(known, texts)
            }
            (Some(Values::Addresses(known, mut ranges)), Values::Addresses(attribute, more))
                if known == attribute =>
            {
                ranges.extend(more);
                Values::Addresses(known, ranges)
            }
            (Some(_), _) => {
                return Err(at.value("a choice between different kinds of criteria cannot be made"));
            }
        });
    }
    all.map(|values| (negated, values))
        .ok_or_else(|| at.missing())
}

fn from_leaf(
    node: Principal,
    negated: bool,
    action: AuthorizationAction,
    at: &At<'_>,
) -> Result<Values, InvalidResource> {
    let address = |attribute, range, at: &At<'_>| {
        Ok(Values::Addresses(
            attribute,
            vec![chain_match::from_cidr(range, at)?],
        ))
    };
    match node.identifier {
        Some(Identifier::Authenticated(Authenticated {
            principal_name: None,
        })) => Ok(Values::Authenticated),
        Some(Identifier::Authenticated(Authenticated {
            principal_name: Some(name),
        })) => {
            let at = at.field("authenticated");
            let (attribute, value) = text::from_identity(name, &at.field("principal_name"))?;
            Ok(Values::Texts(attribute, vec![value]))
        }
        Some(Identifier::DirectRemoteIp(range)) => address(
            AddressAttribute::SourceIp,
            range,
            &at.field("direct_remote_ip"),
        ),
        Some(Identifier::RemoteIp(range)) => {
            address(AddressAttribute::RemoteIp, range, &at.field("remote_ip"))
        }
        Some(Identifier::Header(matcher)) => {
            let at = at.field("header");
            let name = Arc::from(matcher.name.to_ascii_lowercase());
            let value = from_header_value(from_header(matcher, &at)?, negated, action, &at)?;
            Ok(Values::Texts(
                TextAttribute::RequestHeader(name),
                vec![value],
            ))
        }
        Some(Identifier::Metadata(matcher)) => {
            let Claims { path, values } = token_match::from_claim(matcher, &at.field("metadata"))?;
            let attribute = match path.as_slice() {
                [one] if &**one == "aud" => TextAttribute::RequestAudiences,
                [one] if &**one == "azp" => TextAttribute::RequestPresenter,
                _ => TextAttribute::RequestClaim(path),
            };
            Ok(Values::Texts(attribute, values))
        }
        Some(Identifier::AndIds(Set { ids })) => match request_principal(&ids) {
            Some(value) => Ok(Values::Texts(TextAttribute::RequestPrincipal, vec![value])),
            None => Err(at.field("and_ids").unsupported()),
        },
        Some(Identifier::SourceIp(_)) => Err(at.field("source_ip").unsupported()),
        Some(Identifier::UrlPath(_)) => Err(at.field("url_path").unsupported()),
        Some(Identifier::FilterState(_)) => Err(at.field("filter_state").unsupported()),
        Some(Identifier::SourcedMetadata(_)) => Err(at.field("sourced_metadata").unsupported()),
        Some(Identifier::Custom(_)) => Err(at.field("custom").unsupported()),
        Some(Identifier::OrIds(_) | Identifier::NotId(_) | Identifier::Any(_)) | None => {
            Err(at.unsupported())
        }
    }
}

fn from_header_value(
    matcher: StringMatcher,
    negated: bool,
    action: AuthorizationAction,
    at: &At<'_>,
) -> Result<StringPattern, InvalidResource> {
    let joined = one_is_enough(negated, action)
        .then(|| text::from_one_of_joined(&matcher))
        .flatten();
    match joined {
        Some(value) => Ok(value),
        None => text::from_string(matcher, at),
    }
}

/// The identity of a token, if issuer and subject are compared.
fn request_principal(ids: &[Principal]) -> Option<StringPattern> {
    let matcher = |id: &Principal| match &id.identifier {
        Some(Identifier::Metadata(matcher)) => Some(matcher.clone()),
        _ => None,
    };
    let [issuer, subject] = ids else { return None };
    token_match::from_principal(matcher(issuer)?, matcher(subject)?)
}
