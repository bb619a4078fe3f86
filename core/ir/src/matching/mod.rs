//! Route matching: the decision which route a request takes, shared by proxy, controller and command line.
//!
//! ```text
//! RouteConfig --compile--> RouteTable --route(request)--> Matched { virtual host, route } --> pick, rewrite, redirect
//! ```
//!
//! The rules are Envoy's: domains are searched from exact names over the longest suffix wildcard and the longest prefix wildcard to `*`,
//! and within the virtual host the first route that matches is taken. Compiled tables are immutable. Matching exact, prefix and
//! suffix criteria allocates nothing; an exact domain costs one hash probe.

mod criteria;
mod domains;
mod edited;
mod kept;
mod redirect;
mod request;
mod rewrite;
mod table;
mod target;
mod text;

pub use criteria::HeaderCriteria;
pub use domains::strip_port;
pub(crate) use domains::{port_start, with_lower};
pub use edited::{EditedRequest, HeadEdits};
pub use kept::Kept;
pub use request::{PlainRequest, RequestView};
pub use rewrite::Rewriter;
pub use table::{CompiledVirtualHost, InvalidRoute, InvalidRouteReason, Matched, RouteTable};
pub use target::Picked;
pub use text::{InvalidRegex, StringMatcher, check_regex};

#[cfg(test)]
mod tests;
