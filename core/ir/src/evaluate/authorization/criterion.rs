//! One criterion of a rule: an attribute of the request or connection, and what it must and must not be.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Subject;
use super::host;
use super::path::PathMatcher;
use super::text;
use crate::Cidr;
use crate::evaluate::{Mismatch, VerifiedToken};
use crate::matching::RequestView;
use crate::policy::{
    AddressAttribute, AuthorizationAction, Condition, Constraint, Operation, PathPattern, Source,
    StringPattern, TextAttribute,
};

/// A criterion, ready to be tried.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    /// The field that it was written in, `principals`.
    field: Box<str>,
    pub(super) kind: Kind,
}

/// What is compared with what.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text {
        attribute: TextAttribute,
        values: Constraint<StringPattern>,
        several: Several,
    },
    Method(Constraint<StringPattern>),
    Host(Constraint<StringPattern>),
    Path {
        values: Vec<PathMatcher>,
        not_values: Vec<PathMatcher>,
        source: Constraint<PathPattern>,
    },
    Address {
        attribute: AddressAttribute,
        values: Constraint<Cidr>,
    },
    Port(Constraint<u16>),
}

/// What holds where an attribute has several values or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Several {
    /// One value that is wanted is enough, one that is not wanted spoils it.
    Any,
    /// Every value must hold; none holds only where nothing is wanted. For headers of rules that allow: the upstream may look at any.
    Every,
    /// One value that holds is enough. For headers of rules that deny.
    One,
    /// As [`Self::Any`], but there must be a value. For identities in rules that allow: who is nobody is not "somebody else".
    Known,
}

// === impl Criterion ===

impl Criterion {
    /// The criteria of a source.
    pub(super) fn of_source(source: &Source, action: AuthorizationAction) -> Vec<Self> {
        let Source {
            principals,
            request_principals,
            namespaces,
            service_accounts,
            trust_domains,
            ip_blocks,
            remote_ip_blocks,
        } = source;
        let exact = |account: &crate::policy::ServiceAccount| {
            StringPattern::Exact(account.to_string().into())
        };
        let accounts = Constraint {
            values: service_accounts.values.iter().map(exact).collect(),
            not_values: service_accounts.not_values.iter().map(exact).collect(),
        };
        let text = |field, attribute, values| Self::text(field, attribute, values, action);
        let address = |field, attribute, values: &Constraint<Cidr>| {
            let values = values.clone();
            Self::new(field, Kind::Address { attribute, values })
        };
        vec![
            text("principals", TextAttribute::SourcePrincipal, principals),
            text("namespaces", TextAttribute::SourceNamespace, namespaces),
            text(
                "serviceAccounts",
                TextAttribute::SourceServiceAccount,
                &accounts,
            ),
            text(
                "trustDomains",
                TextAttribute::SourceTrustDomain,
                trust_domains,
            ),
            text(
                "requestPrincipals",
                TextAttribute::RequestPrincipal,
                request_principals,
            ),
            address("ipBlocks", AddressAttribute::SourceIp, ip_blocks),
            address(
                "remoteIpBlocks",
                AddressAttribute::RemoteIp,
                remote_ip_blocks,
            ),
        ]
        .into_iter()
        .filter(|criterion| !criterion.is_empty())
        .collect()
    }

    /// The criteria of an operation.
    pub(super) fn of_operation(operation: &Operation) -> Vec<Self> {
        let Operation {
            hosts,
            ports,
            methods,
            paths,
        } = operation;
        let compile = |paths: &[PathPattern]| paths.iter().map(PathMatcher::new).collect();
        let path = Kind::Path {
            values: compile(&paths.values),
            not_values: compile(&paths.not_values),
            source: paths.clone(),
        };
        vec![
            Self::new("ports", Kind::Port(ports.clone())),
            Self::new("methods", Kind::Method(methods.clone())),
            Self::new("paths", path),
            Self::new("hosts", Kind::Host(hosts.clone())),
        ]
        .into_iter()
        .filter(|criterion| !criterion.is_empty())
        .collect()
    }

    /// The criterion of a condition.
    pub(super) fn of_condition(condition: &Condition, action: AuthorizationAction) -> Self {
        match condition {
            Condition::Text { attribute, values } => {
                Self::text(&attribute.to_string(), attribute.clone(), values, action)
            }
            Condition::Address { attribute, values } => Self::new(
                &attribute.to_string(),
                Kind::Address {
                    attribute: *attribute,
                    values: values.clone(),
                },
            ),
            Condition::DestinationPort(ports) => {
                Self::new("destination.port", Kind::Port(ports.clone()))
            }
        }
    }

    fn new(field: &str, kind: Kind) -> Self {
        Self {
            field: field.into(),
            kind,
        }
    }

    fn text(
        field: &str,
        attribute: TextAttribute,
        values: &Constraint<StringPattern>,
        action: AuthorizationAction,
    ) -> Self {
        let allows = action == AuthorizationAction::Allow;
        let several = match attribute {
            TextAttribute::RequestHeader(_) if allows => Several::Every,
            TextAttribute::RequestHeader(_) => Several::One,
            TextAttribute::SourcePrincipal
            | TextAttribute::SourceNamespace
            | TextAttribute::SourceServiceAccount
            | TextAttribute::SourceTrustDomain
                if allows =>
            {
                Several::Known
            }
            _ => Several::Any,
        };
        let values = values.clone();
        Self::new(
            field,
            Kind::Text {
                attribute,
                values,
                several,
            },
        )
    }

    fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Text { values, .. } | Kind::Method(values) | Kind::Host(values) => {
                values.is_empty()
            }
            Kind::Path { source, .. } => source.is_empty(),
            Kind::Address { values, .. } => values.is_empty(),
            Kind::Port(values) => values.is_empty(),
        }
    }

    /// Whether it holds.
    pub(super) fn is_match<R: RequestView>(&self, subject: &Subject<'_, R>) -> bool {
        match &self.kind {
            Kind::Text {
                attribute,
                values,
                several,
            } => several.holds(values, |visit| each_text(attribute, subject, visit)),
            Kind::Method(values) => subject
                .request
                .is_some_and(|request| single(values, request.method())),
            Kind::Host(values) => subject.request.is_some_and(|request| {
                accepts(values, |pattern| {
                    host::is_match(pattern, request.authority())
                })
            }),
            Kind::Path {
                values, not_values, ..
            } => subject.request.is_some_and(|request| {
                let path = request.path();
                let any = |paths: &[PathMatcher]| paths.iter().any(|one| one.is_match(path));
                (values.is_empty() || any(values)) && !any(not_values)
            }),
            Kind::Address { attribute, values } => address(*attribute, subject)
                .is_some_and(|address| accepts(values, |block| block.contains(address))),
            Kind::Port(values) => {
                let port = subject.connection.destination.port();
                accepts(values, |wanted| *wanted == port)
            }
        }
    }

    /// Why it does not hold.
    pub(super) fn mismatch<R: RequestView>(&self, subject: &Subject<'_, R>) -> Mismatch {
        let (expected, actual) = match &self.kind {
            Kind::Text {
                attribute, values, ..
            } => (show(values), show_text(attribute, subject)),
            Kind::Method(values) => (show(values), subject.show(RequestView::method)),
            Kind::Host(values) => (show(values), subject.show(RequestView::authority)),
            Kind::Path { source, .. } => (show(source), subject.show(RequestView::path)),
            Kind::Address { attribute, values } => {
                let address = address(*attribute, subject);
                (show(values), address.map(|address| address.to_string()))
            }
            Kind::Port(values) => (
                show(values),
                Some(subject.connection.destination.port().to_string()),
            ),
        };
        Mismatch {
            criterion: self.field.to_string(),
            expected,
            actual,
        }
    }
}

// === impl Several ===

impl Several {
    /// Whether values hold that `each` visits until it is told to stop.
    fn holds(
        self,
        values: &Constraint<StringPattern>,
        each: impl FnOnce(&mut dyn FnMut(&[u8]) -> ControlFlow<()>),
    ) -> bool {
        let Constraint { values, not_values } = values;
        let wanted = |value: &[u8]| text::any(values, value);
        let unwanted = |value: &[u8]| text::any(not_values, value);
        let (mut some, mut found, mut spoiled) = (false, false, false);
        match self {
            Self::Any | Self::Known => {
                each(&mut |value| {
                    some = true;
                    found |= wanted(value);
                    spoiled |= unwanted(value);
                    if spoiled {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
                let known = some || self == Self::Any;
                known && !spoiled && (values.is_empty() || found)
            }
            Self::Every | Self::One => {
                each(&mut |value| {
                    some = true;
                    let holds = (values.is_empty() || wanted(value)) && !unwanted(value);
                    found |= holds;
                    spoiled |= !holds;
                    ControlFlow::Continue(())
                });
                if !some {
                    values.is_empty()
                } else if self == Self::Every {
                    !spoiled
                } else {
                    found
                }
            }
        }
    }
}

fn accepts<T>(constraint: &Constraint<T>, holds: impl Fn(&T) -> bool) -> bool {
    let Constraint { values, not_values } = constraint;
    (values.is_empty() || values.iter().any(&holds)) && !not_values.iter().any(holds)
}

fn single(constraint: &Constraint<StringPattern>, value: &[u8]) -> bool {
    accepts(constraint, |pattern| pattern.is_match(value))
}

fn address<R: RequestView>(
    attribute: AddressAttribute,
    subject: &Subject<'_, R>,
) -> Option<IpAddr> {
    match attribute {
        AddressAttribute::SourceIp => Some(subject.connection.source.ip()),
        AddressAttribute::DestinationIp => Some(subject.connection.destination.ip()),
        AddressAttribute::RemoteIp => subject.remote(),
    }
}

/// Visits the values of an attribute.
fn each_text<R: RequestView>(
    attribute: &TextAttribute,
    subject: &Subject<'_, R>,
    visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) {
    let peer = subject.connection.peer;
    let tokens = subject.tokens.verified();
    // The caller knows whether it has seen enough; the walk ends with the values.
    let mut one = |value: Option<&str>| {
        if let Some(value) = value {
            let _ = visit(value.as_bytes());
        }
    };
    match attribute {
        TextAttribute::SourcePrincipal => one(peer.map(|peer| peer.principal())),
        TextAttribute::SourceNamespace => one(peer.map(|peer| peer.namespace())),
        TextAttribute::SourceServiceAccount => one(peer.map(|peer| peer.account())),
        TextAttribute::SourceTrustDomain => one(peer.map(|peer| peer.trust_domain())),
        TextAttribute::ConnectionSni => one(subject.connection.server_name),
        TextAttribute::RequestPrincipal => {
            tokens.iter().for_each(|token| one(token.principal()));
        }
        TextAttribute::RequestAudiences => claims(tokens, &["aud"], visit),
        TextAttribute::RequestPresenter => claims(tokens, &["azp"], visit),
        TextAttribute::RequestClaim(path) => claims(tokens, path, visit),
        TextAttribute::RequestHeader(name) => {
            if let Some(request) = subject.request {
                request.each_value(name, visit);
            }
        }
    }
}

fn claims(
    tokens: &[Arc<VerifiedToken>],
    path: &[impl AsRef<str>],
    visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) {
    for token in tokens {
        if token.any_claim(path, |value| visit(value.as_bytes()).is_break()) {
            return;
        }
    }
}

/// The values of an attribute, joined with commas; none without any.
fn show_text<R: RequestView>(
    attribute: &TextAttribute,
    subject: &Subject<'_, R>,
) -> Option<String> {
    let mut shown: Option<String> = None;
    each_text(attribute, subject, &mut |value| {
        let text = String::from_utf8_lossy(value);
        match &mut shown {
            None => shown = Some(text.into_owned()),
            Some(shown) => {
                shown.push(',');
                shown.push_str(&text);
            }
        }
        ControlFlow::Continue(())
    });
    shown
}

/// A constraint in words.
fn show<T: ToString>(constraint: &Constraint<T>) -> String {
    let list = |values: &[T]| {
        let texts: Vec<String> = values.iter().map(T::to_string).collect();
        texts.join(", ")
    };
    let Constraint { values, not_values } = constraint;
    match (values.as_slice(), not_values.as_slice()) {
        (values, []) => format!("one of [{}]", list(values)),
        ([], not_values) => format!("none of [{}]", list(not_values)),
        (values, not_values) => {
            format!(
                "one of [{}] and none of [{}]",
                list(values),
                list(not_values)
            )
        }
    }
}
