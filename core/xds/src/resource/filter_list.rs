//! A list of filters read one by one, on HTTP or network level, joined to what they say together: authorization of several actions is
//! one filter of the IR, and an authorizer knows what it is asked about from the filter before it.

use std::sync::Arc;

use mesh_ir::policy::{Authorization, AuthorizationPolicy, ExternalAuthorization};
use mesh_ir::{HttpFilter, NetworkFilter};

use super::authorization::{self, Found as Rules};
use super::border::{At, InvalidResource};
use super::external_authorization::Asks;

/// What a filter of a list is.
pub(super) enum Found<F> {
    Filter(F),
    Rules(Rules),
    Asks(Box<Asks>),
    /// The end of a list on HTTP level.
    Router,
    /// One that is switched off, or that nobody minds the absence of.
    Nothing,
}

/// Filters of a level that carry policies.
pub(super) trait PolicyFilter: Sized {
    fn authorize(policies: Arc<Authorization>) -> Self;
    fn external(external: Arc<ExternalAuthorization>) -> Self;
    fn as_authorize_mut(&mut self) -> Option<&mut Arc<Authorization>>;
}

/// The filters of a list that lies at `list`.
pub(super) fn join<F: PolicyFilter>(
    found: Vec<Found<F>>,
    list: &At<'_>,
) -> Result<Vec<F>, InvalidResource> {
    let mut filters = Vec::new();
    // What the filter before said an authorizer is to be asked about.
    let mut asked: Option<Vec<AuthorizationPolicy>> = None;
    for (index, found) in found.into_iter().enumerate() {
        let about = asked.take();
        match found {
            Found::Filter(filter) => filters.push(filter),
            Found::Rules(Rules::Asks(policies)) => asked = Some(policies),
            Found::Rules(Rules::Enforces(next)) => push_authorization(&mut filters, next),
            Found::Rules(Rules::UnknownProvider(policies)) => {
                filters.push(F::external(Arc::new(ExternalAuthorization {
                    provider: None,
                    policies,
                })));
            }
            Found::Asks(asks) => {
                let external = asks.about(about, &list.index(index))?;
                filters.push(F::external(Arc::new(external)));
            }
            Found::Router | Found::Nothing => {}
        }
    }
    Ok(filters)
}

fn push_authorization<F: PolicyFilter>(filters: &mut Vec<F>, next: Authorization) {
    if let Some(before) = filters.last_mut().and_then(F::as_authorize_mut)
        && authorization::follow(Arc::make_mut(before), &next)
    {
        return;
    }
    if !next.is_empty() {
        filters.push(F::authorize(Arc::new(next)));
    }
}

// === impl HttpFilter ===

impl PolicyFilter for HttpFilter {
    fn authorize(policies: Arc<Authorization>) -> Self {
        Self::Authorize(policies)
    }

    fn external(external: Arc<ExternalAuthorization>) -> Self {
        Self::ExternalAuthorize(external)
    }

    fn as_authorize_mut(&mut self) -> Option<&mut Arc<Authorization>> {
        match self {
            Self::Authorize(policies) => Some(policies),
            _ => None,
        }
    }
}

// === impl NetworkFilter ===

impl PolicyFilter for NetworkFilter {
    fn authorize(policies: Arc<Authorization>) -> Self {
        Self::Authorize(policies)
    }

    fn external(external: Arc<ExternalAuthorization>) -> Self {
        Self::ExternalAuthorize(external)
    }

    fn as_authorize_mut(&mut self) -> Option<&mut Arc<Authorization>> {
        match self {
            Self::Authorize(policies) => Some(policies),
            _ => None,
        }
    }
}
